/** How much is kept for queries. It is apart from what keeps it, because flags need the numbers and no library. */

export interface SeriesStoreOptions {
  readonly retentionMs?: number;
  readonly maxSeries?: number;
  readonly maxSamples?: number;
  readonly maxSeriesOfKeeper?: number;
}

/** 30 minutes; 2,000,000 samples are 32 MB. */
export const SERIES_LIMITS = {
  retentionMs: 1_800_000,
  maxSeries: 20_000,
  maxSamples: 2_000_000,
  maxSeriesOfKeeper: 5_000,
} as const;
