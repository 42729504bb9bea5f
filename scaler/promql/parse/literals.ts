/** Numbers, durations and strings of PromQL's text, which the grammar leaves as they were written. */
import { PromqlError } from '../error.ts';

const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1_000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
  y: 31_536_000_000,
};

/** `1h5m` in milliseconds; undefined when the text is no duration. */
export function durationMs(text: string): number | undefined {
  if (!/^(\d+(ms|[smhdwy]))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, count, unit] of text.matchAll(/(\d+)(ms|[smhdwy])/g)) {
    total += Number(count) * (UNIT_MS[unit as string] as number);
  }
  return total;
}

/** A number, or a duration in seconds: `1e3`, `0x1F`, `1_000`, `Inf`, `5m`, each with an optional sign. */
export function numberOf(text: string, position: number): number {
  const sign = text.startsWith('-') ? -1 : 1;
  const plain = text.replace(/^[-+]\s*/, '').replaceAll('_', '');
  if (/^inf$/i.test(plain)) return sign * Infinity;
  if (/^nan$/i.test(plain)) return Number.NaN;
  const duration = durationMs(plain);
  if (duration !== undefined) return (sign * duration) / 1_000;
  const value = Number(plain);
  if (Number.isNaN(value))
    throw new PromqlError('syntax', `${JSON.stringify(text)} is no number`, { position });
  return sign * value;
}

const ESCAPES: Readonly<Record<string, string>> = {
  a: '\u0007',
  b: '\b',
  f: '\f',
  n: '\n',
  r: '\r',
  t: '\t',
  v: '\v',
  '\\': '\\',
  "'": "'",
  '"': '"',
};

/** A string literal without its quotes, escapes resolved as in Go; back-quoted ones are taken as they are. */
export function unquote(literal: string, position: number): string {
  const quote = literal[0] as string;
  if (literal.length < 2 || !literal.endsWith(quote)) {
    throw new PromqlError('syntax', 'string without an end', { position });
  }
  const body = literal.slice(1, -1);
  if (quote === '`' || !body.includes('\\')) return body;
  // \\x and octal escapes are bytes, which together may make one character.
  const bytes = /(?:\\x[0-9a-fA-F]{2}|\\[0-7]{3})+|\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([\s\S]?))/g;
  return body.replaceAll(bytes, (all: string, u4?: string, u8?: string, letter?: string) => {
    if (/^\\[x0-7]/.test(all) && letter === undefined) return decodeBytes(all, position);
    const code = u4 ?? u8;
    const point = code === undefined ? -1 : Number.parseInt(code, 16);
    if (point >= 0 && point <= 0x10ffff) return String.fromCodePoint(point);
    const plain = ESCAPES[letter ?? ''];
    if (plain === undefined) throw new PromqlError('syntax', `unknown escape ${all}`, { position });
    return plain;
  });
}

/** What is no UTF-8 becomes U+FFFD. */
function decodeBytes(escapes: string, position: number): string {
  const numbers = [...escapes.matchAll(/\\(?:x(..)|(\d{3}))/g)].map(([, hex, octal]) =>
    hex === undefined ? Number.parseInt(octal as string, 8) : Number.parseInt(hex, 16),
  );
  if (numbers.some((number) => number > 255))
    throw new PromqlError('syntax', `unknown escape ${escapes}`, { position });
  return new TextDecoder().decode(new Uint8Array(numbers));
}

/**
 * Numbers that end in a point (`1.`, `2.e3`), which the grammar does not take, without it; each character keeps its
 * place. Strings, comments and names are left alone.
 */
export function withoutBarePoints(text: string): string {
  const tokens = /"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|#.*|[a-zA-Z_:][\w:]*|[\d.][\w.]*/g;
  return text.replaceAll(tokens, (token) => {
    const parts = /^(\d[\d_]*)\.(e[-+]?\d+|e)?$/i.exec(token);
    return parts && !token.endsWith('e') && !token.endsWith('E') ? `${parts[1]}${parts[2] ?? ''} ` : token;
  });
}
