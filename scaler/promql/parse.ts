/**
 * PromQL text to our AST: the adapter over Prometheus's own grammar (the one file that loads it). The grammar
 * never fails, it marks errors in its tree; here the first mark becomes a {@link PromqlError} with its place.
 */
import { parser } from '@prometheus-io/lezer-promql';
import type { SyntaxNode } from '@lezer/common';
import type { BinaryOp, Call, Expr, Matching, Selector, TimeShift } from './ast.ts';
import { checkTypes } from './check.ts';
import { PromqlError } from './error.ts';
import { METRIC_NAME } from './labels.ts';
import { numberOf, unquote } from './literals.ts';
import { createMatcher, type Matcher, type MatchOp } from './matcher.ts';

/** Longer or deeper is no query that a person wrote; the bounds keep recursion far from the stack's end. */
const MAX_LENGTH = 10_000;
const MAX_DEPTH = 100;

/** @throws PromqlError for anything that is not a query this evaluator can run */
export function parsePromql(text: string): Expr {
  if (text.length > MAX_LENGTH) {
    throw new PromqlError('unsupported', `a query may have at most ${MAX_LENGTH} characters`);
  }
  const tree = parser.parse(text);
  let depth = 0;
  tree.iterate({
    enter(node) {
      if (node.type.isError) throw syntaxError(text, node.node);
      depth += 1;
      if (depth > 3 * MAX_DEPTH)
        throw new PromqlError('unsupported', 'nested too deeply', { position: node.from });
    },
    leave() {
      depth -= 1;
    },
  });
  const root = tree.topNode.firstChild;
  if (!root) throw new PromqlError('syntax', 'an empty query');
  const expr = new Reader(text).read(root);
  checkTypes(expr);
  return expr;
}

function syntaxError(text: string, node: SyntaxNode): PromqlError {
  const position = node.from;
  const name = /([a-zA-Z_]\w*)\s*$/.exec(text.slice(0, position))?.[1];
  if (name !== undefined && text.slice(position).trimStart().startsWith('(')) {
    return new PromqlError('unsupported', `unknown function ${name}`, {
      position: text.lastIndexOf(name, position),
    });
  }
  const rest = text.slice(position).trim();
  const found =
    rest === '' ? 'end of query' : JSON.stringify(rest.length > 20 ? `${rest.slice(0, 20)}…` : rest);
  return new PromqlError('syntax', `unexpected ${found}`, { position });
}

class Reader {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  read(node: SyntaxNode): Expr {
    const position = node.from;
    switch (node.name) {
      case 'NumberDurationLiteral':
        return { kind: 'number', position, value: numberOf(this.#of(node), position) };
      case 'StringLiteral':
        return { kind: 'string', position, value: unquote(this.#of(node), position) };
      case 'ParenExpr':
        return this.read(children(node)[0] as SyntaxNode);
      case 'UnaryExpr':
        return this.#unary(node);
      case 'VectorSelector':
        return this.#selector(node);
      case 'MatrixSelector':
        return this.#range(node);
      case 'SubqueryExpr':
        return this.#subquery(node);
      case 'OffsetExpr':
      case 'StepInvariantExpr':
        return this.#shifted(node);
      case 'FunctionCall':
        return this.#call(node);
      case 'AggregateExpr':
        return this.#aggregate(node);
      case 'BinaryExpr':
        return this.#binary(node);
      default:
        throw this.#unsupported(node);
    }
  }

  #of(node: SyntaxNode): string {
    return this.#text.slice(node.from, node.to);
  }

  #unsupported(node: SyntaxNode): PromqlError {
    return new PromqlError('unsupported', `${JSON.stringify(this.#of(node))} is not supported`, {
      position: node.from,
    });
  }

  #unary(node: SyntaxNode): Expr {
    const [sign, inner] = children(node) as [SyntaxNode, SyntaxNode];
    const expr = this.read(inner);
    return this.#of(sign) === '-' ? { kind: 'negate', position: node.from, expr } : expr;
  }

