/**
 * The samples that queries can see: 30 minutes, and only of series that some query asks for, so that scraping a
 * chatty pod costs nothing that nobody wants. Bounded in series (in all, and for each keeper, which is a function
 * whose queries want them) and in samples. What does not fit is counted, and reported to the keeper that it was kept
 * for. Samples lie in plain arrays (16 bytes each: 2,000,000 are 32 MB).
 */
import { Keepers, type Gaps, type Wanted } from './keepers.ts';
import { labelsKey, METRIC_NAME, type Labels } from '../labels.ts';
import { SERIES_LIMITS, type SeriesStoreOptions } from '../limits.ts';
import { matchesAll, type Matcher } from '../matcher.ts';
import { makeRoom } from './sample-room.ts';
import { countUpTo, cut, dropUpTo, put, STALE, addSeries, type Series } from './samples.ts';
import { fixedName, type FixedLabel } from './selector-index.ts';
import type { RangeSeries, SeriesSource, TimedSample } from '../values.ts';

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

/** One scrape of one target, sample by sample. */
export interface Intake {
  /** False when nothing wants the sample or there is no room. */
  add(labels: Labels, value: number): boolean;
  /** All is said: series of the target that were there the last time and are not now go stale. */
  end(): void;
  /** Something went wrong on the way: all of them go stale. */
  fail(): void;
}

export interface SeriesStore extends SeriesSource {
  /** Replaces what is wanted, one list of matchers a selector; series that nothing wants any more go. */
  setWanted(selectors: readonly (readonly Matcher[])[]): void;
  /** The same, saying who wants it. */
  setWantedBy(wanted: Wanted): void;
  /** Whether a series of this name could be wanted: lets a scrape skip most lines unparsed. */
  wantsName(name: string): boolean;
  /** One sample; false when nothing wants it or there is no room. */
  append(labels: Labels, value: number, timeMs: number): boolean;
  begin(target: string, timeMs: number): Intake;
  /** All samples of a target at one time. */
  scrape(target: string, samples: Iterable<ScrapedSample>, timeMs: number): void;
  /** The target is gone (or did not answer): all its series go stale. */
  forget(target: string, timeMs: number): void;
  /** Drops what is too old; call it about once per minute. */
  sweep(nowMs: number): void;
  gapsOf(keeper: string): Gaps;
  readonly stats: SeriesStats;
}

/** Series that nobody wants are remembered, up to so many: each scrape brings them again. */
const MAX_UNWANTED = 5_000;

export function createSeriesStore(options: SeriesStoreOptions = {}): SeriesStore {
  return new Store(options);
}

class Store implements SeriesStore {
  readonly #limits: Required<SeriesStoreOptions>;
  readonly #byKey = new Map<string, Series>();
  readonly #byName = new Map<string, Set<Series>>();
  readonly #byTarget = new Map<string, Map<string, Series>>();
  /** Series by a label that the selectors of their metric fix. */
  readonly #byLabel = new Map<string, Set<Series>>();
  readonly #unwanted = new Set<string>();
  readonly #keepers: Keepers;
  #samples = 0;
  #dropped = 0;

  constructor(options: SeriesStoreOptions) {
    this.#limits = { ...SERIES_LIMITS, ...options };
    this.#keepers = new Keepers(this.#limits.maxSeriesOfKeeper);
  }

  get stats(): SeriesStats {
    return { series: this.#byKey.size, samples: this.#samples, dropped: this.#dropped };
  }

  setWanted(selectors: readonly (readonly Matcher[])[]): void {
    this.setWantedBy([['', selectors]]);
  }

  setWantedBy(wanted: Wanted): void {
    this.#keepers.setWanted(wanted);
    this.#unwanted.clear();
    // Series are sorted again, by the labels that the new selectors fix.
    this.#byLabel.clear();
    for (const series of this.#byKey.values()) {
      const keepers = this.#keepers.wanting(series.labels);
      if (keepers.length === 0) {
        series.keepers = keepers;
        this.#remove(series);
      } else {
        this.#keepers.charge(series, keepers);
        this.#sort(series);
      }
    }
  }

  wantsName(name: string): boolean {
    return this.#keepers.index.wantsName(name);
  }

  gapsOf(keeper: string): Gaps {
    return this.#keepers.gapsOf(keeper);
  }

  append(labels: Labels, value: number, timeMs: number): boolean {
    return this.#append(labels, value, timeMs) !== undefined;
  }

  #append(labels: Labels, value: number, timeMs: number): Series | undefined {
    const key = labelsKey(labels);
    const series = this.#byKey.get(key) ?? this.#create(key, labels, timeMs);
    if (!series) return undefined;
    if (this.#push(series, value, timeMs)) return series;
    this.#refuse(series.keepers, timeMs);
    return undefined;
  }

  #refuse(keepers: readonly string[], atMs: number): void {
    this.#dropped += 1;
    this.#keepers.refused(keepers, atMs);
  }

