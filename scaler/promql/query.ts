/** The face of this folder for the scaler: a query is compiled once and evaluated each tick. */
import { reachMs, selectorsOf, type Expr } from './ast.ts';
import { PromqlError } from './error.ts';
import { evaluate, type EvaluateOptions } from './evaluate.ts';
import type { Matcher } from './matcher.ts';
import { parsePromql } from './parse.ts';
import { typeOf } from './check.ts';
import type { SeriesSource, Value } from './values.ts';

export { PromqlError } from './error.ts';
export { labelsOf } from './labels.ts';
export { createSeriesStore, type SeriesStats, type SeriesStore } from './series.ts';
export type { Value } from './values.ts';

export interface Query {
  readonly text: string;
  readonly expr: Expr;
  /** What the series store must keep for it. */
  readonly selectors: readonly (readonly Matcher[])[];
  /** How far back it looks; beyond the store's 30 minutes it sees nothing. */
  readonly reachMs: number;
}

/** @throws PromqlError, with the position where it has one */
export function compileQuery(text: string): Query {
  const expr = parsePromql(text);
  const selectors = selectorsOf(expr).map((selector) => selector.matchers);
  return Object.freeze({ text, expr, selectors, reachMs: reachMs(expr) });
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
 * The one number that a trigger needs; undefined when there is no valid data. Several series add up, as in
 * SlimFaas, so that a query without `sum` still sees every pod; one that is not a number spoils the sum.
 * @throws PromqlError
 */
export function queryNumber(query: Query, source: SeriesSource, nowMs: number): number | undefined {
  if (typeOf(query.expr) !== 'scalar' && typeOf(query.expr) !== 'vector') {
    throw new PromqlError('type', 'a trigger needs a number, not a range or a string', { position: 0 });
  }
  return numberOfValue(runQuery(query, source, nowMs));
}

export function numberOfValue(value: Value): number | undefined {
  if (value.type === 'scalar') return finite(value.value);
  if (value.type !== 'vector' || value.samples.length === 0) return undefined;
  return finite(value.samples.reduce((total, sample) => total + sample.value, 0));
}

function finite(value: number): number | undefined {
  return Number.isFinite(value) ? value : undefined;
}
