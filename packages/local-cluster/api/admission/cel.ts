/**
 * Evaluates match conditions. As in CEL, a field that is not there is an error and not null. `&&` and `||` swallow
 * the error of one side when the other side decides. The result must be a boolean. Names and functions are checked
 * when the expression is compiled, so that a webhook configuration with a typo is refused instead of failing at the
 * first pod.
 */
import { isDeepStrictEqual } from 'node:util';
import { CelError, parseCel } from './cel-parser.ts';
import type { Node } from './cel-parser.ts';

export { CelError } from './cel-parser.ts';

export type CelScope = Readonly<Record<string, unknown>>;

/** Throws {@link CelError} when the expression fails on this input. */
export type CelProgram = (scope: CelScope) => boolean;

const VARIABLES = ['object', 'oldObject', 'request'];

type Method = (target: unknown, args: readonly unknown[]) => unknown;

/** CEL converts nothing by itself: a number where a text is wanted is an error. */
function text(value: unknown): string {
  if (typeof value !== 'string')
    throw new CelError(`no such overload: ${JSON.stringify(value)} is no string`);
  return value;
}

function size(value: unknown): number {
  if (typeof value === 'string') return [...value].length;
  if (Array.isArray(value)) return value.length;
  if (typeof value === 'object' && value !== null) return Object.keys(value).length;
  throw new CelError('no such overload: size()');
}

/** CEL's matches() is RE2 and finds a match anywhere. */
function matches(target: unknown, pattern: unknown): boolean {
  try {
    return new RegExp(text(pattern), 'u').test(text(target));
  } catch (error) {
    if (error instanceof SyntaxError) throw new CelError(error.message);
    throw error;
  }
}

/** By name and number of arguments. */
const METHODS: Readonly<Record<string, Method>> = {
  'lowerAscii/0': (target) => text(target).replaceAll(/[A-Z]/g, (char) => char.toLowerCase()),
  'upperAscii/0': (target) => text(target).replaceAll(/[a-z]/g, (char) => char.toUpperCase()),
  'trim/0': (target) => text(target).trim(),
  'size/0': (target) => size(target),
  'matches/1': (target, [pattern]) => matches(target, pattern),
  'startsWith/1': (target, [start]) => text(target).startsWith(text(start)),
  'endsWith/1': (target, [end]) => text(target).endsWith(text(end)),
  'contains/1': (target, [part]) => text(target).includes(text(part)),
};

const FUNCTIONS: Readonly<Record<string, (args: readonly unknown[]) => unknown>> = {
  'size/1': ([value]) => size(value),
  'string/1': ([value]) => String(value),
  'int/1': ([value]) => Math.trunc(Number(value)),
};

const MACROS: ReadonlySet<string> = new Set(['exists', 'all']);

/** Refuses names and functions that nothing defines; `bound` holds the variables of enclosing macros. */
function check(node: Node, bound: readonly string[]): void {
  switch (node.op) {
    case 'literal':
      return;
    case 'list':
      return node.items.forEach((item) => check(item, bound));
    case 'name':
      if (!bound.includes(node.name)) throw new CelError(`undeclared reference to '${node.name}'`);
      return;
    case 'select':
      return check(node.target, bound);
    case 'index':
      return [node.target, node.key].forEach((inner) => check(inner, bound));
    case 'call':
      return checkCall(node, bound);
    case 'unary':
      return check(node.operand, bound);
    case 'binary':
      return [node.left, node.right].forEach((inner) => check(inner, bound));
    case 'choice':
      return [node.test, node.yes, node.no].forEach((inner) => check(inner, bound));
  }
}

type CallNode = Extract<Node, { op: 'call' }>;

function checkCall(node: CallNode, bound: readonly string[]): void {
  const signature = `${node.name}/${node.args.length}`;
  const [first, second] = node.args;
  if (node.target === undefined && signature === 'has/1') {
    if (first?.op !== 'select') throw new CelError('invalid argument to has() macro');
    return check(first.target, bound);
  }
  if (node.target !== undefined) check(node.target, bound);
  if (node.target !== undefined && MACROS.has(node.name) && node.args.length === 2) {
    if (first?.op !== 'name') throw new CelError(`argument of ${node.name}() is not an identifier`);
    return check(second!, [...bound, first.name]);
  }
  const known = node.target === undefined ? FUNCTIONS : METHODS;
  if (!Object.hasOwn(known, signature)) throw new CelError(`undeclared reference to '${node.name}'`);
  for (const argument of node.args) check(argument, bound);
}

/** An absent key is an error, which is why expressions begin with has(). */
function member(target: unknown, key: unknown): unknown {
  if (Array.isArray(target) && typeof key === 'number') {
    if (key in target) return target[key];
    throw new CelError(`index out of bounds: ${key}`);
  }
  if (typeof target === 'object' && target !== null && Object.hasOwn(target, String(key))) {
    return (target as Record<string, unknown>)[String(key)];
  }
  throw new CelError(`no such key: ${String(key)}`);
}

