/**
 * The samples that queries can see: 30 minutes, and only of series that some query asks for, so that scraping
 * a chatty pod costs nothing that nobody wants. Bounded in series and in samples; what does not fit is counted.
 * Samples lie in plain arrays (16 bytes each: 2,000,000 are 32 MB).
 */
import { labelsKey, METRIC_NAME, type Labels } from './labels.ts';
import { matchesAll, type Matcher } from './matcher.ts';
import { fixedName, SelectorIndex, type FixedLabel } from './selector-index.ts';
import type { RangeSeries, SeriesSource, TimedSample } from './values.ts';

export interface SeriesStoreOptions {
  readonly retentionMs?: number;
  readonly maxSeries?: number;
  readonly maxSamples?: number;
}

export interface SeriesStats {
  readonly series: number;
  readonly samples: number;
  /** Samples turned away or given up early for want of room, since the start. */
  readonly dropped: number;
}

export interface ScrapedSample {
  readonly labels: Labels;
  readonly value: number;
}

export interface SeriesStore extends SeriesSource {
  /** Replaces what is wanted, one list of matchers a selector; series that nothing wants any more go. */
  setWanted(selectors: readonly (readonly Matcher[])[]): void;
  /** Whether a series of this name could be wanted: lets a scrape skip most lines unparsed. */
  wantsName(name: string): boolean;
  /** One sample; false when nothing wants it or there is no room. */
  append(labels: Labels, value: number, timeMs: number): boolean;
  /** All samples of a target at one time; series that were there the last time and are not now go stale. */
  scrape(target: string, samples: Iterable<ScrapedSample>, timeMs: number): void;
  /** The target is gone (or did not answer): all its series go stale. */
  forget(target: string, timeMs: number): void;
  /** Drops what is too old; call it about once a minute. */
  sweep(nowMs: number): void;
  readonly stats: SeriesStats;
}

const LEAST_KEPT_MS = 60_000;

/** 30 minutes; 2,000,000 samples are 32 MB. */
export const SERIES_LIMITS = { retentionMs: 1_800_000, maxSeries: 20_000, maxSamples: 2_000_000 } as const;

/**
 * Marks the end of a series among its values. Prometheus uses a particular NaN, which JavaScript cannot tell
 * from another; the number nearest below zero is one that nobody measures.
 */
const STALE = -Number.MIN_VALUE;

interface Series {
  readonly key: string;
  readonly labels: Labels;
  times: number[];
  values: number[];
}

export function createSeriesStore(options: SeriesStoreOptions = {}): SeriesStore {
  return new Store(options);
}

class Store implements SeriesStore {
  readonly #retentionMs: number;
  readonly #maxSeries: number;
  readonly #maxSamples: number;
  readonly #byKey = new Map<string, Series>();
  readonly #byName = new Map<string, Set<Series>>();
  readonly #byTarget = new Map<string, Map<string, Series>>();
  /** Series by a label that the selectors of their metric fix. */
  readonly #byLabel = new Map<string, Set<Series>>();
  #wanted = new SelectorIndex([]);
  #samples = 0;
  #dropped = 0;

  constructor(options: SeriesStoreOptions) {
    this.#retentionMs = options.retentionMs ?? SERIES_LIMITS.retentionMs;
    this.#maxSeries = options.maxSeries ?? SERIES_LIMITS.maxSeries;
    this.#maxSamples = options.maxSamples ?? SERIES_LIMITS.maxSamples;
  }

