/**
 * What this pod remembers of its events, by their secrets: those that run, failed tries of those that are not finished,
 * and the last that are. JetStream keeps the events themselves; a sidecar that was restarted begins to count again. Bounded.
 */
import type { Delivery } from '../../common/queue/queue.ts';

/** JetStream delivers again what is this near its end at most: an ack that was lost is seconds old. 100 bytes each. */
const DONE_MAX = 10_000;
/** More than a pod may have unfinished: only what has expired between two tries is ever forgotten. */
const FAILED_MAX = 2_000;

interface Failed {
  readonly tries: number;
  /** The receipt of the last delivery, which waits for the next one. */
  readonly receipt: string;
}

export class EventLedger {
  readonly #failed = new Map<string, Failed>();
  readonly #done = new Set<string>();
  /** As many as the pod has places. */
  readonly #running = new Set<string>();

  /** @returns undefined when it runs already, else what to call when its try is over */
  begin(secret: string): (() => void) | undefined {
    if (this.#running.has(secret)) return undefined;
    this.#running.add(secret);
    return () => this.#running.delete(secret);
  }

  /** Tries that failed. */
  tries(secret: string): number {
    return this.#failed.get(secret)?.tries ?? 0;
  }

  failed(secret: string, receipt: string): void {
    this.#failed.set(secret, { tries: this.tries(secret) + 1, receipt });
    if (this.#failed.size > FAILED_MAX) forgetOldest(this.#failed);
  }

  /** The deliveries of those that wait for a next try. */
  get waiting(): readonly Pick<Delivery, 'receipt'>[] {
    return [...this.#failed.values()];
  }

  /** Run, or given up. */
  finished(secret: string): void {
    this.#failed.delete(secret);
    this.#done.add(secret);
    if (this.#done.size > DONE_MAX) forgetOldest(this.#done);
  }

  isFinished(secret: string): boolean {
    return this.#done.has(secret);
  }
}

function forgetOldest(all: { keys(): Iterator<string>; delete(key: string): boolean }): void {
  const { value } = all.keys().next();
  if (value !== undefined) all.delete(value);
}