  #selector(node: SyntaxNode): Selector {
    const matchers: Matcher[] = [];
    for (const child of children(node)) {
      if (child.name === 'Identifier') matchers.push(createMatcher(METRIC_NAME, '=', this.#of(child)));
      else for (const matcher of children(child)) matchers.push(this.#matcher(matcher));
    }
    // Prometheus's own rule: something must be asked for, or every series there is would match.
    if (!matchers.some((matcher) => !matcher.test(''))) {
      throw new PromqlError('syntax', 'a selector needs a matcher that an absent label does not satisfy', {
        position: node.from,
      });
    }
    return { kind: 'selector', position: node.from, matchers, offsetMs: 0, atMs: undefined };
  }

  #matcher(node: SyntaxNode): Matcher {
    const [name, op, value] = children(node) as [SyntaxNode, SyntaxNode?, SyntaxNode?];
    if (!op || !value) return createMatcher(METRIC_NAME, '=', this.#name(node));
    const text = unquote(this.#of(value), value.from);
    return createMatcher(this.#name(name), this.#of(op) as MatchOp, text, value.from);
  }

  /** A label's name, quoted or not. */
  #name(node: SyntaxNode): string {
    const text = this.#of(node);
    return /^["'`]/.test(text) ? unquote(text, node.from) : text;
  }

  #range(node: SyntaxNode): Expr {
    const [inner, duration] = children(node) as [SyntaxNode, SyntaxNode];
    const selector = this.read(inner);
    if (inner.name !== 'VectorSelector' || selector.kind !== 'selector') {
      throw new PromqlError('syntax', 'a range [..] belongs behind a selector', { position: duration.from });
    }
    return { kind: 'range', position: node.from, selector, rangeMs: this.#positive(duration) };
  }

  #subquery(node: SyntaxNode): Expr {
    const [inner, range, step] = children(node) as [SyntaxNode, SyntaxNode, SyntaxNode?];
    return {
      kind: 'subquery',
      position: node.from,
      expr: this.read(inner),
      rangeMs: this.#positive(range),
      stepMs: step && this.#positive(step),
      offsetMs: 0,
      atMs: undefined,
    };
  }

  #positive(node: SyntaxNode): number {
    const ms = this.#duration(node);
    if (ms > 0) return ms;
    throw new PromqlError('syntax', 'a duration here must be above 0', { position: node.from });
  }

  /** Only a literal with signs: arithmetic on durations is an experiment of Prometheus's. */
  #duration(node: SyntaxNode): number {
    const [first, second] = children(node) as [SyntaxNode, SyntaxNode?];
    if (first.name === 'UnaryOp' && second)
      return (this.#of(first) === '-' ? -1 : 1) * this.#duration(second);
    if (first.name !== 'NumberDurationLiteralInDurationContext' || second) throw this.#unsupported(node);
    const ms = Math.round(numberOf(this.#of(first), first.from) * 1_000);
    if (!Number.isSafeInteger(ms))
      throw new PromqlError('syntax', 'not a duration', { position: first.from });
    return ms;
  }

  #shifted(node: SyntaxNode): Expr {
    const parts = children(node);
    const expr = this.read(parts[0] as SyntaxNode);
    const last = parts.at(-1) as SyntaxNode;
    const change =
      node.name === 'OffsetExpr' ? { offsetMs: this.#duration(last) } : { atMs: this.#instant(last) };
    if (expr.kind === 'selector' || expr.kind === 'subquery') return shift(expr, change);
    if (expr.kind === 'range') return { ...expr, selector: shift(expr.selector, change) };
    throw new PromqlError('syntax', 'offset and @ belong behind a selector', { position: last.from });
  }

  #instant(node: SyntaxNode): number | undefined {
    return node.name === 'NumberDurationLiteral'
      ? Math.round(numberOf(this.#of(node), node.from) * 1_000)
      : undefined;
  }

  #call(node: SyntaxNode): Call {
    const [name, body] = children(node) as [SyntaxNode, SyntaxNode];
    const args = children(body).map((arg) => this.read(arg));
    return { kind: 'call', position: node.from, name: this.#of(name), args };
  }

  #aggregate(node: SyntaxNode): Expr {
    const op = node.getChild('AggregateOp') as SyntaxNode;
    const args = children(node.getChild('FunctionCallBody') as SyntaxNode);
    const modifier = node.getChild('AggregateModifier');
    const [last, param, ...more] = args.toReversed();
    if (!last || more.length > 0) {
      throw new PromqlError('syntax', `${this.#of(op)} takes one or two arguments`, { position: node.from });
    }
    return {
      kind: 'aggregate',
      position: node.from,
      op: this.#of(op),
      param: param && this.read(param),
      expr: this.read(last),
      grouping: this.#grouping(modifier?.getChild('GroupingLabels')),
      isWithout: modifier?.firstChild?.name === 'Without',
    };
  }

  #grouping(node: SyntaxNode | null | undefined): string[] {
    return node ? children(node).map((label) => this.#name(label)) : [];
  }

  #binary(node: SyntaxNode): Expr {
    const parts = children(node);
    const [left, op] = parts as [SyntaxNode, SyntaxNode];
    const right = parts.at(-1) as SyntaxNode;
    const fill = node.getChild('FillModifier');
    if (fill || op.name.startsWith('Trim')) throw this.#unsupported(fill ?? op);
    const expr: Expr = {
      kind: 'binary',
      position: node.from,
      op: this.#of(op).toLowerCase() as BinaryOp,
      left: this.read(left),
      right: this.read(right),
      isBool: node.getChild('BoolModifier') !== null,
      matching: this.#matching(node.getChild('MatchingModifierClause')),
    };
    // The grammar reads `-1 ^ 2` as (-1) ^ 2; in Prometheus a sign binds less than a power.
    const { left: base } = expr;
    if (expr.op !== '^' || left.name !== 'NumberDurationLiteral' || !/^[-+]/.test(this.#of(left)))
      return expr;
    if (base.kind !== 'number' || !this.#of(left).startsWith('-')) return expr;
    return { kind: 'negate', position: node.from, expr: { ...expr, left: { ...base, value: -base.value } } };
  }

  #matching(clause: SyntaxNode | null): Matching {
    if (!clause) return { isOn: false, labels: [], cardinality: 'one-to-one', include: [] };
    const [labels, include] = clause.getChildren('GroupingLabels');
    const isLeft = clause.getChild('GroupLeft') !== null;
    const isRight = clause.getChild('GroupRight') !== null;
    return {
      isOn: clause.getChild('On') !== null,
      labels: this.#grouping(labels),
      cardinality: isLeft ? 'many-to-one' : isRight ? 'one-to-many' : 'one-to-one',
      include: this.#grouping(include),
    };
  }
}

function shift<T extends TimeShift>(expr: T, change: { offsetMs: number } | { atMs: number | undefined }): T {
  return { ...expr, ...change };
}

function children(node: SyntaxNode): SyntaxNode[] {
  const list: SyntaxNode[] = [];
  for (let child = node.firstChild; child; child = child.nextSibling) {
    if (child.name !== 'LineComment') list.push(child);
  }
  return list;
}
