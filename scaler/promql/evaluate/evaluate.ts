/**
 * Evaluates a checked query at one moment. Semantics are those of Prometheus 3. An instant selector sees the newest
 * sample of the last 5 minutes, and ranges are left-open. A series that vanished from its target is stale at once. A
 * budget of samples bounds one evaluation, since the queries are the users' and the loop is everybody's.
 */
import {
  LOOKBACK_MS,
  type Aggregate,
  type Binary,
  type FunctionCall,
  type Expr,
  type Selector,
  type Subquery,
} from '../parse/ast.ts';
import { aggregate } from './aggregate.ts';
import { matchVectors, operate, setOperation, withScalar } from './binary.ts';
import { isSetOp, typeOf } from '../parse/check.ts';
import { PromqlError } from '../error.ts';
import { labelJoin, labelReplace, MAP_FUNCTIONS, mapSamples, type LabelChange } from './functions.ts';
import { histogramFraction, histogramQuantile } from './histogram.ts';
import { dropName, labelsKey, METRIC_NAME, NO_LABELS, type Labels } from '../labels.ts';
import { KEEPS_NAME, RANGE_FUNCTIONS, type RangeFunction } from './range-functions.ts';
import type { Matrix, RangeSeries, Sample, SeriesSource, TimedSample, Value } from '../values.ts';

export interface EvaluateOptions {
  /** Samples that one evaluation may read; a million take about 20 ms. */
  readonly maxSamples?: number;
  /** Asked often while the evaluation goes on; true ends it. */
  readonly isOverTime?: () => boolean;
}

const DEFAULT_MAX_SAMPLES = 1_000_000;
/** Prometheus's default for it is its evaluation interval, which is a minute unless somebody changes it. */
const DEFAULT_STEP_MS = 60_000;

/** @throws PromqlError and nothing else */
export function evaluate(
  expr: Expr,
  source: SeriesSource,
  nowMs: number,
  options: EvaluateOptions = {},
): Value {
  const budget = {
    left: options.maxSamples ?? DEFAULT_MAX_SAMPLES,
    isOverTime: options.isOverTime ?? (() => false),
  };
  const evaluation = new Evaluation(source, nowMs, budget);
  switch (typeOf(expr)) {
    case 'scalar':
      return { type: 'scalar', value: evaluation.scalar(expr) };
    case 'string':
      return { type: 'string', value: stringOf(expr) };
    case 'matrix':
      return { type: 'matrix', matrix: evaluation.matrix(expr) };
    default:
      return { type: 'vector', samples: evaluation.vector(expr) };
  }
}

interface Budget {
  left: number;
  readonly isOverTime: () => boolean;
}

class Evaluation {
  readonly #source: SeriesSource;
  readonly #nowMs: number;
  readonly #budget: Budget;

  constructor(source: SeriesSource, nowMs: number, budget: Budget) {
    this.#source = source;
    this.#nowMs = nowMs;
    this.#budget = budget;
  }

  scalar(expr: Expr): number {
    switch (expr.kind) {
      case 'number':
        return expr.value;
      case 'negate':
        return -this.scalar(expr.expr);
      case 'binary':
        return operate(expr.op, this.scalar(expr.left), this.scalar(expr.right));
      case 'call':
        return this.#scalarCall(expr);
      default:
        throw unexpected(expr);
    }
  }

