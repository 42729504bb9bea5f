/** The samples of one series, in order of time, and what is cut out of them. */
import type { Labels } from '../labels.ts';

export interface Series {
  readonly key: string;
  readonly labels: Labels;
  /** For whom it is kept. */
  keepers: readonly string[];
  times: number[];
  values: number[];
}

/**
 * Marks the end of a series among its values. Prometheus uses a particular NaN, which JavaScript cannot tell
 * from another; the number nearest below zero is one that nobody measures.
 */
export const STALE = -Number.MIN_VALUE;

/** How many of the rising `times` are not above `limitMs`. */
export function countUpTo(times: readonly number[], limitMs: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] as number) <= limitMs) low = middle + 1;
    else high = middle;
  }
  return low;
}

/** @returns how many samples were not after `limitMs`, and are gone */
export function dropUpTo(series: Series, limitMs: number): number {
  const old = countUpTo(series.times, limitMs);
  if (old === 0) return 0;
  series.times = series.times.slice(old);
  series.values = series.values.slice(old);
  return old;
}

/** Within (fromMs, toMs], without the marks of ends. */
export function cut(series: Series, fromMs: number, toMs: number): { times: number[]; values: number[] } {
  const [from, to] = [countUpTo(series.times, fromMs), countUpTo(series.times, toMs)];
  const [times, values] = [series.times.slice(from, to), series.values.slice(from, to)];
  if (!values.includes(STALE)) return { times, values };
  return {
    times: times.filter((_, i) => values[i] !== STALE),
    values: values.filter((value) => value !== STALE),
  };
}

export function put(sets: Map<string, Set<Series>>, key: string, series: Series): void {
  const alike = sets.get(key);
  if (alike) alike.add(series);
  else sets.set(key, new Set([series]));
}

export function addSeries(sets: Map<string, Set<Series>>, key: string, series: Series): void {
  const alike = sets.get(key);
  alike?.delete(series);
  if (alike?.size === 0) sets.delete(key);
}
