/** What evaluation yields, and where it gets its data from. */
import type { Labels } from './labels.ts';
import type { Matcher } from './matcher.ts';

export interface Sample {
  readonly labels: Labels;
  readonly value: number;
}

/** A sample with the time at which it was taken. */
export interface TimedSample extends Sample {
  readonly timeMs: number;
}

/** The samples of one series within a range, in order of time; `times` and `values` run side by side. */
export interface RangeSeries {
  readonly labels: Labels;
  readonly times: readonly number[];
  readonly values: readonly number[];
}

/** Series within (fromMs, toMs], left-open as in Prometheus 3. */
export interface Matrix {
  readonly series: readonly RangeSeries[];
  readonly fromMs: number;
  readonly toMs: number;
}

export type Value =
  | { readonly type: 'scalar'; readonly value: number }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'vector'; readonly samples: readonly Sample[] }
  | { readonly type: 'matrix'; readonly matrix: Matrix };

/** Where series come from; series.ts is one. Stale markers never come out of it. */
export interface SeriesSource {
  /**
   * The newest sample of each matching series within (fromMs, toMs]; none for a series that went stale.
   * @param visit called before each series that is looked at; may throw to end the search
   */
  latest(
    matchers: readonly Matcher[],
    fromMs: number,
    toMs: number,
    visit?: () => void,
  ): readonly TimedSample[];
  /** All samples of each matching series within (fromMs, toMs]; series without any are left out. */
  range(
    matchers: readonly Matcher[],
    fromMs: number,
    toMs: number,
    visit?: () => void,
  ): readonly RangeSeries[];
}
