/** Numbers, durations and strings of PromQL's text, which the grammar leaves as they were written. */
import { PromqlError } from './error.ts';

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
  if (quote === '`') return body;
  const pattern = /\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|([\s\S]?))/g;
  return body.replaceAll(
    pattern,
    (all: string, hex?: string, u4?: string, u8?: string, ...rest: unknown[]) => {
      const [octal, letter] = rest as [string | undefined, string | undefined];
      const code = hex ?? u4 ?? u8;
      const point = code === undefined ? octal && Number.parseInt(octal, 8) : Number.parseInt(code, 16);
      if (typeof point === 'number' && point <= 0x10ffff) return String.fromCodePoint(point);
      const plain = ESCAPES[letter ?? ''];
      if (plain === undefined) throw new PromqlError('syntax', `unknown escape ${all}`, { position });
      return plain;
    },
  );
}
