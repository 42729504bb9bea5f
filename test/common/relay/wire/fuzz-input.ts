/**
 * Answers for a fuzzer: valid ones made from the grammar, and the same ones spoilt. Everything comes from one
 * seed, so that a failure can be run again.
 */

/** A small generator with 32 bits of state (mulberry32): reproducible, and good enough for choosing. */
export class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  next(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  /** A whole number from 0 to `below` − 1. */
  below(below: number): number {
    return Math.floor(this.next() * below);
  }

  pick<T>(items: readonly T[]): T {
    return items[this.below(items.length)] as T;
  }

  isOne(of: number): boolean {
    return this.below(of) === 0;
  }

  repeat(most: number, make: () => string): string {
    return Array.from({ length: this.below(most + 1) }, make).join('');
  }
}

const TCHARS = "!#$%&'*+-.^_`|~019azAZ";
const VCHARS = 'abcXYZ019:;,="\\ \t(){}<>\x80\xe9\xff~!';

function token(dice: Dice): string {
  return dice.pick([...TCHARS]) + dice.repeat(8, () => dice.pick([...TCHARS]));
}

function value(dice: Dice): string {
  return dice.repeat(12, () => dice.pick([...VCHARS]));
}

function field(dice: Dice): string {
  return `X-${token(dice)}:${dice.pick(['', ' ', '\t ', '  '])}${value(dice)}\r\n`;
}

function chunked(dice: Dice): string {
  const extension = () => (dice.isOne(4) ? `;${token(dice)}=${token(dice)}` : '');
  const chunk = () => {
    const data = `${dice.repeat(20, () => dice.pick([...VCHARS, '\r', '\n', '\0']))}x`;
    const size = data.length.toString(16);
    return `${dice.pick(['', '0', '00'])}${dice.pick([size, size.toUpperCase()])}${extension()}\r\n${data}\r\n`;
  };
  return `${dice.repeat(4, chunk)}0${extension()}\r\n${dice.repeat(2, () => field(dice))}\r\n`;
}

/** An answer that every HTTP/1.1 client must take. */
export function validAnswer(dice: Dice): string {
  const early = dice.repeat(
    2,
    () => `HTTP/1.1 ${dice.pick([102, 103])} Early\r\n${dice.repeat(2, () => field(dice))}\r\n`,
  );
  const status = dice.pick([200, 200, 200, 201, 204, 304, 404, 500, 599]);
  const line = `HTTP/1.1 ${status} ${dice.pick(['OK', '', 'Not  Found', 'caf\xe9'])}\r\n`;
  const before = dice.repeat(3, () => field(dice));
  const after = dice.repeat(3, () => field(dice));
  const [framing, body] = framed(dice, status);
  return `${dice.isOne(3) ? early : ''}${line}${before}${framing}${after}\r\n${body}`;
}

function framed(dice: Dice, status: number): [framing: string, body: string] {
  if (status === 204 || status === 304) return ['', ''];
  const data = dice.repeat(30, () => dice.pick([...VCHARS, '\r', '\n']));
  const connection = dice.pick([
    '',
    '',
    'Connection: close\r\n',
    'Connection: keep-alive\r\nKeep-Alive: timeout=5\r\n',
  ]);
  switch (dice.below(3)) {
    case 0:
      return [`${connection}${dice.pick(['Content-Length', 'content-length'])}: ${data.length}\r\n`, data];
    case 1:
      return [`Transfer-Encoding: ${dice.pick(['chunked', 'Chunked'])}\r\n${connection}`, chunked(dice)];
    default:
      return [connection, data];
  }
}

/** What parsers disagree about. */
// prettier-ignore
const NASTY = [
  '\r', '\n', '\r\n', '\r\n\r\n', '\n\n', '\0', ' ', '\t', ':', ';', ',', '\x7f', '\x0b', '\xa0', '0', '-', '+',
  'Content-Length: 3\r\n', 'Content-Length:\r\n', 'Content-Length: 3, 3\r\n', 'Content-Length : 1\r\n',
  'Transfer-Encoding: chunked\r\n', 'Transfer-Encoding: gzip, chunked\r\n', 'Transfer-Encoding:\r\n chunked\r\n',
  'Transfer-Encoding: identity\r\n', 'Connection: close\r\n', 'Connection: X-a\r\n', ' folded\r\n', 'Upgrade: x\r\n',
  '0\r\n\r\n', '3\r\nabc\r\n', 'ffffffffffffffff\r\n', '0x3\r\n', '-1\r\n', '3 \r\n', ';\r\n',
  'HTTP/1.1 100 C\r\n\r\n', 'HTTP/1.1 200 OK\r\n', 'HTTP/1.0 200 OK\r\n', 'HTTP/2 200\r\n', 'HTTP/1.1 101 S\r\n\r\n',
];

/** One to four things done to the bytes that a careless or hostile upstream might do. */
export function spoilt(dice: Dice, answer: string): string {
  let bytes = answer;
  for (let i = 0; i <= dice.below(4); i++) bytes = spoiltOnce(dice, bytes);
  return bytes;
}

function spoiltOnce(dice: Dice, bytes: string): string {
  const at = dice.below(bytes.length + 1);
  const to = Math.min(bytes.length, at + dice.below(12));
  switch (dice.below(6)) {
    case 0:
      return bytes.slice(0, at);
    case 1:
      return bytes.slice(0, at) + bytes.slice(to);
    case 2:
      return bytes.slice(0, to) + bytes.slice(at);
    case 3:
      return bytes.slice(0, at) + String.fromCharCode(dice.below(256)) + bytes.slice(at + 1);
    default:
      return bytes.slice(0, at) + dice.pick(NASTY) + bytes.slice(at);
  }
}
