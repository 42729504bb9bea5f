/**
 * What this pod remembers of its events, by their secrets: those that run, failed tries of those that are not finished,
 * and the last that are. JetStream keeps the events themselves; a sidecar that was restarted begins to count again. Bounded.
 */

/** JetStream delivers again what is this near its end at most: an ack that was lost is seconds old. 100 bytes each. */
const DONE_MAX = 10_000;
/** More than a pod may have unfinished: only what has expired between two tries is ever forgotten. */
const FAILED_MAX = 2_000;

export class EventLedger {
  readonly #failed = new Map<string, number>();
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
    return this.#failed.get(secret) ?? 0;
  }

  failed(secret: string): void {
    this.#failed.set(secret, this.tries(secret) + 1);
    if (this.#failed.size > FAILED_MAX) forgetOldest(this.#failed);
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