function isTrue(value: unknown): boolean {
  if (typeof value === 'boolean') return value;
  throw new CelError(`no such overload: ${JSON.stringify(value)} is no boolean`);
}

/** The side that decides wins over the other's error, whichever comes first. */
function logical(node: Extract<Node, { op: 'binary' }>, scope: CelScope): boolean {
  const decisive = node.operator === '||';
  let failure: unknown;
  for (const side of [node.left, node.right]) {
    try {
      if (isTrue(run(side, scope)) === decisive) return decisive;
    } catch (error) {
      failure = error;
    }
  }
  if (failure !== undefined) throw failure;
  return !decisive;
}

/** In a list an equal item, in a map a key. */
function contains(list: unknown, item: unknown): boolean {
  if (Array.isArray(list)) return list.some((other) => isDeepStrictEqual(other, item));
  if (typeof list === 'object' && list !== null) return Object.hasOwn(list, String(item));
  throw new CelError('no such overload: in');
}

/** Only numbers with numbers and texts with texts. */
function compare(operator: string, left: unknown, right: unknown): boolean {
  if (typeof left !== typeof right || (typeof left !== 'number' && typeof left !== 'string')) {
    throw new CelError(`no such overload: ${operator}`);
  }
  if (operator.startsWith('<')) return operator === '<' ? left < right! : left <= right!;
  return operator === '>' ? left > right! : left >= right!;
}

function arithmetic(operator: string, left: unknown, right: unknown): unknown {
  if (operator === '+' && typeof left === 'string' && typeof right === 'string') return left + right;
  if (typeof left !== 'number' || typeof right !== 'number')
    throw new CelError(`no such overload: ${operator}`);
  if (operator === '+') return left + right;
  if (operator === '-') return left - right;
  if (operator === '*') return left * right;
  return operator === '/' ? Math.trunc(left / right) : left % right;
}

function binary(node: Extract<Node, { op: 'binary' }>, scope: CelScope): unknown {
  if (node.operator === '&&' || node.operator === '||') return logical(node, scope);
  const left = run(node.left, scope);
  const right = run(node.right, scope);
  if (node.operator === 'in') return contains(right, left);
  if (node.operator === '==') return isDeepStrictEqual(left, right);
  if (node.operator === '!=') return !isDeepStrictEqual(left, right);
  return /[<>]/.test(node.operator)
    ? compare(node.operator, left, right)
    : arithmetic(node.operator, left, right);
}

function call(node: CallNode, scope: CelScope): unknown {
  if (node.target === undefined && node.name === 'has') return has(node.args[0]!, scope);
  if (node.target !== undefined && MACROS.has(node.name)) return macro(node, scope);
  const args = node.args.map((argument) => run(argument, scope));
  const signature = `${node.name}/${args.length}`;
  return node.target === undefined
    ? FUNCTIONS[signature]!(args)
    : METHODS[signature]!(run(node.target, scope), args);
}

/** Only the last field may be absent: `has(a.b.c)` fails where `a.b` is not there. */
function has(node: Node, scope: CelScope): boolean {
  if (node.op !== 'select') throw new CelError('invalid argument to has() macro');
  const target = run(node.target, scope);
  return typeof target === 'object' && target !== null && Object.hasOwn(target, node.field);
}

/** Over a list its items, over a map its keys. */
function macro(node: CallNode, scope: CelScope): boolean {
  const [variable, body] = node.args as [Extract<Node, { op: 'name' }>, Node];
  const range = run(node.target!, scope);
  const items = Array.isArray(range) ? range : Object.keys((range ?? {}) as object);
  const test = (item: unknown) => isTrue(run(body, { ...scope, [variable.name]: item }));
  return node.name === 'exists' ? items.some(test) : items.every(test);
}

function run(node: Node, scope: CelScope): unknown {
  switch (node.op) {
    case 'literal':
      return node.value;
    case 'list':
      return node.items.map((item) => run(item, scope));
    case 'name':
      return scope[node.name];
    case 'select':
      return member(run(node.target, scope), node.field);
    case 'index':
      return member(run(node.target, scope), run(node.key, scope));
    case 'call':
      return call(node, scope);
    case 'unary':
      return node.operator === '!' ? !isTrue(run(node.operand, scope)) : -Number(run(node.operand, scope));
    case 'binary':
      return binary(node, scope);
    case 'choice':
      return run(isTrue(run(node.test, scope)) ? node.yes : node.no, scope);
  }
}

export function compileCel(source: string): CelProgram {
  const node = parseCel(source);
  check(node, VARIABLES);
  return (scope) => isTrue(run(node, scope));
}
