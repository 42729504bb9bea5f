/** Rules over a store, with clocks that a test turns. */
import { labels } from '../promql/world.ts';
import type { FunctionInfo } from '../../../common/function/spec.ts';
import { createSeriesStore, type SeriesStore } from '../../../scaler/promql/query.ts';
import type { SeriesStoreOptions } from '../../../scaler/promql/limits.ts';
import type { RuleAnswer, QueryRule } from '../../../scaler/queries/query-messages.ts';
import { QueryRules, type QueryRulesOptions } from '../../../scaler/queries/query-rules.ts';

export const START_MS = 1_000_000_000;

/** The rule of function `fn` in namespace `shop`. */
export function ruleOf(fn: string, ...queries: string[]): QueryRule {
  const scope = { namespace: 'shop', function: fn };
  const id = [...fn].reduce((sum, c) => sum * 31 + c.charCodeAt(0), 7) % 1_000_003;
  return { key: `shop/${fn}`, id, scope, queries, intervalMs: 1_000 };
}

export class RulesWorld {
  nowMs = START_MS;
  /** Of budgets; nothing takes time unless a test says so. */
  clockMs = 0;
  readonly store: SeriesStore;
  readonly rules: QueryRules;

  constructor(options: Partial<QueryRulesOptions> & { readonly series?: SeriesStoreOptions } = {}) {
    const { series = {}, ...rest } = options;
    this.store = createSeriesStore(series);
    this.rules = new QueryRules({
      store: this.store,
      retentionMs: series.retentionMs ?? 1_800_000,
      clock: () => this.clockMs,
      ...rest,
    });
  }

  /** One round of scraping: `fn` of namespace shop says these samples. */
  round(
    samples: Readonly<Record<string, number>>,
    { fn = 'fn', everyMs = 1_000, isLeader = true, takesMs = 0 } = {},
  ): void {
    const begunMs = this.nowMs;
    this.rules.roundBegun();
    this.nowMs += takesMs;
    const all = Object.entries(samples).map(([text, value]) => {
      const set = new Map([...labels(text), ['namespace', 'shop'], ['function', fn]]);
      return { labels: set, value };
    });
    this.store.scrape(fn, all, this.nowMs);
    this.rules.roundDone({ begunMs, everyMs, isLeader });
  }

  /** The answers of a function's rule, evaluated now. */
  answers(fn = 'fn'): readonly RuleAnswer[] {
    return this.rules.evaluate(this.nowMs).find(({ key }) => key === `shop/${fn}`)?.answers ?? [];
  }

  values(fn = 'fn'): (number | undefined)[] {
    return this.answers(fn).map(({ value }) => value);
  }
}

export function functionWith(queries: readonly string[], name = 'fn'): FunctionInfo {
  const triggers = queries.map((query) => ({ metricType: 'Value', metricName: 'm', query, threshold: 1 }));
  const spec = { scale: { triggers, scrapeIntervalMs: 1_000 } };
  return { id: { namespace: 'shop', name }, spec } as unknown as FunctionInfo;
}
