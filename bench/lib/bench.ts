/**
 * What a bench is: a question with a table for an answer.
 */
export interface BenchOptions {
  /** Finish within 60 s: fewer cases, shorter runs. */
  readonly quick: boolean;
  /** What is left of the command line, for a bench's own switches. */
  readonly args: readonly string[];
  /** Progress for people, on standard error. */
  readonly say: (line: string) => void;
}

/** One figure: `{case: "64 B × 16", metric: "relay cpu/request", value: 61.2, unit: "µs"}`. */
export interface Row {
  readonly case: string;
  readonly metric: string;
  readonly value: number;
  readonly unit: string;
}

export interface Bench {
  readonly name: string;
  readonly describe: string;
  run(options: BenchOptions): Promise<Row[]>;
}

/** The middle one, so that one disturbed round does not count; NaN of none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? Number.NaN;
}

/** @param p from 0 to 1; `sorted` ascending */
export function percentile(sorted: ArrayLike<number>, p: number): number {
  const at = Math.min(sorted.length - 1, Math.floor(sorted.length * p));
  return sorted[at] ?? Number.NaN;
}
