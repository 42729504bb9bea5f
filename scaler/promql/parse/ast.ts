/**
 * A query as this evaluator sees it: parentheses gone, modifiers folded into the selector they belong to,
 * numbers and durations read. `position` is where a part begins in the text, for errors.
 */
import type { Matcher } from '../matcher.ts';

export type ValueType = 'scalar' | 'vector' | 'matrix' | 'string';

export type ArithmeticOp = '+' | '-' | '*' | '/' | '%' | '^' | 'atan2';
export type ComparisonOp = '==' | '!=' | '>' | '<' | '>=' | '<=';
export type SetOp = 'and' | 'or' | 'unless';
export type BinaryOp = ArithmeticOp | ComparisonOp | SetOp;

/** Moves the moment at which a selector looks: `@` first, then `offset` back from there. */
export interface TimeShift {
  readonly offsetMs: number;
  /** `@` as an instant; undefined: the moment of the evaluation, which `start()` and `end()` are too. */
  readonly atMs: number | undefined;
}

export interface Selector extends TimeShift {
  readonly kind: 'selector';
  readonly position: number;
  readonly matchers: readonly Matcher[];
}

export interface RangeSelector {
  readonly kind: 'range';
  readonly position: number;
  readonly selector: Selector;
  readonly rangeMs: number;
}

export interface Subquery extends TimeShift {
  readonly kind: 'subquery';
  readonly position: number;
  readonly expr: Expr;
  readonly rangeMs: number;
  /** undefined: the default step. */
  readonly stepMs: number | undefined;
}

export interface FunctionCall {
  readonly kind: 'call';
  readonly position: number;
  readonly name: string;
  readonly args: readonly Expr[];
}

export interface Aggregate {
  readonly kind: 'aggregate';
  readonly position: number;
  readonly op: string;
  readonly param: Expr | undefined;
  readonly expr: Expr;
  readonly grouping: readonly string[];
  readonly isWithout: boolean;
}

export interface Matching {
  /** `on` the labels, else `ignoring` them. */
  readonly isOn: boolean;
  readonly labels: readonly string[];
  readonly cardinality: 'one-to-one' | 'many-to-one' | 'one-to-many';
  /** Labels of the one side that group_left or group_right copies. */
  readonly include: readonly string[];
}

export interface Binary {
  readonly kind: 'binary';
  readonly position: number;
  readonly op: BinaryOp;
  readonly left: Expr;
  readonly right: Expr;
  readonly isBool: boolean;
  readonly matching: Matching;
}

export type Expr =
  | { readonly kind: 'number'; readonly position: number; readonly value: number }
  | { readonly kind: 'string'; readonly position: number; readonly value: string }
  | { readonly kind: 'negate'; readonly position: number; readonly expr: Expr }
  | Selector
  | RangeSelector
  | Subquery
  | FunctionCall
  | Aggregate
  | Binary;

export function childrenOf(expr: Expr): readonly Expr[] {
  switch (expr.kind) {
    case 'negate':
    case 'subquery':
      return [expr.expr];
    case 'range':
      return [expr.selector];
    case 'call':
      return expr.args;
    case 'aggregate':
      return expr.param ? [expr.param, expr.expr] : [expr.expr];
    case 'binary':
      return [expr.left, expr.right];
    default:
      return [];
  }
}

/** Every selector of a query: what the series store must keep for it. */
export function selectorsOf(expr: Expr): readonly Selector[] {
  return expr.kind === 'selector' ? [expr] : childrenOf(expr).flatMap(selectorsOf);
}

/** An instant selector sees samples up to this old. */
export const LOOKBACK_MS = 300_000;

/**
 * The earliest moment whose samples a query needs, evaluated at `atMs`; Infinity for one that reads no series. The
 * look-back of an instant selector is not counted: what it sees of it, it sees in the newest sample already.
 */
export function earliestMs(expr: Expr, atMs: number): number {
  switch (expr.kind) {
    case 'selector':
      return (expr.atMs ?? atMs) - expr.offsetMs;
    case 'range':
      return earliestMs(expr.selector, atMs) - expr.rangeMs;
    case 'subquery':
      return earliestMs(expr.expr, (expr.atMs ?? atMs) - expr.offsetMs - expr.rangeMs);
    default:
      return Math.min(Infinity, ...childrenOf(expr).map((child) => earliestMs(child, atMs)));
  }
}

/** The same query with each of its selectors changed. */
export function mapSelectors<T extends Expr>(expr: T, change: (selector: Selector) => Selector): T {
  const map = (part: Expr): Expr => mapSelectors(part, change);
  const mapped = (part: Expr): Expr => {
    switch (part.kind) {
      case 'selector':
        return change(part);
      case 'range':
        return { ...part, selector: change(part.selector) };
      case 'negate':
      case 'subquery':
        return { ...part, expr: map(part.expr) };
      case 'call':
        return { ...part, args: part.args.map(map) };
      case 'aggregate':
        return { ...part, param: part.param && map(part.param), expr: map(part.expr) };
      case 'binary':
        return { ...part, left: map(part.left), right: map(part.right) };
      default:
        return part;
    }
  };
  return mapped(expr) as T;
}
