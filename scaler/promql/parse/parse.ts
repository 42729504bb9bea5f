/**
 * PromQL text to our AST: the adapter over Prometheus's own grammar (the one file that loads it). The grammar
 * never fails, it marks errors in its tree; here the first mark becomes a {@link PromqlError} with its place.
 */
import { parser } from '@prometheus-io/lezer-promql';
import type { SyntaxNode } from '@lezer/common';
import type { BinaryOp, FunctionCall, Expr, Matching, Selector, TimeShift } from './ast.ts';
import { checkTypes } from './check.ts';
import { PromqlError } from '../error.ts';
import { METRIC_NAME } from '../labels.ts';
import { numberOf, unquote, withoutBarePoints } from './literals.ts';
import { createMatcher, type Matcher, type MatchOp } from '../matcher.ts';
import { signatureOf } from './signatures.ts';
import { isChain, readChain, type ChainReader, type Operand } from './operators.ts';

/** Longer or deeper is no query that a person wrote; the bounds keep recursion far from the stack's end. */
const MAX_QUERY_CHARS = 10_000;
const MAX_DEPTH = 100;

/** @throws PromqlError for anything that is not a query this evaluator can run */
export function parsePromql(text: string): Expr {
  if (text.length > MAX_QUERY_CHARS) {
    throw new PromqlError('unsupported', `a query may have at most ${MAX_QUERY_CHARS} characters`);
  }
  const tree = parser.parse(withoutBarePoints(text));
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
  const expr = new Reader(withoutBarePoints(text)).read(root);
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
  if (/^(step|range|min|max)\s*\(/i.test(rest))
    return new PromqlError('unsupported', 'arithmetic on durations is not supported', { position });
  const found =
    rest === '' ? 'end of query' : JSON.stringify(rest.length > 20 ? `${rest.slice(0, 20)}…` : rest);
  return new PromqlError('syntax', `unexpected ${found}`, { position });
}

class Reader implements ChainReader {
  readonly #text: string;

  constructor(text: string) {
    this.#text = text;
  }

  read(node: SyntaxNode): Expr {
    return isChain(node) ? readChain(node, this) : this.operand({ kind: 'operand', node, postfixes: [] });
  }

  text(node: SyntaxNode): string {
    return this.#text.slice(node.from, node.to);
  }

  operand({ node, postfixes }: Operand): Expr {
    let expr = this.#primary(node);
    for (const postfix of postfixes) expr = this.#postfix(expr, postfix);
    return expr;
  }

  #primary(node: SyntaxNode): Expr {
    const position = node.from;
    switch (node.name) {
      case 'NumberDurationLiteral': // its sign is an item of the chain
        return {
          kind: 'number',
          position,
          value: numberOf(this.text(node).replace(/^[-+]\s*/, ''), position),
        };
      case 'StringLiteral':
        return { kind: 'string', position, value: unquote(this.text(node), position) };
      case 'ParenExpr':
        return this.read(children(node)[0] as SyntaxNode);
      case 'VectorSelector':
        return this.#selector(node);
      case 'FunctionCall':
        return this.#call(node);
      case 'AggregateExpr':
        return this.#aggregate(node);
      default:
        throw this.#unsupported(node);
    }
  }

  #postfix(expr: Expr, node: SyntaxNode): Expr {
    switch (node.name) {
      case 'MatrixSelector':
        return this.#range(expr, node);
      case 'SubqueryExpr':
        return this.#subquery(expr, node);
      case 'OffsetExpr':
      case 'StepInvariantExpr':
        return this.#shifted(expr, node);
      default:
        throw this.#unsupported(node);
    }
  }

  #unsupported(node: SyntaxNode): PromqlError {
    return new PromqlError('unsupported', `${JSON.stringify(this.text(node))} is not supported`, {
      position: node.from,
    });
  }

  #selector(node: SyntaxNode): Selector {
    const matchers: Matcher[] = [];
    for (const child of children(node)) {
      if (child.name === 'Identifier') matchers.push(createMatcher(METRIC_NAME, '=', this.text(child)));
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
    const text = unquote(this.text(value), value.from);
    return createMatcher(this.#name(name), this.text(op) as MatchOp, text, value.from);
  }

  /** A label's name, quoted or not. */
  #name(node: SyntaxNode): string {
    const text = this.text(node);
    return /^["'`]/.test(text) ? unquote(text, node.from) : text;
  }

  #range(selector: Expr, node: SyntaxNode): Expr {
    const duration = node.lastChild as SyntaxNode;
    if (selector.kind !== 'selector') {
      throw new PromqlError('syntax', 'a range [..] belongs behind a selector', { position: duration.from });
    }
    return { kind: 'range', position: selector.position, selector, rangeMs: this.#positive(duration) };
  }

  #subquery(expr: Expr, node: SyntaxNode): Expr {
    const [range, step] = node.getChildren('DurationExpr') as [SyntaxNode, SyntaxNode?];
    return {
      kind: 'subquery',
      position: expr.position,
      expr,
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
      return (this.text(first) === '-' ? -1 : 1) * this.#duration(second);
    if (first.name !== 'NumberDurationLiteralInDurationContext' || second) throw this.#unsupported(node);
    const ms = Math.round(numberOf(this.text(first), first.from) * 1_000);
    if (!Number.isSafeInteger(ms))
      throw new PromqlError('syntax', 'not a duration', { position: first.from });
    return ms;
  }

  #shifted(expr: Expr, node: SyntaxNode): Expr {
    const last = children(node).at(-1) as SyntaxNode;
    const change =
      node.name === 'OffsetExpr' ? { offsetMs: this.#duration(last) } : { atMs: this.#instant(last) };
    if (expr.kind === 'selector' || expr.kind === 'subquery') return shift(expr, change);
    if (expr.kind === 'range') return { ...expr, selector: shift(expr.selector, change) };
    throw new PromqlError('syntax', 'offset and @ belong behind a selector', { position: last.from });
  }

  #instant(node: SyntaxNode): number | undefined {
    return node.name === 'NumberDurationLiteral'
      ? Math.round(numberOf(this.text(node), node.from) * 1_000)
      : undefined;
  }

  #call(node: SyntaxNode): FunctionCall {
    const [name, body] = children(node) as [SyntaxNode, SyntaxNode];
    // Before its arguments, which may be what only this function takes.
    if (!signatureOf(this.text(name)))
      throw new PromqlError('unsupported', `function ${this.text(name)} is not supported`, {
        position: node.from,
      });
    const args = children(body).map((arg) => this.read(arg));
    return { kind: 'call', position: node.from, name: this.text(name), args };
  }

  #aggregate(node: SyntaxNode): Expr {
    const op = node.getChild('AggregateOp') as SyntaxNode;
    const args = children(node.getChild('FunctionCallBody') as SyntaxNode);
    const modifier = node.getChild('AggregateModifier');
    const [last, param, ...more] = args.toReversed();
    if (!last || more.length > 0) {
      throw new PromqlError('syntax', `${this.text(op)} takes one or two arguments`, { position: node.from });
    }
    return {
      kind: 'aggregate',
      position: node.from,
      op: this.text(op),
      param: param && this.read(param),
      expr: this.read(last),
      grouping: this.#grouping(modifier?.getChild('GroupingLabels')),
      isWithout: modifier?.firstChild?.name === 'Without',
    };
  }

  #grouping(node: SyntaxNode | null | undefined): string[] {
    return node ? children(node).map((label) => this.#name(label)) : [];
  }

  binary(node: SyntaxNode, left: Expr, right: Expr): Expr {
    const op = children(node)[1] as SyntaxNode;
    const fill = node.getChild('FillModifier');
    if (fill || op.name.startsWith('Trim')) throw this.#unsupported(fill ?? op);
    return {
      kind: 'binary',
      position: left.position,
      op: this.text(op).toLowerCase() as BinaryOp,
      left,
      right,
      isBool: node.getChild('BoolModifier') !== null,
      matching: this.#matching(node.getChild('MatchingModifierClause')),
    };
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
