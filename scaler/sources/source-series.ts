/** The series of all sources that are scraped, and the turns of their queries. */
import type { Matcher } from '../promql/matcher.ts';
import { createSeriesStore, type SeriesStore } from '../promql/query.ts';
import { SERIES_LIMITS, type SeriesStoreOptions } from '../promql/limits.ts';

export interface SourceSeriesOptions {
  /** Those of scraped pods: sources have a part of them for their own. */
  readonly limits: SeriesStoreOptions;
  /** Milliseconds for the queries of one source at a time. */
  readonly budgetMs: number;
  /** Called with a rule's id before its evaluation, and with 0 after it. */
  readonly onAtWork: (id: number) => void;
}

/** The part of the pods' room that sources have beside it. */
export const SOURCES_PART = 0.25;
const SWEEP_MS = 60_000;

export class SourceSeries {
  readonly store: SeriesStore;
  readonly retentionMs: number;
  readonly #options: SourceSeriesOptions;
  readonly #wanted = new Map<string, readonly (readonly Matcher[])[]>();
  #isStale = false;
  #sweptAtMs = performance.now();

  constructor(options: SourceSeriesOptions) {
    const { limits } = options;
    this.#options = options;
    const part = (all: number): number => Math.max(1, Math.floor(all * SOURCES_PART));
    this.retentionMs = limits.retentionMs ?? SERIES_LIMITS.retentionMs;
    this.store = createSeriesStore({
      retentionMs: this.retentionMs,
      maxSeries: part(limits.maxSeries ?? SERIES_LIMITS.maxSeries),
      maxSamples: part(limits.maxSamples ?? SERIES_LIMITS.maxSamples),
      maxSeriesOfKeeper: part(limits.maxSeriesOfKeeper ?? SERIES_LIMITS.maxSeriesOfKeeper),
    });
  }

  want(source: string, selectors: readonly (readonly Matcher[])[]): void {
    this.#wanted.set(source, selectors);
    this.#change();
  }

  forget(source: string): void {
    this.#wanted.delete(source);
    this.#change();
  }

  /** Once for all sources that come or go together. */
  #change(): void {
    if (this.#isStale) return;
    this.#isStale = true;
    queueMicrotask(() => {
      this.#isStale = false;
      this.store.setWantedBy([...this.#wanted]);
    });
  }

  evaluate<T>(id: number, work: (isOverTime: () => boolean) => T): T {
    const begunMs = performance.now();
    if (begunMs - this.#sweptAtMs > SWEEP_MS) {
      this.#sweptAtMs = begunMs;
      this.store.sweep(Date.now());
    }
    this.#options.onAtWork(id);
    try {
      return work(() => performance.now() - begunMs > this.#options.budgetMs);
    } finally {
      this.#options.onAtWork(0);
    }
  }
}
