/**
 * Operators in their right order. Prometheus's lezer grammar lets `offset`, `@` and `[..]` take everything to their
 * left. It reads `a + b offset 5m * c` as `((a + b) offset 5m) * c`, where Prometheus itself means `a + ((b offset
 * 5m) * c)`. It also reads `-1 ^ 2` as `(-1) ^ 2`. So a chain of operators is laid out flat, in the order of the
 * text, each postfix with the operand before it, and put together again by precedence.
 */
import type { SyntaxNode } from '@lezer/common';
import type { Expr } from './ast.ts';

export interface Operand {
  readonly kind: 'operand';
  readonly node: SyntaxNode;
  /** Offsets, instants, ranges, innermost first. */
  readonly postfixes: readonly SyntaxNode[];
}

type Item =
  | Operand
  /** The BinaryExpr whose operator this is, with its modifiers. */
  | { readonly kind: 'operator'; readonly node: SyntaxNode; readonly op: string }
  | { readonly kind: 'sign'; readonly position: number; readonly isMinus: boolean };

/** How the parser makes expressions out of what the chain is made of. */
export interface ChainReader {
  text(node: SyntaxNode): string;
  operand(operand: Operand): Expr;
  binary(node: SyntaxNode, left: Expr, right: Expr): Expr;
}

const POSTFIX: ReadonlySet<string> = new Set([
  'OffsetExpr',
  'StepInvariantExpr',
  'MatrixSelector',
  'SubqueryExpr',
  'AnchoredExpr',
  'SmoothedExpr',
]);

/** Nodes that may hide a chain: everything else is an operand by itself. */
export function isChain(node: SyntaxNode): boolean {
  return (
    node.name === 'BinaryExpr' ||
    node.name === 'UnaryExpr' ||
    node.name === 'NumberDurationLiteral' ||
    POSTFIX.has(node.name)
  );
}

const PRECEDENCE: Readonly<Record<string, number>> = {
  or: 1,
  and: 2,
  unless: 2,
  '==': 3,
  '!=': 3,
  '<': 3,
  '<=': 3,
  '>': 3,
  '>=': 3,
  '</': 3,
  '>/': 3,
  '+': 4,
  '-': 4,
  '*': 5,
  '/': 5,
  '%': 5,
  atan2: 5,
  '^': 6,
};
const POWER = 6;

export function readChain(node: SyntaxNode, reader: ChainReader): Expr {
  const items = flatten(node, reader);
  let next = 0;
  return climb(0);

  /** The longest expression from here whose operators bind at least as tightly as `least`. */
  function climb(least: number): Expr {
    let left = primary();
    for (;;) {
      const item = items[next];
      if (item?.kind !== 'operator') return left;
      const precedence = PRECEDENCE[item.op] ?? 0;
      if (precedence < least) return left;
      next += 1;
      // Powers go to the right: 2 ^ 3 ^ 2 is 2 ^ 9.
      const right = climb(item.op === '^' ? precedence : precedence + 1);
      left = reader.binary(item.node, left, right);
    }
  }

  /** An operand, or a sign with all that binds tighter than it, which is a power. */
  function primary(): Expr {
    const item = items[next++] as Exclude<Item, { kind: 'operator' }>;
    if (item.kind === 'operand') return reader.operand(item);
    const expr = climb(POWER);
    return item.isMinus ? { kind: 'negate', position: item.position, expr } : expr;
  }
}

function flatten(node: SyntaxNode, reader: ChainReader): Item[] {
  const first = node.firstChild as SyntaxNode;
  if (node.name === 'BinaryExpr') {
    const op = first.nextSibling as SyntaxNode;
    const operator: Item = { kind: 'operator', node, op: reader.text(op).toLowerCase() };
    return [...flatten(first, reader), operator, ...flatten(node.lastChild as SyntaxNode, reader)];
  }
  if (node.name === 'UnaryExpr') {
    const sign: Item = { kind: 'sign', position: node.from, isMinus: reader.text(first) === '-' };
    return [sign, ...flatten(node.lastChild as SyntaxNode, reader)];
  }
  if (POSTFIX.has(node.name)) {
    const items = flatten(first, reader);
    const last = items.at(-1) as Operand;
    return [...items.slice(0, -1), { ...last, postfixes: [...last.postfixes, node] }];
  }
  const operand: Item = { kind: 'operand', node, postfixes: [] };
  if (node.name !== 'NumberDurationLiteral' || !/^[-+]/.test(reader.text(node))) return [operand];
  return [{ kind: 'sign', position: node.from, isMinus: reader.text(node).startsWith('-') }, operand];
}
