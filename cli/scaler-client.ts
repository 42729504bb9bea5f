/** The scaler's HTTP interface as the commands use it. Everything it says is for people, so little is typed. */
import { UsageError } from '../common/errors.ts';

/** One decision of `GET /functions/<ns>/<fn>`. */
export interface DecisionView {
  readonly at: string;
  readonly from: number;
  readonly to: number;
  readonly kind: string;
  readonly reason: string;
  readonly numbers: {
    readonly ready: number;
    readonly running: number;
    readonly waiting: number;
    readonly jobs: number;
    readonly idleForSeconds: number;
  };
}

export interface ScalerView {
  readonly decisions: readonly DecisionView[];
  readonly faults: readonly string[];
  readonly troubles: readonly { readonly kind: string; readonly message: string }[];
}

/** A scaler that does not answer within that is not there, as far as somebody at a terminal is concerned. */
const TIMEOUT_MS = 15_000;

/**
 * @param base the `--scaler-url`; `path` begins with a slash
 * @throws UsageError for a URL that is none; Error naming the address when nothing answers
 */
export async function askScaler(base: string, path: string, init: RequestInit = {}): Promise<Response> {
  const url = `${base.replace(/\/$/, '')}${path}`;
  if (!URL.canParse(url))
    throw new UsageError(`--scaler-url: ${JSON.stringify(base)} is not a URL; use http://host:port`);
  try {
    return await fetch(url, { signal: AbortSignal.timeout(TIMEOUT_MS), ...init });
  } catch (cause) {
    throw new Error(
      `no answer from ${url}; is the scaler there (--scaler-url, kubectl port-forward to its port 5001)?`,
      { cause },
    );
  }
}
