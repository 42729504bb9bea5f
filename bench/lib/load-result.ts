/** What a load generator prints when it is done. */
import { percentile } from './bench.ts';

export interface LoadResult {
  readonly requests: number;
  readonly errors: number;
  readonly seconds: number;
  readonly p50Micros: number;
  readonly p99Micros: number;
}

/** @param latencies in ms; @param startedAt of performance.now */
export function printResult(latencies: readonly number[], errors: number, startedAt: number): void {
  const seconds = (performance.now() - startedAt) / 1_000;
  const sorted = Float64Array.from(latencies).toSorted();
  const at = (p: number) => Math.round(percentile(sorted, p) * 1_000);
  const counts = { requests: latencies.length, errors, seconds };
  const result: LoadResult = { ...counts, p50Micros: at(0.5), p99Micros: at(0.99) };
  process.stdout.write(`${JSON.stringify(result)}\n`);
}
