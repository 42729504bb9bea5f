/**
 * The face of this folder for the scaler: a query is compiled once and evaluated each tick.
 *
 * Room `scaler/promql`: PromQL: parse, store, evaluate.
 * Comes in: a query and samples.
 * Goes out: values.
 */
import { earliestMs, selectorsOf, type Expr } from './parse/ast.ts';
import { PromqlError } from './error.ts';
import { evaluate, type EvaluateOptions } from './evaluate/evaluate.ts';
import type { Matcher } from './matcher.ts';
import { parsePromql } from './parse/parse.ts';
import { onlyOf, scopeTo, type QueryScope } from './scope.ts';
import { typeOf } from './parse/check.ts';
import type { SeriesSource, Value } from './values.ts';

export { PromqlError } from './error.ts';
export { labelsOf } from './labels.ts';
export type { QueryScope as Scope } from './scope.ts';
export { createSeriesStore, type SeriesStats, type SeriesStore } from './store/series.ts';
export type { Value } from './values.ts';

export interface Query {
  readonly text: string;
  readonly expr: Expr;
  /** What the series store must keep for it. */
  readonly selectors: readonly (readonly Matcher[])[];
}

/** Instructions of all selectors of one query, about 100 bytes each. */
const QUERY_PATTERN_INSTRUCTIONS = 5_000;

export function patternSize(selectors: readonly (readonly Matcher[])[]): number {
  return selectors.flat().reduce((sum, { size }) => sum + size, 0);
}

/**
 * @param scope the function whose query it is; without one, selectors mean what they say
 * @throws PromqlError, with the position where it has one
 */
export function compileQuery(text: string, scope?: QueryScope): Query {
  const parsed = parsePromql(text);
  return compiled(text, scope ? scopeTo(parsed, scope) : parsed);
}

/** The same over the series of one source. @throws PromqlError */
export function compileSourceQuery(text: string, source: string): Query {
  return compiled(text, onlyOf(parsePromql(text), source));
}

function compiled(text: string, expr: Expr): Query {
  const selectors = selectorsOf(expr).map((selector) => selector.matchers);
  const size = patternSize(selectors);
  if (size > QUERY_PATTERN_INSTRUCTIONS) {
    const why = `the regular expressions compile to ${size} instructions, at most ${QUERY_PATTERN_INSTRUCTIONS} are allowed`;
    throw new PromqlError('unsupported', why);
  }
  return Object.freeze({ text, expr, selectors });
}

/** How long before `atMs` the oldest sample lies that the query needs, in milliseconds. */
export function historyMs(query: Query, atMs: number): number {
  return Math.max(0, atMs - earliestMs(query.expr, atMs));
}

export function runQuery(
  query: Query,
  source: SeriesSource,
  nowMs: number,
  options?: EvaluateOptions,
): Value {
  return evaluate(query.expr, source, nowMs, options);
}

/**
 * The one number that a trigger needs; undefined when there is no valid data.
 * @throws PromqlError
 */
export function queryNumber(
  query: Query,
  source: SeriesSource,
  nowMs: number,
  options?: EvaluateOptions,
): number | undefined {
  if (typeOf(query.expr) !== 'scalar' && typeOf(query.expr) !== 'vector') {
    throw new PromqlError('type', 'a trigger needs a number, not a range or a string', { position: 0 });
  }
  return numberOfValue(runQuery(query, source, nowMs, options));
}

/** The largest of several series, as in SlimFaas; NaN does not count. */
export function numberOfValue(value: Value): number | undefined {
  if (value.type === 'scalar') return finite(value.value);
  if (value.type !== 'vector') return undefined;
  const numbers = value.samples.map((sample) => sample.value).filter((number) => !Number.isNaN(number));
  return finite(numbers.reduce((largest, number) => Math.max(largest, number), -Infinity));
}

function finite(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined;
}
