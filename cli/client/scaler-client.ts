/** The scaler's HTTP interface as the commands use it. Everything it says is for people, so little is typed. */
import type { Door } from '../reach/door.ts';

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
const SCALER_TIMEOUT_MS = 15_000;

export async function askScaler(scaler: Door, path: string, init: RequestInit = {}): Promise<Response> {
  return scaler.fetch(path, { signal: AbortSignal.timeout(SCALER_TIMEOUT_MS), ...init });
}
