/** Flags of the queries, and what they become. */
import type { FlagTable, FlagValues } from '../../common/runtime/flags.ts';
import { SERIES_LIMITS, type SeriesStoreOptions } from '../promql/limits.ts';
import { QUERY_BUDGETS, type QueryBudgets } from './query-messages.ts';

export const queryFlags = {
  'prometheus-url': {
    type: 'string',
    default: '',
    group: 'Queries',
    describe:
      'Prometheus that answers the queries of SlimFaas/Scale; empty: the scaler evaluates them itself',
  },
  'query-retention': {
    type: 'number',
    default: SERIES_LIMITS.retentionMs / 1_000,
    min: 60,
    max: 86_400,
    group: 'Queries',
    describe: 'seconds for which samples are kept for queries that the scaler evaluates itself',
  },
  'query-max-series': {
    type: 'int',
    default: SERIES_LIMITS.maxSeries,
    min: 1,
    group: 'Queries',
    describe:
      'series kept for queries; what has no room is counted in slimfaas_scaler_query_samples_dropped_total',
  },
  'query-max-series-per-function': {
    type: 'int',
    default: SERIES_LIMITS.maxSeriesOfKeeper,
    min: 1,
    group: 'Queries',
    describe: 'series kept for the queries of one function; with more they have a fault and no value',
  },
  'query-function-budget': {
    type: 'int',
    default: QUERY_BUDGETS.functionMs,
    min: 1,
    max: 5_000,
    group: 'Queries',
    describe:
      'milliseconds that the queries of one function may take each time; over it they have a fault, no value and a pause',
  },
  'query-round-budget': {
    type: 'int',
    default: QUERY_BUDGETS.roundMs,
    min: 1,
    max: 5_000,
    group: 'Queries',
    describe:
      'milliseconds per second that the queries of all functions may take; what is left waits for the next second',
  },
  'query-max-samples': {
    type: 'int',
    default: SERIES_LIMITS.maxSamples,
    min: 1,
    group: 'Queries',
    describe: 'samples kept for queries, 16 bytes each',
  },
} as const satisfies FlagTable;

type QueryConfig = FlagValues<typeof queryFlags>;

export function seriesOptionsOf(config: QueryConfig): SeriesStoreOptions {
  return {
    retentionMs: config['query-retention'] * 1_000,
    maxSeries: config['query-max-series'],
    maxSamples: config['query-max-samples'],
    maxSeriesOfKeeper: config['query-max-series-per-function'],
  };
}

export function queryBudgetsOf(config: QueryConfig): QueryBudgets {
  return { functionMs: config['query-function-budget'], roundMs: config['query-round-budget'] };
}
