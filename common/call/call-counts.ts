/**
 * How calls of a function ended within a window, as one proxy says it and as sums over all of them: how many, how
 * many failed, how long they ran. It is for the comparison of a canary with the function that it may replace.
 */
export interface CallCounts {
  readonly ended: number;
  readonly failed: number;
  /** Bucket and count by turns; only calls that a pod ran, from their place in it to their end. */
  readonly durations: readonly number[];
}

/** Each bucket's bound is a fifth above the one before: durations are known to 20 percent, from 1 ms to half an hour. */
const FACTOR = 1.2;
export const DURATION_BUCKETS = 80;
const LOG_FACTOR = Math.log(FACTOR);

function bucketOf(ms: number): number {
  return ms <= 1 ? 0 : Math.min(DURATION_BUCKETS - 1, Math.ceil(Math.log(ms) / LOG_FACTOR));
}

export class CallTally {
  #ended = 0;
  #failed = 0;
  #buckets: number[] = [];

  get ended(): number {
    return this.#ended;
  }

  get failed(): number {
    return this.#failed;
  }

  /** Calls that a pod ran. */
  get ran(): number {
    return this.#buckets.reduce((sum, count) => sum + count, 0);
  }

  /** @param ranMs undefined: no pod has run it */
  note(isFailure: boolean, ranMs: number | undefined): void {
    this.#ended++;
    if (isFailure) this.#failed++;
    if (ranMs === undefined) return;
    const bucket = bucketOf(ranMs);
    this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + 1;
  }

  add({ ended, failed, durations }: CallCounts): void {
    this.#ended += ended;
    this.#failed += failed;
    for (let i = 0; i + 1 < durations.length; i += 2) {
      const bucket = durations[i] as number;
      this.#buckets[bucket] = (this.#buckets[bucket] ?? 0) + (durations[i + 1] as number);
    }
  }

  /** What was counted since the last time; undefined: nothing. */
  take(): CallCounts | undefined {
    if (this.#ended === 0) return undefined;
    const counts = this.counts;
    this.#ended = this.#failed = 0;
    this.#buckets = [];
    return counts;
  }

  get counts(): CallCounts {
    const durations = this.#buckets.flatMap((count, bucket) => [bucket, count]);
    return { ended: this.#ended, failed: this.#failed, durations };
  }

  /** In milliseconds, within its bucket in proportion; undefined: fewer calls ran than `least`. */
  percentile(part: number, least: number): number | undefined {
    let left = this.ran;
    if (left === 0 || left < least) return undefined;
    left *= part;
    for (const [bucket, count = 0] of this.#buckets.entries()) {
      if (left <= count && count > 0) {
        const from = bucket === 0 ? 0 : FACTOR ** (bucket - 1);
        return from + (FACTOR ** bucket - from) * (left / count);
      }
      left -= count;
    }
    return undefined;
  }
}
