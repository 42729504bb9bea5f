/** What the proxy answers, as the commands read it. */

/** One function as `GET /status-functions` lists it; fields beyond these are printed with --json only. */
export interface ShownFunction {
  readonly Name: string;
  readonly Namespace?: string;
  readonly NumberReady: number;
  readonly NumberRequested: number;
  readonly PodType: string;
  readonly Visibility: string;
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
