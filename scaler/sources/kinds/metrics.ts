/**
 * An exporter's page in Prometheus's text format, which our own PromQL reads. Series are kept in a store of its own for
 * all sources, and each query sees those of its source alone. So an exporter's labels stay as they are.
 */
import { labelsOf } from '../../promql/labels.ts';
import {
  compileSourceQuery,
  historyMs,
  PromqlError,
  queryNumber,
  type Query,
  type SeriesStore,
} from '../../promql/query.ts';
import { whyNothing } from '../../promql/nothing-matches.ts';
import { SOURCE_LABEL } from '../../promql/scope.ts';
import { TextReader } from '../../promql/store/text-format.ts';
import { describeError } from '../../../common/runtime/errors.ts';
import type { SourcePlace } from '../../../common/function/spec.ts';
import type { Reach } from '../reach.ts';
import type { SourceReader, SourceReading, SourceRule } from '../source-rules.ts';
import type { SourceSeries } from '../source-series.ts';

export interface MetricsDeps {
  readonly reach: Reach;
  readonly series: SourceSeries;
  readonly now: () => number;
}

const PAGE = { bytes: 2 * 1024 * 1024, samples: 10_000 } as const;
/** Polls may be late; beyond so many intervals the series have a hole. */
const GAP_INTERVALS = 3;

export class MetricsReader implements SourceReader {
  readonly #rule: SourceRule;
  readonly #url: string;
  readonly #deps: MetricsDeps;
  readonly #queries: readonly (Query | string)[];
  readonly #id: string;
  /** Since when polls have followed each other. */
  #sinceMs = Infinity;
  #lastMs = -Infinity;

  constructor(
    rule: SourceRule,
    { url }: Extract<SourcePlace, { type: 'metrics' | 'prometheus' }>,
    deps: MetricsDeps,
  ) {
    this.#rule = rule;
    this.#url = url;
    this.#deps = deps;
    this.#id = String(rule.id);
    this.#queries = rule.questions.map(({ query }) => compiledOr(query, this.#id));
    const wanted = this.#queries.flatMap((query) => (typeof query === 'string' ? [] : query.selectors));
    deps.series.want(this.#id, wanted);
  }

  async read(signal: AbortSignal): Promise<readonly SourceReading[]> {
    const { now, series } = this.#deps;
    const begunMs = now();
    await this.#scrape(signal, begunMs);
    const isLate = begunMs - this.#lastMs > GAP_INTERVALS * this.#rule.source.intervalMs;
    if (isLate || begunMs < this.#lastMs) this.#sinceMs = begunMs;
    this.#lastMs = begunMs;
    return series.evaluate(this.#rule.id, (isOverTime) => this.#answers(isOverTime));
  }

  close(): void {
    this.#deps.series.forget(this.#id);
  }

  async #scrape(signal: AbortSignal, nowMs: number): Promise<void> {
    const { reach, series } = this.#deps;
    const { of, credentials } = this.#rule;
    const { store } = series;
    const intake = store.begin(this.#id, nowMs);
    let samples = 0;
    const targetLabels = labelsOf({ [SOURCE_LABEL]: this.#id });
    const reader = new TextReader(
      { targetLabels, wantsName: (name) => store.wantsName(name) },
      (labels, value) => {
        if (++samples > PAGE.samples) throw new Error(`more than ${PAGE.samples} samples that queries want`);
        intake.add(labels, value);
      },
    );
    try {
      const ask = { url: this.#url, credentials, signal, maxBytes: PAGE.bytes };
      for await (const text of reach.text(of.namespace, ask)) reader.push(text);
      reader.end();
    } catch (error) {
      intake.fail();
      throw error;
    }
    intake.end();
  }

  #answers(isOverTime: () => boolean): SourceReading[] {
    const nowMs = this.#deps.now();
    return this.#queries.map((query) => {
      if (typeof query === 'string') return { value: undefined, fault: query };
      try {
        return this.#answer(query, nowMs, isOverTime);
      } catch (error) {
        return { value: undefined, fault: describeError(error) };
      }
    });
  }

  #answer(query: Query, nowMs: number, isOverTime: () => boolean): SourceReading {
    const { store, retentionMs } = this.#deps.series;
    const needsMs = historyMs(query, nowMs);
    if (needsMs > retentionMs)
      return {
        value: undefined,
        fault: `the query looks back ${needsMs / 1_000} s, and samples are kept for ${retentionMs / 1_000} s`,
      };
    const fault = roomFault(store, this.#id, nowMs - needsMs);
    if (fault !== undefined) return { value: undefined, fault };
    const value = queryNumber(query, store, nowMs, { isOverTime });
    const isWhole = this.#sinceMs <= nowMs - needsMs + this.#rule.source.intervalMs;
    if (value !== undefined) return { value, isWhole };
    return { value, fault: whyNothing(query, store, nowMs, () => undefined) ?? 'no data' };
  }
}

function compiledOr(text: string, source: string): Query | string {
  try {
    return compileSourceQuery(text, source);
  } catch (error) {
    return error instanceof PromqlError ? error.message : describeError(error);
  }
}

function roomFault(store: SeriesStore, id: string, sinceMs: number): string | undefined {
  const { refusedAtMs, completeSinceMs } = store.gapsOf(id);
  if (refusedAtMs >= sinceMs) return 'its queries want more series than there is room for';
  return completeSinceMs > sinceMs ? 'its queries want more samples than there is room for' : undefined;
}
