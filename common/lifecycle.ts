/**
 * Starting and stopping in order. What a part starts it registers here with its own stop; stopping runs them
 * last first, each once, each bounded in time, and a failing one does not keep the others from stopping.
 */
import { describeError } from './errors.ts';
import type { Log } from './log.ts';

/** Whatever runs and can be stopped; stopping twice is harmless. */
export interface Running {
  stop(): Promise<void>;
}

export class StopStack implements Running {
  readonly #stops: { name: string; stop: () => unknown }[] = [];
  readonly #log: Log;
  #stopping: Promise<void> | undefined;

  constructor(log: Log) {
    this.#log = log;
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
        await stop();
      } catch (error) {
        this.#log.warn({ step: name, error: describeError(error) }, 'stopping failed');
      }
    }
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
