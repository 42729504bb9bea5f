/**
 * Why the app takes no calls yet, as its last check found. The proxy tells the caller that waits, and this sidecar
 * logs it. A start that takes its time is no trouble: proxies hear of it after a second, the log after five.
 */
import type { Log } from '../../common/runtime/log.ts';

export interface AppTroubleOptions {
  readonly log: Log;
  /** Takes every change; undefined: the app takes calls. */
  readonly tell: (why: string | undefined) => void;
  /** Milliseconds, monotonic. */
  readonly now?: () => number;
}

const TOLD_AFTER_MS = 1_000;
/** From the first failure on; the last one is repeated. */
const LOGGED_AFTER_MS = [5_000, 30_000, 300_000];

export class AppTrouble {
  readonly #options: Required<AppTroubleOptions>;
  #why: string | undefined;
  #told: string | undefined;
  #sinceMs = 0;
  #logs = 0;

  constructor(options: AppTroubleOptions) {
    this.#options = { now: () => performance.now(), ...options };
  }

  /** What the last check found; undefined after one that passed. */
  get why(): string | undefined {
    return this.#why;
  }

  /** A check has failed. */
  failed(why: string): void {
    const { now, tell } = this.#options;
    if (this.#why === undefined) [this.#sinceMs, this.#logs] = [now(), 0];
    this.#why = why;
    const forMs = now() - this.#sinceMs;
    if (forMs >= this.#nextLogMs) this.#log(why, forMs);
    if (forMs < TOLD_AFTER_MS || this.#told === why) return;
    this.#told = why;
    tell(why);
  }

  /** The app takes calls. */
  passed(): void {
    this.#why = undefined;
    if (this.#told === undefined) return;
    this.#told = undefined;
    this.#options.tell(undefined);
  }

  get #nextLogMs(): number {
    const last = LOGGED_AFTER_MS.length - 1;
    return (LOGGED_AFTER_MS[Math.min(this.#logs, last)] ?? 0) * Math.max(1, this.#logs - last + 1);
  }

  #log(why: string, forMs: number): void {
    this.#logs += 1;
    this.#options.log.warn({ why, forSeconds: Math.round(forMs / 1_000) }, 'the app takes no calls yet');
  }
}
