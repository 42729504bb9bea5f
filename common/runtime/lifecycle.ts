/**
 * Starting and stopping in order. A part registers here each thing that it starts, with its own stop. Stopping runs
 * them last first, each once, each bounded in time. One that fails does not keep the others from stopping.
 *
 * Room `common/runtime`: What every process needs: flags, log, metrics, errors, start and stop.
 * Comes in: flags and environment.
 * Goes out: typed values, reasons, stop stacks.
 */
import { describeError } from './errors.ts';
import type { Log } from './log.ts';

/** Whatever runs and can be stopped; stopping twice is harmless. */
export interface Running {
  stop(): Promise<void>;
}

/** Far longer than anything takes that only closes; far shorter than a pod's grace period. */
export const STOP_LIMIT_MS = 10_000;

export class StopStack implements Running {
  readonly #stops: { name: string; stop: () => unknown }[] = [];
  readonly #log: Log;
  readonly #limitMs: number;
  #stopping: Promise<void> | undefined;

  /** @param limitMs for each step; longer for a part that drains: the time of its drain, and some seconds */
  constructor(log: Log, limitMs = STOP_LIMIT_MS) {
    this.#log = log;
    this.#limitMs = limitMs;
  }

  add(name: string, stop: () => unknown): void {
    this.#stops.push({ name, stop });
  }

  stop(): Promise<void> {
    this.#stopping ??= this.#run();
    return this.#stopping;
  }

  async #run(): Promise<void> {
    for (const { name, stop } of this.#stops.toReversed()) {
      try {
        if (await isLate(stop(), this.#limitMs))
          this.#log.warn({ step: name }, 'stopping takes too long; going on');
      } catch (error) {
        this.#log.warn({ step: name, error: describeError(error) }, 'stopping failed');
      }
    }
  }
}

/** Whether the step was still at it after that time; what it does later is nobody's concern. */
async function isLate(step: unknown, limitMs: number): Promise<boolean> {
  const over = new AbortController();
  const late = sleep(limitMs, over.signal).then(() => !over.signal.aborted);
  const done = Promise.resolve(step).then(() => false);
  done.catch(() => undefined); // a failure after its time; before it, the race has it
  try {
    return await Promise.race([done, late]);
  } finally {
    over.abort();
  }
}

/** Resolves after `ms`, or at once (without an error) when `signal` aborts. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted) return resolve();
    const done = () => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal?.addEventListener('abort', done, { once: true });
  });
}
