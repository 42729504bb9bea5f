/** The type of each part of a query, checked when it is parsed: what passes cannot fail on a type later. */
import {
  childrenOf,
  type Aggregate,
  type Binary,
  type BinaryOp,
  type FunctionCall,
  type Expr,
  type ValueType,
} from './ast.ts';
import { PromqlError } from '../error.ts';
import { AGGREGATIONS, signatureOf } from './signatures.ts';

const SET_OPS: ReadonlySet<BinaryOp> = new Set(['and', 'or', 'unless']);
const COMPARISONS: ReadonlySet<BinaryOp> = new Set(['==', '!=', '>', '<', '>=', '<=']);

export function isSetOp(op: BinaryOp): boolean {
  return SET_OPS.has(op);
}

export function isComparison(op: BinaryOp): boolean {
  return COMPARISONS.has(op);
}

/** The type of a checked expression; every aggregation gives a vector. */
export function typeOf(expr: Expr): ValueType {
  switch (expr.kind) {
    case 'number':
      return 'scalar';
    case 'string':
      return 'string';
    case 'range':
    case 'subquery':
      return 'matrix';
    case 'negate':
      return typeOf(expr.expr);
    case 'binary':
      return typeOf(expr.left) === 'scalar' && typeOf(expr.right) === 'scalar' ? 'scalar' : 'vector';
    case 'call':
      return signatureOf(expr.name)?.returns ?? 'vector';
    default:
      return 'vector';
  }
}

/** @throws PromqlError at the first part that does not fit */
export function checkTypes(expr: Expr): void {
  for (const child of childrenOf(expr)) checkTypes(child);
  switch (expr.kind) {
    case 'call':
      return checkCall(expr);
    case 'aggregate':
      return checkAggregate(expr);
    case 'binary':
      return checkBinary(expr);
    case 'subquery':
      return expectType(expr.expr, 'vector', 'a subquery');
    case 'negate':
      return expectNumeric(expr.expr, 'a sign');
    default:
      return undefined;
  }
}

function checkCall(call: FunctionCall): void {
  const signature = signatureOf(call.name);
  if (!signature) throw fault('unsupported', `function ${call.name} is not supported`, call);
  const { args, optional, isVariadic } = signature;
  const least = args.length - optional;
  if (call.args.length < least || (call.args.length > args.length && !isVariadic)) {
    const most = isVariadic ? 'or more' : `to ${args.length}`;
    const wanted = least === args.length && !isVariadic ? `${least}` : `${least} ${most}`;
    throw fault('type', `${call.name} takes ${wanted} arguments, got ${call.args.length}`, call);
  }
  for (const [i, arg] of call.args.entries()) {
    expectType(arg, args[Math.min(i, args.length - 1)] as ValueType, call.name);
  }
}

function checkAggregate(aggregate: Aggregate): void {
  const { op } = aggregate;
  const name = op.toLowerCase();
  if (!AGGREGATIONS.has(name)) throw fault('unsupported', `aggregation ${op} is not supported`, aggregate);
  const param = AGGREGATIONS.get(name);
  if (param === undefined && aggregate.param) throw fault('type', `${op} takes no parameter`, aggregate);
  if (param !== undefined && !aggregate.param) throw fault('type', `${op} needs a parameter`, aggregate);
  if (param !== undefined && aggregate.param) expectType(aggregate.param, param, op);
  expectType(aggregate.expr, 'vector', op);
}

function checkBinary(binary: Binary): void {
  const { op, left, right, isBool, matching } = binary;
  expectNumeric(left, op);
  expectNumeric(right, op);
  const scalars = [left, right].filter((side) => typeOf(side) === 'scalar').length;
  if (isBool && !isComparison(op)) throw fault('type', 'bool belongs to a comparison', binary);
  if (scalars === 2 && isComparison(op) && !isBool) {
    throw fault('type', 'a comparison between scalars needs bool', binary);
  }
  if (scalars > 0 && isSetOp(op)) throw fault('type', `${op} is for vectors only`, binary);
  const isMatched = matching.isOn || matching.labels.length > 0 || matching.cardinality !== 'one-to-one';
  if (scalars > 0 && isMatched) throw fault('type', 'matching labels is for two vectors', binary);
  if (isSetOp(op) && matching.cardinality !== 'one-to-one') {
    throw fault('type', `${op} takes no group_left or group_right`, binary);
  }
  const twice = matching.isOn ? matching.include.find((label) => matching.labels.includes(label)) : undefined;
  if (twice !== undefined) throw fault('type', `label ${twice} is both in on and in the group`, binary);
}

function expectType(expr: Expr, wanted: ValueType, what: string): void {
  const found = typeOf(expr);
  if (found !== wanted) throw fault('type', `${what} needs ${NAMES[wanted]}, not ${NAMES[found]}`, expr);
}

function expectNumeric(expr: Expr, what: string): void {
  const found = typeOf(expr);
  if (found === 'scalar' || found === 'vector') return;
  throw fault('type', `${what} needs a scalar or an instant vector, not ${NAMES[found]}`, expr);
}

const NAMES: Readonly<Record<ValueType, string>> = {
  scalar: 'a scalar',
  vector: 'an instant vector',
  matrix: 'a range vector',
  string: 'a string',
};

function fault(code: 'type' | 'unsupported', message: string, expr: Expr): PromqlError {
  return new PromqlError(code, message, { position: expr.position });
}
