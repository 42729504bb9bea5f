/**
 * Which header fields mean something to a hop. Everything else is the caller's and the function's business
 * and passes untouched. The length decides first, so that most names cost one comparison.
 */
import type { RawHeaders } from '../types.ts';
import { isOwnField } from './own-fields.ts';

export type FieldKind =
  | 'other'
  | 'host'
  | 'expect'
  | 'content-length'
  | 'transfer-encoding'
  | 'connection'
  | 'keep-alive'
  | 'te'
  /** Upgrade, Proxy-Connection and its like: never forwarded. */
  | 'hop';

export function fieldKind(name: string): FieldKind {
  // Only the first letter is lower-cased: it tells most names of the same length apart, and lower-casing makes a string each time.
  const first = name.charCodeAt(0) | 0x20;
  switch (name.length) {
    case 2:
      return first === T && name.toLowerCase() === 'te' ? 'te' : 'other';
    case 4:
      return first === H && name.toLowerCase() === 'host' ? 'host' : 'other';
    case 6:
      return first === E && name.toLowerCase() === 'expect' ? 'expect' : 'other';
    case 7:
      return first === U && name.toLowerCase() === 'upgrade' ? 'hop' : proxyOrOther(name, first);
    case 10:
      if (first === C && name.toLowerCase() === 'connection') return 'connection';
      return first === K && name.toLowerCase() === 'keep-alive' ? 'keep-alive' : proxyOrOther(name, first);
    case 14:
      return first === C && name.toLowerCase() === 'content-length'
        ? 'content-length'
        : proxyOrOther(name, first);
    case 17:
      if (first === T && name.toLowerCase() === 'transfer-encoding') return 'transfer-encoding';
      return proxyOrOther(name, first);
    default:
      return proxyOrOther(name, first);
  }
}

const C = 0x63;
const E = 0x65;
const H = 0x68;
const K = 0x6b;
const P = 0x70;
const T = 0x74;
const U = 0x75;

/** Proxy-Connection, Proxy-Authenticate, Proxy-Authorization …: between a client and its own proxy only. */
function proxyOrOther(name: string, first: number): FieldKind {
  return first === P && name.length >= 7 && name.slice(0, 6).toLowerCase() === 'proxy-' ? 'hop' : 'other';
}

/** Names that a Connection header may not make hop-by-hop: without them the message changes its meaning. */
const KEPT_WHATEVER_CONNECTION_SAYS: ReadonlySet<string> = new Set([
  'host',
  'content-length',
  'transfer-encoding',
  'content-type',
  'content-encoding',
  'authorization',
  'cache-control',
  'expect',
  'te',
]);

/**
 * The field names that a Connection value lists, lower-cased, without its own options.
 * @returns undefined when it lists none, which is nearly always
 */
export function connectionListed(value: string): string[] | undefined {
  const lower = value.toLowerCase();
  if (lower === 'keep-alive' || lower === 'close') return undefined;
  const names = lower
    .split(',')
    .map((name) => name.trim())
    .filter((name) => name !== '' && name !== 'keep-alive' && name !== 'close')
    .filter((name) => !KEPT_WHATEVER_CONNECTION_SAYS.has(name));
  return names.length > 0 ? names : undefined;
}

/** Whether a comma list holds an option, whatever its case. */
export function hasOption(value: string, option: string): boolean {
  const lower = value.toLowerCase();
  if (lower === option) return true;
  return lower.includes(',') && lower.split(',').some((item) => item.trim() === option);
}

/** A few header names, in lower case, to be looked for in every message: most names are told apart by their length. */
export class HeaderNames {
  readonly #names: ReadonlySet<string>;
  /** Bit n: there is a name whose length is n, modulo 32. */
  readonly #lengths: number;

  constructor(names: Iterable<string>) {
    this.#names = new Set(names);
    let lengths = 0;
    for (const { length } of this.#names) lengths |= 1 << (length & 31);
    this.#lengths = lengths;
  }

  has(name: string): boolean {
    return ((this.#lengths >>> (name.length & 31)) & 1) === 1 && this.#names.has(name.toLowerCase());
  }
}

/** The headers without those named; the same array when there is none. */
export function withoutHeaders(headers: RawHeaders, names: HeaderNames): RawHeaders {
  let at = 0;
  while (at < headers.length && !names.has(headers[at] as string)) at += 2;
  if (at >= headers.length) return headers;
  const kept = headers.slice(0, at);
  for (let i = at + 2; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string;
    if (!names.has(name)) kept.push(name, headers[i + 1] as string);
  }
  return kept;
}

/** The first value of a header; `name` in lower case. */
export function headerValue(headers: RawHeaders, name: string): string | undefined {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const found = headers[i] as string;
    if (found.length === name.length && found.toLowerCase() === name) return headers[i + 1];
  }
  return undefined;
}

/**
 * A trailer section without what must not be there (RFC 9110 §6.5.1). A length, coding or routing that comes after
 * its body is either an error or an attack. Our own headers never come in one.
 */
export function safeTrailers(trailers: RawHeaders): RawHeaders {
  if (trailers.length === 0) return trailers;
  const kept: string[] = [];
  for (let i = 0; i + 1 < trailers.length; i += 2) {
    const name = trailers[i] as string;
    if (fieldKind(name) === 'other' && !isOwnField(name)) kept.push(name, trailers[i + 1] as string);
  }
  return kept;
}