  #create(key: string, labels: Labels, timeMs: number): Series | undefined {
    if (this.#unwanted.has(key)) return undefined;
    const wanting = this.#keepers.wanting(labels);
    if (wanting.length === 0) return this.#remember(key);
    if (this.#byKey.size >= this.#limits.maxSeries) this.sweep(timeMs);
    const isFull = this.#byKey.size >= this.#limits.maxSeries;
    const keepers = isFull ? [] : wanting.filter((keeper) => this.#keepers.hasRoom(keeper));
    const refused = wanting.filter((keeper) => !keepers.includes(keeper));
    if (refused.length > 0) this.#refuse(refused, timeMs);
    if (keepers.length === 0) return undefined;
    // The labels again from the key: parts of a scraped text would keep the whole text alive.
    const own: Labels = new Map(JSON.parse(key) as [string, string][]);
    const series: Series = { key, labels: own, keepers, times: [], values: [] };
    this.#byKey.set(key, series);
    put(this.#byName, own.get(METRIC_NAME) ?? '', series);
    this.#keepers.charge(series, keepers);
    this.#sort(series);
    return series;
  }

  #remember(key: string): undefined {
    if (this.#unwanted.size >= MAX_UNWANTED) this.#unwanted.clear();
    this.#unwanted.add(key);
  }

  #sort(series: Series): void {
    for (const key of this.#labelKeys(series)) put(this.#byLabel, key, series);
  }

  *#labelKeys({ labels }: Series): Iterable<string> {
    const name = labels.get(METRIC_NAME) ?? '';
    for (const label of this.#keepers.index.labelsOf(name))
      yield labelKey(name, { label, value: labels.get(label) ?? '' });
  }

  /** Times only rise; a clock that jumped back takes the samples of the future with it. */
  #push(series: Series, value: number, timeMs: number): boolean {
    const { maxSamples, retentionMs } = this.#limits;
    while (series.times.length > 0 && (series.times.at(-1) as number) >= timeMs) {
      series.times.pop();
      series.values.pop();
      this.#samples -= 1;
    }
    if (this.#samples >= maxSamples) this.#squeeze(timeMs);
    if (this.#samples >= maxSamples) return false;
    // Asked for only now: making room puts shorter arrays in their place.
    const { times, values } = series;
    times.push(timeMs);
    values.push(value);
    this.#samples += 1;
    // Moving an array's head costs its length, so only once a quarter of it is too old.
    if ((times[times.length >> 2] as number) <= timeMs - retentionMs) this.#trim(series, timeMs);
    return true;
  }

  /** A tenth of the room, so that the next sample does not walk all series again. */
  #squeeze(nowMs: number): void {
    const { maxSamples, retentionMs } = this.#limits;
    const { gone, early } = makeRoom({
      series: this.#byKey.values(),
      nowMs,
      retentionMs,
      samples: this.#samples - maxSamples * 0.9,
      onShortened: (keeper, sinceMs) => this.#keepers.shortened(keeper, sinceMs),
    });
    this.#samples -= gone;
    this.#dropped += early;
  }

  #trim(series: Series, nowMs: number): void {
    this.#samples -= dropUpTo(series, nowMs - this.#limits.retentionMs);
  }

  begin(target: string, timeMs: number): Intake {
    const now = new Map<string, Series>();
    const end = (): void => {
      const before = this.#byTarget.get(target) ?? [];
      for (const [key, series] of before) if (!now.has(key)) this.#end(series, timeMs);
      if (now.size > 0) this.#byTarget.set(target, now);
      else this.#byTarget.delete(target);
    };
    return {
      end,
      add: (labels, value) => {
        const series = this.#append(labels, value, timeMs);
        if (series) now.set(series.key, series);
        return series !== undefined;
      },
      fail: () => {
        for (const series of now.values()) this.#end(series, timeMs);
        now.clear();
        end();
      },
    };
  }

  scrape(target: string, samples: Iterable<ScrapedSample>, timeMs: number): void {
    const intake = this.begin(target, timeMs);
    for (const { labels, value } of samples) intake.add(labels, value);
    intake.end();
  }

  forget(target: string, timeMs: number): void {
    this.scrape(target, [], timeMs);
  }

  #end(series: Series, timeMs: number): void {
    if (this.#byKey.get(series.key) === series) this.#push(series, STALE, timeMs);
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
    this.#keepers.release(series);
    addSeries(this.#byName, series.labels.get(METRIC_NAME) ?? '', series);
    for (const key of this.#labelKeys(series)) addSeries(this.#byLabel, key, series);
  }

  *#select(matchers: readonly Matcher[], visit?: () => void): Iterable<Series> {
    for (const series of this.#candidates(matchers)) {
      visit?.();
      if (matchesAll(matchers, series.labels)) yield series;
    }
  }

  #candidates(matchers: readonly Matcher[]): Iterable<Series> {
    const name = fixedName(matchers);
    if (name === undefined) return this.#byKey.values();
    const key = this.#keepers.index.keyOf(matchers);
    return (key ? this.#byLabel.get(labelKey(name, key)) : this.#byName.get(name)) ?? [];
  }

  latest(...[matchers, fromMs, toMs, visit]: Parameters<SeriesSource['latest']>): readonly TimedSample[] {
    const found: TimedSample[] = [];
    for (const { labels, times, values } of this.#select(matchers, visit)) {
      const i = countUpTo(times, toMs) - 1;
      const [timeMs, value] = [times[i], values[i]];
      if (timeMs === undefined || value === undefined || timeMs <= fromMs || value === STALE) continue;
      found.push({ labels, value, timeMs });
    }
    return found;
  }

  range(...[matchers, fromMs, toMs, visit]: Parameters<SeriesSource['range']>): readonly RangeSeries[] {
    const found: RangeSeries[] = [];
    for (const series of this.#select(matchers, visit)) {
      const samples = cut(series, fromMs, toMs);
      if (samples.times.length > 0) found.push({ labels: series.labels, ...samples });
    }
    return found;
  }
}

/** Unambiguous: a name and a label hold no space. */
function labelKey(name: string, { label, value }: FixedLabel): string {
  return `${name} ${label} ${value}`;
}
