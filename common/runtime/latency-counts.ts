/**
 * Durations counted by bucket, as plain numbers. This is cheap enough for every call, and works before prom-client is
 * loaded, which costs 20 ms that a cold start does not have. `latencyHistogram` of metrics.ts shows them.
 */

/** Upper bounds, seconds: from a loopback hop to a cold start that pulled an image. */
export const LATENCY_BUCKETS: readonly number[] = [
  0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120,
];

export class LatencyCounts {
  /** One more than the buckets: the last counts what is beyond them. Not cumulative. */
  readonly counts: number[] = Array.from({ length: LATENCY_BUCKETS.length + 1 }, () => 0);
  sumSeconds = 0;

  get isEmpty(): boolean {
    return this.counts.every((count) => count === 0);
  }

  observe(seconds: number): void {
    this.sumSeconds += seconds;
    let bucket = 0;
    while (bucket < LATENCY_BUCKETS.length && seconds > (LATENCY_BUCKETS[bucket] as number)) bucket += 1;
    this.counts[bucket] = (this.counts[bucket] as number) + 1;
  }
}
