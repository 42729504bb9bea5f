/**
 * Functions of one series within a range: rates and everything `_over_time`. undefined means that the series
 * has no result (a rate needs two samples). Extrapolation and counter resets are as Prometheus's
 * documentation has them.
 */
export interface RangeWindow {
  readonly times: readonly number[];
  readonly values: readonly number[];
  readonly fromMs: number;
  readonly toMs: number;
  /** The moment of evaluation, which `offset` does not move. */
  readonly nowMs: number;
  /** The function's scalar argument, where it has one. */
  readonly param: number;
}

export type RangeFunction = (window: RangeWindow) => number | undefined;

export const RANGE_FUNCTIONS: ReadonlyMap<string, RangeFunction> = new Map<string, RangeFunction>([
  ['rate', (w) => perSecond(w, extrapolated(w, counterIncrease(w.values), true))],
  ['increase', (w) => extrapolated(w, counterIncrease(w.values), true)],
  ['delta', (w) => extrapolated(w, last(w.values) - first(w.values), false)],
  ['irate', irate],
  ['idelta', (w) => (w.values.length < 2 ? undefined : last(w.values) - beforeLast(w.values))],
  ['changes', (w) => countPairs(w.values, (a, b) => a !== b && !(Number.isNaN(a) && Number.isNaN(b)))],
  ['resets', (w) => countPairs(w.values, (a, b) => b < a)],
  ['deriv', (w) => regression(w)?.slope],
  ['predict_linear', predictLinear],
  ['sum_over_time', ({ values }) => sum(values)],
  ['avg_over_time', ({ values }) => sum(values) / values.length],
  ['min_over_time', ({ values }) => extreme(values, (a, b) => a < b)],
  ['max_over_time', ({ values }) => extreme(values, (a, b) => a > b)],
  ['count_over_time', ({ values }) => values.length],
  ['present_over_time', () => 1],
  ['first_over_time', ({ values }) => first(values)],
  ['last_over_time', ({ values }) => last(values)],
  ['stdvar_over_time', ({ values }) => variance(values)],
  ['stddev_over_time', ({ values }) => Math.sqrt(variance(values))],
  ['quantile_over_time', ({ values, param }) => quantile(param, values)],
]);

/** These two give back a sample as it was, so the series keeps its name. */
export const KEEPS_NAME: readonly string[] = ['first_over_time', 'last_over_time'];

/** 10, 20, 5: the counter began anew at 0 between 20 and 5, so it rose by 10, then by 5. */
function counterIncrease(values: readonly number[]): number {
  let increase = last(values) - first(values);
  for (let i = 1; i < values.length; i++) {
    const previous = values[i - 1] as number;
    if ((values[i] as number) < previous) increase += previous;
  }
  return increase;
}

/**
 * What `change` between the first and the last sample makes over the whole range. Samples seldom lie on the
 * range's edges: where one lies within 1.1 average intervals of its edge, the slope is taken to go on to the
 * edge; farther away the series is taken to begin (or end) half an interval beyond it. A counter is never
 * taken below zero.
 */
function extrapolated(w: RangeWindow, change: number, isCounter: boolean): number | undefined {
  const count = w.times.length;
  if (count < 2) return undefined;
  const sampled = last(w.times) - first(w.times);
  const interval = sampled / (count - 1);
  let toStart = first(w.times) - w.fromMs;
  let toEnd = w.toMs - last(w.times);
  if (toStart >= interval * 1.1) toStart = interval / 2;
  if (isCounter && change > 0 && first(w.values) >= 0) {
    toStart = Math.min(toStart, sampled * (first(w.values) / change));
  }
  if (toEnd >= interval * 1.1) toEnd = interval / 2;
  return change * ((sampled + toStart + toEnd) / sampled);
}

function perSecond(w: RangeWindow, increase: number | undefined): number | undefined {
  return increase === undefined ? undefined : increase / ((w.toMs - w.fromMs) / 1_000);
}

function irate({ times, values }: RangeWindow): number | undefined {
  if (values.length < 2) return undefined;
  const seconds = (last(times) - beforeLast(times)) / 1_000;
  const change = last(values) - beforeLast(values);
  return (change < 0 ? last(values) : change) / seconds;
}

/** Least squares over seconds, counted from `nowMs`, so that the intercept is the value there. */
function regression(w: RangeWindow): { slope: number; intercept: number } | undefined {
  const n = w.values.length;
  if (n < 2) return undefined;
  const xs = w.times.map((time) => (time - w.nowMs) / 1_000);
  const meanX = sum(xs) / n;
  const meanY = sum(w.values) / n;
  let [covariance, spread] = [0, 0];
  for (const [i, x] of xs.entries()) {
    covariance += (x - meanX) * ((w.values[i] as number) - meanY);
    spread += (x - meanX) ** 2;
  }
  const slope = covariance / spread;
  return { slope, intercept: meanY - slope * meanX };
}

function predictLinear(w: RangeWindow): number | undefined {
  const line = regression(w);
  return line && line.intercept + line.slope * w.param;
}

function countPairs(values: readonly number[], isCounted: (a: number, b: number) => boolean): number {
  let count = 0;
  for (let i = 1; i < values.length; i++) {
    if (isCounted(values[i - 1] as number, values[i] as number)) count += 1;
  }
  return count;
}

/** Not-a-number loses against any number. */
export function extreme(values: readonly number[], isBetter: (a: number, b: number) => boolean): number {
  return values.reduce((best, value) => (isBetter(value, best) || Number.isNaN(best) ? value : best));
}

export function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Of the population, as Prometheus has it. */
export function variance(values: readonly number[]): number {
  const mean = sum(values) / values.length;
  return sum(values.map((value) => (value - mean) ** 2)) / values.length;
}

/** Linear between the two nearest ranks; below 0 and above 1 infinite. */
export function quantile(q: number, values: readonly number[]): number {
  if (values.length === 0 || Number.isNaN(q)) return Number.NaN;
  if (q < 0) return -Infinity;
  if (q > 1) return Infinity;
  const sorted = values.toSorted((a, b) => (Number.isNaN(a) ? -1 : Number.isNaN(b) ? 1 : a - b));
  const rank = q * (sorted.length - 1);
  const lower = Math.floor(rank);
  const weight = rank - lower;
  const upper = Math.min(sorted.length - 1, lower + 1);
  return (sorted[lower] as number) * (1 - weight) + (sorted[upper] as number) * weight;
}

function first(values: readonly number[]): number {
  return values[0] as number;
}

function last(values: readonly number[]): number {
  return values.at(-1) as number;
}

function beforeLast(values: readonly number[]): number {
  return values.at(-2) as number;
}
