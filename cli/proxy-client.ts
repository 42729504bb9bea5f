/** The proxy's HTTP interface as the commands use it: one request, errors that say what to check. */
import { UsageError } from '../common/errors.ts';

/** One function as `GET /status-functions` lists it; fields beyond these are printed with --json only. */
export interface FunctionStatus {
  readonly Name: string;
  readonly Namespace?: string;
  readonly NumberReady: number;
  readonly NumberRequested: number;
  readonly PodType: string;
  readonly Visibility: string;
}

/**
 * @param base the `--proxy-url` or `--admin-url`; `path` begins with a slash
 * @throws UsageError for a URL that is none; Error naming the address when nothing answers
 */
export async function askProxy(base: string, path: string, init: RequestInit = {}): Promise<Response> {
  const url = `${base.replace(/\/$/, '')}${path}`;
  if (!URL.canParse(url))
    throw new UsageError(
      `--proxy-url or --admin-url: ${JSON.stringify(base)} is not a URL; use http://host:port`,
    );
  try {
    return await fetch(url, { redirect: 'manual', ...init });
  } catch (cause) {
    throw new Error(`no answer from ${url}; is the proxy there (--proxy-url, npm start)?`, { cause });
  }
}

/** The system's own errors are JSON with a message; anything else is shown as it came. */
export async function failureText(response: Response): Promise<string> {
  const text = await response.text();
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    if (typeof message === 'string') return `${response.status}: ${message}`;
  } catch {
    // not ours
  }
  return `${response.status}: ${text}`;
}