  get stats(): SeriesStats {
    return { series: this.#byKey.size, samples: this.#samples, dropped: this.#dropped };
  }

  setWanted(selectors: readonly (readonly Matcher[])[]): void {
    // Before the new labels are known by which series are sorted: those that go leave the old ones.
    const wanted = new SelectorIndex(selectors);
    for (const series of this.#byKey.values()) if (!wanted.wants(series.labels)) this.#remove(series);
    this.#wanted = wanted;
    this.#byLabel.clear();
    for (const series of this.#byKey.values()) this.#sort(series);
  }

  wantsName(name: string): boolean {
    return this.#wanted.wantsName(name);
  }

  append(labels: Labels, value: number, timeMs: number): boolean {
    return this.#append(labels, value, timeMs) !== undefined;
  }

  #append(labels: Labels, value: number, timeMs: number): Series | undefined {
    if (!this.#wanted.wants(labels)) return undefined;
    const key = labelsKey(labels);
    const series = this.#byKey.get(key) ?? this.#create(key, labels, timeMs);
    if (series && this.#push(series, value, timeMs)) return series;
    this.#dropped += 1;
    return undefined;
  }

  #create(key: string, labels: Labels, timeMs: number): Series | undefined {
    if (this.#byKey.size >= this.#maxSeries) this.sweep(timeMs);
    if (this.#byKey.size >= this.#maxSeries) return undefined;
    const series: Series = { key, labels, times: [], values: [] };
    this.#byKey.set(key, series);
    const name = labels.get(METRIC_NAME) ?? '';
    const named = this.#byName.get(name);
    if (named) named.add(series);
    else this.#byName.set(name, new Set([series]));
    this.#sort(series);
    return series;
  }

  #sort(series: Series): void {
    for (const key of this.#labelKeys(series)) {
      const alike = this.#byLabel.get(key);
      if (alike) alike.add(series);
      else this.#byLabel.set(key, new Set([series]));
    }
  }

  *#labelKeys({ labels }: Series): Iterable<string> {
    const name = labels.get(METRIC_NAME) ?? '';
    for (const label of this.#wanted.labelsOf(name))
      yield labelKey(name, { label, value: labels.get(label) ?? '' });
  }

  /** Times only rise; a clock that jumped back takes the samples of the future with it. */
  #push(series: Series, value: number, timeMs: number): boolean {
    while (series.times.length > 0 && (series.times.at(-1) as number) >= timeMs) {
      series.times.pop();
      series.values.pop();
      this.#samples -= 1;
    }
    if (this.#samples >= this.#maxSamples) this.#squeeze(timeMs);
    if (this.#samples >= this.#maxSamples) return false;
    // Asked for only now: making room puts shorter arrays in their place.
    const { times, values } = series;
    times.push(timeMs);
    values.push(value);
    this.#samples += 1;
    // Moving an array's head costs its length, so only once a quarter of it is too old.
    if ((times[times.length >> 2] as number) <= timeMs - this.#retentionMs) this.#trim(series, timeMs);
    return true;
  }

  /**
   * No room: the oldest go first, a shorter past at a time, for what triggers decide by is the newest. Under a minute
   * nothing could be said of a rate any more; then new samples are turned away instead.
   */
  #squeeze(nowMs: number): void {
    for (let keptMs = this.#retentionMs; ; keptMs /= 2) {
      for (const series of this.#byKey.values()) {
        const before = series.times.length;
        this.#trim(series, nowMs, keptMs);
        if (keptMs < this.#retentionMs) this.#dropped += before - series.times.length;
      }
      // A tenth of the room, so that the next sample does not walk all series again.
      if (this.#samples <= this.#maxSamples * 0.9 || keptMs / 2 < LEAST_KEPT_MS) return;
    }
  }

  #trim(series: Series, nowMs: number, keptMs = this.#retentionMs): void {
    const old = countUpTo(series.times, nowMs - keptMs);
    if (old === 0) return;
    series.times = series.times.slice(old);
    series.values = series.values.slice(old);
    this.#samples -= old;
  }

  scrape(target: string, samples: Iterable<ScrapedSample>, timeMs: number): void {
    const before = this.#byTarget.get(target);
    const now = new Map<string, Series>();
    for (const { labels, value } of samples) {
      const series = this.#append(labels, value, timeMs);
      if (series) now.set(series.key, series);
    }
    for (const [key, series] of before ?? []) if (!now.has(key)) this.#end(series, timeMs);
    if (now.size > 0) this.#byTarget.set(target, now);
    else this.#byTarget.delete(target);
  }

  forget(target: string, timeMs: number): void {
    this.scrape(target, [], timeMs);
  }

  #end(series: Series, timeMs: number): void {
    if (this.#byKey.has(series.key)) this.#push(series, STALE, timeMs);
  }

  sweep(nowMs: number): void {
    for (const series of this.#byKey.values()) {
      this.#trim(series, nowMs);
      if (series.times.length === 0) this.#remove(series);
    }
  }

  #remove(series: Series): void {
    this.#samples -= series.times.length;
    this.#byKey.delete(series.key);
    const name = series.labels.get(METRIC_NAME) ?? '';
    const named = this.#byName.get(name);
    named?.delete(series);
    if (named?.size === 0) this.#byName.delete(name);
    for (const key of this.#labelKeys(series)) {
      const alike = this.#byLabel.get(key);
      alike?.delete(series);
      if (alike?.size === 0) this.#byLabel.delete(key);
    }
  }

  #select(matchers: readonly Matcher[]): Iterable<Series> {
    return [...this.#candidates(matchers)].filter((series) => matchesAll(matchers, series.labels));
  }

  #candidates(matchers: readonly Matcher[]): Iterable<Series> {
    const name = fixedName(matchers);
    if (name === undefined) return this.#byKey.values();
    const key = this.#wanted.keyOf(matchers);
    return (key ? this.#byLabel.get(labelKey(name, key)) : this.#byName.get(name)) ?? [];
  }

  latest(matchers: readonly Matcher[], fromMs: number, toMs: number): readonly TimedSample[] {
    const found: TimedSample[] = [];
    for (const { labels, times, values } of this.#select(matchers)) {
      const i = countUpTo(times, toMs) - 1;
      const [timeMs, value] = [times[i], values[i]];
      if (timeMs === undefined || value === undefined || timeMs <= fromMs || value === STALE) continue;
      found.push({ labels, value, timeMs });
    }
    return found;
  }

  range(matchers: readonly Matcher[], fromMs: number, toMs: number): readonly RangeSeries[] {
    const found: RangeSeries[] = [];
    for (const series of this.#select(matchers)) {
      const [from, to] = [countUpTo(series.times, fromMs), countUpTo(series.times, toMs)];
      const cut = withoutStale(series.times.slice(from, to), series.values.slice(from, to));
      if (cut.times.length > 0) found.push({ labels: series.labels, ...cut });
    }
    return found;
  }
}

function withoutStale(times: number[], values: number[]): { times: number[]; values: number[] } {
  if (!values.includes(STALE)) return { times, values };
  return {
    times: times.filter((_, i) => values[i] !== STALE),
    values: values.filter((value) => value !== STALE),
  };
}

/** Unambiguous: a name and a label hold no space. */
function labelKey(name: string, { label, value }: FixedLabel): string {
  return `${name} ${label} ${value}`;
}

/** How many of the rising `times` are not above `limitMs`. */
function countUpTo(times: readonly number[], limitMs: number): number {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((times[middle] as number) <= limitMs) low = middle + 1;
    else high = middle;
  }
  return low;
}
