/**
 * Functions of one series within a range: rates and everything `_over_time`. undefined means that the series
 * has no result (a rate needs two samples). Extrapolation and counter resets are as Prometheus's
 * documentation has them.
 */
import { PromqlError } from '../error.ts';
import { extreme, extremeIndex, mean, medianDeviation, quantile, sum, variance } from './statistics.ts';

export interface RangeWindow {
  readonly times: readonly number[];
  readonly values: readonly number[];
  readonly fromMs: number;
  readonly toMs: number;
  /** The moment of evaluation, which `offset` does not move. */
  readonly nowMs: number;
  /** The function's scalar arguments, where it has any. */
  readonly params: readonly number[];
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
  ['avg_over_time', ({ values }) => mean(values)],
  ['min_over_time', ({ values }) => extreme(values, (a, b) => a < b)],
  ['max_over_time', ({ values }) => extreme(values, (a, b) => a > b)],
  ['count_over_time', ({ values }) => values.length],
  ['present_over_time', () => 1],
  ['first_over_time', ({ values }) => first(values)],
  ['last_over_time', ({ values }) => last(values)],
  ['stdvar_over_time', ({ values }) => variance(values)],
  ['stddev_over_time', ({ values }) => Math.sqrt(variance(values))],
  ['quantile_over_time', ({ values, params: [q = Number.NaN] }) => quantile(q, values)],
  ['mad_over_time', ({ values }) => medianDeviation(values)],
  ['double_exponential_smoothing', smoothed],
  ['ts_of_first_over_time', ({ times }) => first(times) / 1_000],
  ['ts_of_last_over_time', ({ times }) => last(times) / 1_000],
  ['ts_of_min_over_time', (w) => lastTimeOf(w, (a, b) => a <= b)],
  ['ts_of_max_over_time', (w) => lastTimeOf(w, (a, b) => a >= b)],
]);

/** These two give back a sample as it was, so the series keeps its name. */
export const KEEPS_NAME: readonly string[] = ['first_over_time', 'last_over_time'];

/** 10, 20, 5: the counter began again at 0 between 20 and 5, so it rose by 10, then by 5. */
function counterIncrease(values: readonly number[]): number {
  let increase = last(values) - first(values);
  for (let i = 1; i < values.length; i++) {
    const previous = values[i - 1] as number;
    if ((values[i] as number) < previous) increase += previous;
  }
  return increase;
}

/**
 * What `change` between the first and the last sample makes over the whole range. Samples seldom lie on the range's
 * edges. Where one lies within 1.1 average intervals of its edge, the slope is taken to go on to the edge. Farther
 * away the series is taken to begin (or end) half an interval beyond it. A counter is never taken below zero.
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
  const [seconds = Number.NaN] = w.params;
  return line && line.intercept + line.slope * seconds;
}

/** The level after all samples, where level and trend each follow the samples by their factor (Holt's method). */
function smoothed({ values, params }: RangeWindow): number | undefined {
  const [levelFactor = Number.NaN, trendFactor = Number.NaN] = params;
  for (const [name, factor] of [['smoothing', levelFactor] as const, ['trend', trendFactor] as const])
    if (!(factor > 0 && factor < 1)) {
      throw new PromqlError('execution', `invalid ${name} factor ${factor}; use one between 0 and 1`);
    }
  if (values.length < 2) return undefined;
  let [before, level] = [Number.NaN, values[0] as number];
  let trend = (values[1] as number) - (values[0] as number);
  for (const [i, value] of values.slice(1).entries()) {
    if (i > 0) trend = trendFactor * (level - before) + (1 - trendFactor) * trend;
    before = level;
    level = levelFactor * value + (1 - levelFactor) * (level + trend);
  }
  return level;
}

/** When the extreme was last seen, in seconds. */
function lastTimeOf({ times, values }: RangeWindow, isBetter: (a: number, b: number) => boolean): number {
  return (times[extremeIndex(values, isBetter)] as number) / 1_000;
}

function countPairs(values: readonly number[], isCounted: (a: number, b: number) => boolean): number {
  let count = 0;
  for (let i = 1; i < values.length; i++) {
    if (isCounted(values[i - 1] as number, values[i] as number)) count += 1;
  }
  return count;
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
