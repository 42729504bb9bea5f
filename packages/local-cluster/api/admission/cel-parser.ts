/**
 * Parser for the part of the Common Expression Language that match conditions use. It knows literals, lists, field
 * selection, indexing, calls, `has()` and the list macros `exists` and `all`, with CEL's precedence. Map literals,
 * bytes, unsigned numbers and message construction are not read; a source that has them is an error.
 */

export class CelError extends Error {
  readonly code = 'cel';

  constructor(message: string) {
    super(message);
    this.name = 'CelError';
  }
}

export type Node =
  | { readonly op: 'literal'; readonly value: unknown }
  | { readonly op: 'list'; readonly items: readonly Node[] }
  | { readonly op: 'name'; readonly name: string }
  | { readonly op: 'select'; readonly target: Node; readonly field: string }
  | { readonly op: 'index'; readonly target: Node; readonly key: Node }
  | { readonly op: 'call'; readonly name: string; readonly target?: Node; readonly args: readonly Node[] }
  | { readonly op: 'unary'; readonly operator: string; readonly operand: Node }
  | { readonly op: 'binary'; readonly operator: string; readonly left: Node; readonly right: Node }
  | { readonly op: 'choice'; readonly test: Node; readonly yes: Node; readonly no: Node };

interface Token {
  readonly type: 'number' | 'string' | 'name' | 'symbol' | 'end';
  readonly text: string;
  readonly at: number;
}

const TOKEN =
  /\s*(?:(?<number>\d+(?:\.\d+)?)|(?<string>r?(?:"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'))|(?<name>[A-Za-z_]\w*)|(?<symbol>&&|\|\||==|!=|<=|>=|[-+*/%!<>?:()[\],.]))/y;

/** Sticky matching: what no token begins with is an error at its place. */
function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  const pattern = new RegExp(TOKEN);
  const end = source.trimEnd().length;
  while (pattern.lastIndex < end) {
    const at = pattern.lastIndex;
    const groups = pattern.exec(source)?.groups;
    if (groups === undefined)
      throw new CelError(`syntax error at ${at}: ${source.slice(at, at + 20).trim()}`);
    const [type, text] = Object.entries(groups).find(([, value]) => value !== undefined)!;
    tokens.push({ type: type as Token['type'], text: text!, at });
  }
  return [...tokens, { type: 'end', text: 'end of expression', at: end }];
}

const ESCAPES: Readonly<Record<string, string>> = { n: '\n', t: '\t', r: '\r' };

function unquote(text: string): string {
  if (text.startsWith('r')) return text.slice(2, -1);
  return text.slice(1, -1).replaceAll(/\\(.)/g, (_, char: string) => ESCAPES[char] ?? char);
}

/** Loosest first; operators of one row bind equally and to the left. */
const PRECEDENCE: readonly (readonly string[])[] = [
  ['||'],
  ['&&'],
  ['==', '!=', '<', '<=', '>', '>=', 'in'],
  ['+', '-'],
  ['*', '/', '%'],
];

const WORDS: Readonly<Record<string, unknown>> = { true: true, false: false, null: null };

/** Recursive descent with one token of lookahead. */
class Parser {
  readonly #tokens: readonly Token[];
  #next = 0;

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  expression(): Node {
    const test = this.#binary(0);
    if (!this.#accept('?')) return test;
    const yes = this.#binary(0);
    this.#expect(':');
    return { op: 'choice', test, yes, no: this.expression() };
  }

  end(): void {
    if (this.#peek().type !== 'end') this.#fail();
  }

  #binary(level: number): Node {
    const operators = PRECEDENCE[level];
    if (operators === undefined) return this.#unary();
    let left = this.#binary(level + 1);
    for (let token = this.#peek(); this.#isOperator(token, operators); token = this.#peek()) {
      this.#next += 1;
      left = { op: 'binary', operator: token.text, left, right: this.#binary(level + 1) };
    }
    return left;
  }

  /** `in` is an operator that looks like a name. */
  #isOperator({ type, text }: Token, operators: readonly string[]): boolean {
    return (type === 'symbol' || text === 'in') && type !== 'string' && operators.includes(text);
  }

  #unary(): Node {
    for (const operator of ['!', '-']) {
      if (this.#accept(operator)) return { op: 'unary', operator, operand: this.#unary() };
    }
    return this.#postfix(this.#primary());
  }

  #postfix(node: Node): Node {
    if (this.#accept('.')) {
      const name = this.#take('name');
      if (!this.#accept('(')) return this.#postfix({ op: 'select', target: node, field: name });
      return this.#postfix({ op: 'call', name, target: node, args: this.#list(')') });
    }
    if (!this.#accept('[')) return node;
    const key = this.expression();
    this.#expect(']');
    return this.#postfix({ op: 'index', target: node, key });
  }

  #primary(): Node {
    const token = this.#peek();
    this.#next += 1;
    if (token.type === 'number') return { op: 'literal', value: Number(token.text) };
    if (token.type === 'string') return { op: 'literal', value: unquote(token.text) };
    if (token.type === 'name' && token.text !== 'in') return this.#named(token.text);
    if (token.type === 'symbol' && token.text === '[') return { op: 'list', items: this.#list(']') };
    if (token.type !== 'symbol' || token.text !== '(') return this.#fail(token);
    const inner = this.expression();
    this.#expect(')');
    return inner;
  }

  #named(name: string): Node {
    if (Object.hasOwn(WORDS, name)) return { op: 'literal', value: WORDS[name] };
    return this.#accept('(') ? { op: 'call', name, args: this.#list(')') } : { op: 'name', name };
  }

  /** Comma-separated, up to and with the closing symbol; a trailing comma is an error. */
  #list(close: string): Node[] {
    const items: Node[] = [];
    while (!this.#accept(close)) {
      if (items.length > 0) this.#expect(',');
      items.push(this.expression());
    }
    return items;
  }

  #peek(): Token {
    return this.#tokens[this.#next] ?? this.#tokens.at(-1)!;
  }

  #accept(symbol: string): boolean {
    const { type, text } = this.#peek();
    if (type !== 'symbol' || text !== symbol) return false;
    this.#next += 1;
    return true;
  }

  #expect(symbol: string): void {
    if (!this.#accept(symbol)) this.#fail(this.#peek(), symbol);
  }

  #take(type: Token['type']): string {
    const token = this.#peek();
    if (token.type !== type) return this.#fail(token, type);
    this.#next += 1;
    return token.text;
  }

  #fail({ text, at }: Token = this.#peek(), wanted = 'something else'): never {
    throw new CelError(`syntax error at ${at}: found ${text}, expected ${wanted}`);
  }
}

export function parseCel(source: string): Node {
  const parser = new Parser(tokenize(source));
  const node = parser.expression();
  parser.end();
  return node;
}
