/**
 * Which header fields mean something to a hop. Everything else is the caller's and the function's business
 * and passes untouched. The length decides first, so that most names cost one comparison.
 */
import type { RawHeaders } from './types.ts';

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
  switch (name.length) {
    case 2:
      return name.toLowerCase() === 'te' ? 'te' : 'other';
    case 4:
      return name.toLowerCase() === 'host' ? 'host' : 'other';
    case 6:
      return name.toLowerCase() === 'expect' ? 'expect' : 'other';
    case 7:
      if (name.toLowerCase() === 'upgrade') return 'hop';
      break;
    case 10: {
      const lower = name.toLowerCase();
      if (lower === 'connection' || lower === 'keep-alive') return lower;
      break;
    }
    case 14:
      if (name.toLowerCase() === 'content-length') return 'content-length';
      break;
    case 17:
      if (name.toLowerCase() === 'transfer-encoding') return 'transfer-encoding';
  }
  return isProxyField(name) ? 'hop' : 'other';
}

/** Proxy-Connection, Proxy-Authenticate, Proxy-Authorization …: between a client and its own proxy only. */
function isProxyField(name: string): boolean {
  if (name.length < 7 || (name.charCodeAt(0) | 0x20) !== 0x70) return false;
  return name.slice(0, 6).toLowerCase() === 'proxy-';
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

/** The headers without those named, in lower case; the same array when there is none. */
export function withoutHeaders(headers: RawHeaders, names: ReadonlySet<string>): RawHeaders {
  const kept: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string;
    if (!names.has(name.toLowerCase())) kept.push(name, headers[i + 1] as string);
  }
  return kept.length === headers.length ? headers : kept;
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
 * A trailer section without what must not be there (RFC 9110 §6.5.1): a length, coding or routing that comes
 * after the body it would have ruled is either an error or an attack.
 */
export function safeTrailers(trailers: RawHeaders): RawHeaders {
  if (trailers.length === 0) return trailers;
  const kept: string[] = [];
  for (let i = 0; i + 1 < trailers.length; i += 2) {
    const name = trailers[i] as string;
    if (fieldKind(name) === 'other') kept.push(name, trailers[i + 1] as string);
  }
  return kept;
}