  #scalarCall(call: FunctionCall): number {
    if (call.name === 'time') return this.#nowMs / 1_000;
    if (call.name === 'pi') return Math.PI;
    const [only, ...more] = this.vector(call.args[0] as Expr);
    return only && more.length === 0 ? only.value : Number.NaN;
  }

  vector(expr: Expr): readonly Sample[] {
    switch (expr.kind) {
      case 'selector':
        return this.#instant(expr);
      case 'negate':
        return unique(
          this.vector(expr.expr).map((s) => ({ labels: dropName(s.labels), value: -s.value })),
          expr,
        );
      case 'aggregate':
        return this.#aggregate(expr);
      case 'binary':
        return this.#binary(expr);
      case 'call':
        return unique(this.#call(expr), expr);
      default:
        throw unexpected(expr);
    }
  }

  matrix(expr: Expr): Matrix {
    if (expr.kind === 'subquery') return this.#subquery(expr);
    if (expr.kind !== 'range') throw unexpected(expr);
    const toMs = this.#momentOf(expr.selector);
    const fromMs = toMs - expr.rangeMs;
    const series = this.#source.range(expr.selector.matchers, fromMs, toMs, () => this.#spend(0, expr));
    for (const { times } of series) this.#spend(times.length, expr);
    return { series, fromMs, toMs };
  }

  #momentOf(shift: Selector | Subquery): number {
    return (shift.atMs ?? this.#nowMs) - shift.offsetMs;
  }

  #instant(selector: Selector): readonly TimedSample[] {
    const toMs = this.#momentOf(selector);
    const visit = () => this.#spend(0, selector);
    const samples = this.#source.latest(selector.matchers, toMs - LOOKBACK_MS, toMs, visit);
    this.#spend(samples.length, selector);
    return samples;
  }

  /** Steps lie on multiples of the step, wherever the moment of evaluation does. */
  #subquery(expr: Subquery): Matrix {
    const toMs = this.#momentOf(expr);
    const fromMs = toMs - expr.rangeMs;
    const stepMs = expr.stepMs ?? DEFAULT_STEP_MS;
    const found = new Map<string, { labels: Labels; times: number[]; values: number[] }>();
    for (let at = (Math.floor(fromMs / stepMs) + 1) * stepMs; at <= toMs; at += stepMs) {
      this.#spend(1, expr);
      for (const { labels, value } of new Evaluation(this.#source, at, this.#budget).vector(expr.expr)) {
        const key = labelsKey(labels);
        let series = found.get(key);
        if (!series) found.set(key, (series = { labels, times: [], values: [] }));
        series.times.push(at);
        series.values.push(value);
      }
    }
    return { series: [...found.values()], fromMs, toMs };
  }

  #aggregate(expr: Aggregate): readonly Sample[] {
    const samples = this.vector(expr.expr);
    if (!expr.param) return aggregate(expr, samples, Number.NaN);
    const isText = typeOf(expr.param) === 'string';
    return aggregate(expr, samples, isText ? stringOf(expr.param) : this.scalar(expr.param));
  }

  #binary(expr: Binary): readonly Sample[] {
    const { left, right } = expr;
    if (typeOf(left) === 'scalar')
      return unique(withScalar(expr, this.vector(right), this.scalar(left), true), expr);
    if (typeOf(right) === 'scalar')
      return unique(withScalar(expr, this.vector(left), this.scalar(right), false), expr);
    const [a, b] = [this.vector(left), this.vector(right)];
    return isSetOp(expr.op) ? setOperation(expr, a, b) : matchVectors(expr, a, b);
  }

  #call(call: FunctionCall): readonly Sample[] {
    const { name, args } = call;
    const rangeFunction = RANGE_FUNCTIONS.get(name);
    if (rangeFunction) return this.#rangeCall(call, rangeFunction);
    if (MAP_FUNCTIONS.has(name)) return this.#mapCall(call);
    const [first, ...rest] = args as [Expr, ...Expr[]];
    switch (name) {
      case 'vector':
        return [{ labels: NO_LABELS, value: this.scalar(first) }];
      case 'absent':
        return this.vector(first).length > 0 ? [] : [{ labels: absentLabels(first), value: 1 }];
      case 'absent_over_time':
        return this.matrix(first).series.length > 0 ? [] : [{ labels: absentLabels(first), value: 1 }];
      case 'timestamp':
        return this.#timestamps(first);
      case 'histogram_quantile':
        return histogramQuantile(this.scalar(first), this.vector(rest[0] as Expr));
      case 'histogram_fraction':
        return histogramFraction(
          this.scalar(first),
          this.scalar(rest[0] as Expr),
          this.vector(rest[1] as Expr),
        );
      case 'histogram_avg':
      case 'histogram_count':
      case 'histogram_sum':
      case 'histogram_stddev':
      case 'histogram_stdvar':
        // For native histograms only: as in Prometheus, a series of plain numbers has no answer.
        this.vector(first);
        return [];
      case 'label_replace':
        return labelReplace(this.vector(first), rest.map(stringOf), this.#labelChange(call));
      case 'label_join':
        return labelJoin(this.vector(first), rest.map(stringOf), this.#labelChange(call));
      default: // sort, sort_by_label and their like: the order of a vector means nothing here
        return this.vector(first);
    }
  }

  #rangeCall(call: FunctionCall, fn: RangeFunction): readonly Sample[] {
    // `quantile_over_time(q, m)` has its scalar first, `predict_linear(m, t)` last.
    const matrix = this.matrix(call.args.find(isMatrix) as Expr);
    const params = call.args.filter((arg) => !isMatrix(arg)).map((arg) => this.scalar(arg));
    const result: Sample[] = [];
    for (const series of matrix.series) {
      const value = fn({ ...windowOf(series, matrix), nowMs: this.#nowMs, params });
      if (value === undefined) continue;
      const labels = KEEPS_NAME.includes(call.name) ? series.labels : dropName(series.labels);
      result.push({ labels, value });
    }
    return result;
  }

  /** `hour()` without an argument is the hour of `time()`. */
  #mapCall({ name, args }: FunctionCall): readonly Sample[] {
    const [vector, ...params] = args;
    const samples = vector ? this.vector(vector) : [{ labels: NO_LABELS, value: this.#nowMs / 1_000 }];
    return mapSamples(
      name,
      samples,
      params.map((param) => this.scalar(param)),
    );
  }

  /** For a selector the time at which each sample was taken; for anything computed the present. */
  #timestamps(expr: Expr): readonly Sample[] {
    if (expr.kind !== 'selector') {
      return this.vector(expr).map((s) => ({ labels: dropName(s.labels), value: this.#nowMs / 1_000 }));
    }
    return this.#instant(expr).map((s) => ({ labels: dropName(s.labels), value: s.timeMs / 1_000 }));
  }

  #labelChange(call: FunctionCall): LabelChange {
    return { position: call.position, visit: () => this.#spend(1, call) };
  }

  #spend(samples: number, expr: Expr): void {
    this.#budget.left -= samples;
    const { left, isOverTime } = this.#budget;
    if (left >= 0 && !isOverTime()) return;
    const why = left < 0 ? 'the query reads too many samples' : 'the query takes too long';
    throw new PromqlError('too-expensive', why, { position: expr.position });
  }
}

function isMatrix(expr: Expr): boolean {
  return typeOf(expr) === 'matrix';
}

function windowOf(series: RangeSeries, matrix: Matrix) {
  return { times: series.times, values: series.values, fromMs: matrix.fromMs, toMs: matrix.toMs };
}

/** The labels that a missing series would surely have had. */
function absentLabels(expr: Expr): Labels {
  const selector = expr.kind === 'range' ? expr.selector : expr;
  if (selector.kind !== 'selector') return NO_LABELS;
  const labels = new Map<string, string>();
  const named = selector.matchers.filter((matcher) => matcher.label !== METRIC_NAME);
  for (const { label, op, value } of named) if (op === '=' && value !== '') labels.set(label, value);
  // A label that is asked for twice has no one value.
  for (const { label } of named) if (named.filter((m) => m.label === label).length > 1) labels.delete(label);
  return labels;
}

/** Two series may differ in their names alone; without them neither could be told from the other. */
function unique(samples: readonly Sample[], expr: Expr): readonly Sample[] {
  if (samples.length > 1 && new Set(samples.map((s) => labelsKey(s.labels))).size < samples.length) {
    throw new PromqlError('execution', 'two series have the same labels', { position: expr.position });
  }
  return samples;
}

function stringOf(expr: Expr): string {
  if (expr.kind !== 'string') throw unexpected(expr);
  return expr.value;
}

/** The type check of the parser makes this impossible; if it errs, an error is better than a wrong count. */
function unexpected(expr: Expr): PromqlError {
  return new PromqlError('type', `${expr.kind} does not belong here`, { position: expr.position });
}
