/**
 * What the scaler's main thread and the thread of its queries tell each other. What there is one of for each function
 * or pod travels as one text or one array of numbers, because cloning ten thousand small objects holds the loop.
 */
import type { SeriesStoreOptions } from '../promql/limits.ts';
import type { SeriesStats } from '../promql/store/series.ts';
import type { SourceAnswer, SourceRule } from '../sources/source-rules.ts';
import type { QueryScope } from '../promql/scope.ts';

/** The queries of one function. */
export interface QueryRule {
  readonly key: string;
  /** A number from 1 on that nothing else has: says who is at work when the work never ends. */
  readonly id: number;
  readonly scope: QueryScope;
  readonly queries: readonly string[];
  readonly intervalMs: number;
}

export interface RuleAnswer {
  /** undefined: no valid data. */
  readonly value: number | undefined;
  /** False: part of what the query looks back on is missing, so the value may be too low. */
  readonly isWhole: boolean;
  readonly fault: string | undefined;
  /** The fault is in the query's text. */
  readonly isMiswritten?: boolean;
  /** When the data was looked at. */
  readonly atMs: number;
}

export interface RuleAnswers {
  readonly key: string;
  /** The rule's id at the time at which it was evaluated. */
  readonly id: number;
  /** In the order of the rule's queries. */
  readonly answers: readonly RuleAnswer[];
}

/** Milliseconds of evaluation: a function's at a time, and all functions' a round. */
export interface QueryBudgets {
  readonly functionMs: number;
  readonly roundMs: number;
}

export const QUERY_BUDGETS: QueryBudgets = { functionMs: 200, roundMs: 500 };

/** Given to the thread when it starts. */
export interface QueryThreadData {
  readonly series: SeriesStoreOptions;
  readonly budgets: QueryBudgets;
  /** Empty: the thread evaluates queries itself. */
  readonly prometheusUrl: string;
  /** The gauges that the main thread can tell, and those that only a leader can. */
  readonly gauges: readonly string[];
  readonly leaderGauges: readonly string[];
  /** One Int32: the id of the rule that is at work, 0 for none, {@link QUESTION_AT_WORK}. */
  readonly atWork: SharedArrayBuffer;
  /** Where sources may lead beside Services of their own namespace. */
  readonly sourceAllow: readonly string[];
}

export const QUESTION_AT_WORK = -1;

/** What the scaler says of every function: values function by function within a gauge. */
export interface OwnSamples {
  readonly gauges: readonly string[];
  /** `namespace/name`, one per line. */
  readonly functions: string;
  readonly values: Float64Array<ArrayBuffer>;
}

export type ToQueryThread =
  | { readonly kind: 'rules'; readonly set: readonly QueryRule[]; readonly gone: readonly string[] }
  | { readonly kind: 'sources'; readonly set: readonly SourceRule[]; readonly gone: readonly number[] }
  /** @property targets JSON of ScrapeTarget[] */
  | {
      readonly kind: 'scrape';
      readonly targets: string;
      readonly own: OwnSamples;
      readonly everyMs: number;
      readonly isLeader: boolean;
      /** The number of the last request for a scrape that this one takes account of. */
      readonly requested: number;
    }
  /** A sign of life is wanted, and (`evaluates`) the values of all rules that are due. */
  | { readonly kind: 'tick'; readonly evaluates: boolean }
  | {
      readonly kind: 'ask';
      readonly id: number;
      readonly text: string;
      readonly scope: QueryScope | undefined;
      readonly atMs: number | undefined;
    };

/** What is to be scraped, as long as nothing else is said. */
export interface Wants {
  readonly gauges: readonly string[];
  readonly sidecars: boolean;
  /** Somebody asks: scrape often. */
  readonly questions: boolean;
}

/** How many there are at this moment. */
export interface SourceLines {
  readonly polls: number;
  readonly pollsInLine: number;
  readonly namesInLine: number;
}

export interface QueryThreadStats extends SeriesStats {
  readonly sources: SourceLines;
  /** Scrapes that failed since the start, by reason. */
  readonly refused: ReadonlyMap<string, number>;
}

export type FromQueryThread =
  | { readonly kind: 'alive'; readonly answers: readonly RuleAnswers[]; readonly stats: QueryThreadStats }
  | { readonly kind: 'source'; readonly answer: SourceAnswer }
  /** @property requested the number of the last request for a scrape; a higher one than before: do it now */
  | { readonly kind: 'wants'; readonly wants: Wants; readonly requested: number }
  /** @property json the answer as the HTTP route gives it */
  | { readonly kind: 'answer'; readonly id: number; readonly status: number; readonly json: string };
