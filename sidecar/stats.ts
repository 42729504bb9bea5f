/**
 * What happened, as plain numbers. This is cheap enough for every call, and works before prom-client is loaded, which
 * costs 20 ms that a cold start does not have. `metrics.ts` shows them, `report.ts` sends them.
 */
import type { ReasonCode } from '../common/runtime/errors.ts';
import { LatencyCounts } from '../common/runtime/latency-counts.ts';
import type { RefusalReason } from '../common/function/names.ts';

/** `cancelled`: the caller left before the answer was whole. */
export type CodeClass = '1xx' | '2xx' | '3xx' | '4xx' | '5xx' | 'cancelled';

/** Counts since the last reading. */
export interface WindowCounts {
  readonly started: number;
  readonly finished: number;
  readonly failed: number;
}

export class Stats {
  readonly requests: Record<CodeClass, number> = {
    '1xx': 0,
    '2xx': 0,
    '3xx': 0,
    '4xx': 0,
    '5xx': 0,
    cancelled: 0,
  };
  readonly refusals: Partial<Record<RefusalReason | ReasonCode, number>> = {};
  readonly duration = new LatencyCounts();
  retries = 0;
  /** Requests of connections that had not shown that a proxy opened them, and came in all the same. */
  unproven = 0;
  /** Calls and jobs that have ended since the start. */
  ended = 0;
  /** Length of the drain so far; undefined before it began. */
  drainSeconds: number | undefined;
  /** Connections to the app past the sidecar, which the room `direct` looks for. */
  readonly direct = { open: 0, openedTotal: 0 };
  #started = 0;
  #finished = 0;
  #failed = 0;

  /** A call was admitted, at once or after waiting. */
  start(): void {
    this.#started += 1;
  }

  /** An admitted call ended. */
  finish(codeClass: CodeClass, seconds: number): void {
    this.requests[codeClass] += 1;
    this.ended += 1;
    this.#finished += 1;
    if (codeClass === '5xx') this.#failed += 1;
    this.duration.observe(seconds);
  }

  /** Jobs count as load like calls, but not in the calls' metrics. */
  jobStarted(): void {
    this.#started += 1;
  }

  jobEnded(hasFailed: boolean): void {
    this.ended += 1;
    this.#finished += 1;
    if (hasFailed) this.#failed += 1;
  }

  refuse(reason: RefusalReason | ReasonCode): void {
    this.refusals[reason] = (this.refusals[reason] ?? 0) + 1;
  }

  readWindow(): WindowCounts {
    const counts = { started: this.#started, finished: this.#finished, failed: this.#failed };
    this.#started = this.#finished = this.#failed = 0;
    return counts;
  }
}

export function codeClassOf(status: number): CodeClass {
  if (status < 200) return '1xx';
  if (status < 300) return '2xx';
  if (status < 400) return '3xx';
  return status < 500 ? '4xx' : '5xx';
}
