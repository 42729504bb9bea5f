/**
 * The head of an answer, from text to meaning, strictly. What two parsers could read in two ways is refused, because
 * the parser behind us may be the other kind. Given up for that: servers that fold lines, end them with a bare LF,
 * put a space before the colon or send two lengths get a 502.
 */
import { badResponse } from '../errors.ts';
import { connectionListed, fieldKind, hasOption, HeaderNames, withoutHeaders } from './fields.ts';
import { COLON, CR, HTAB, LF, SP, isFieldCode, isTokenCode, parseLength } from './grammar.ts';
import type { ResponseHead } from '../types.ts';

/** How the end of the body is found. */
export type BodyFraming = 'none' | 'length' | 'chunked' | 'until-close';

export interface ParsedHead {
  readonly head: ResponseHead;
  readonly framing: BodyFraming;
  /** For framing `length`. */
  readonly length: number;
  readonly keepAlive: boolean;
  /** The upstream's own `Keep-Alive: timeout`, ms; 0: it said nothing. */
  readonly keepAliveMs: number;
}

/** What the field lines said about the message; collected while they are read. */
interface FramingFields {
  length: number;
  isChunked: boolean;
  closes: boolean;
  keepsAlive: boolean;
  keepAliveMs: number;
  listed: string[] | undefined;
}

/**
 * @param text status line and field lines, each with its CRLF, without the empty line
 * @param isHead the request was a HEAD: there is no body whatever the fields say
 * @throws RelayError bad-response
 */
export function parseResponseHead(text: string, isHead: boolean): ParsedHead {
  const minor = httpMinor(text);
  const status = statusCode(text);
  const lineEnd = text.indexOf('\r\n');
  const statusText = reasonPhrase(text, lineEnd);
  const facts: FramingFields = {
    length: -1,
    isChunked: false,
    closes: false,
    keepsAlive: false,
    keepAliveMs: 0,
    listed: undefined,
  };
  const isBodiless = isHead || status === 204 || status === 304 || status < 200;
  const headers = parseFields(text, lineEnd + 2, (name, value, hasBlankBehind) => {
    // llhttp, for one, does not take "chunked" with a tab behind it for chunked.
    if (hasBlankBehind && fieldKind(name) === 'transfer-encoding')
      throw badResponse('white space behind Transfer-Encoding');
    return takeField(facts, status, name, value);
  });
  if (facts.isChunked && facts.length >= 0) throw badResponse('Content-Length beside Transfer-Encoding');
  if (facts.isChunked && minor === 0) throw badResponse('Transfer-Encoding in an HTTP/1.0 answer');
  const framing = isBodiless ? 'none' : framingOf(facts);
  return {
    head: {
      status,
      statusText,
      headers: facts.listed ? withoutHeaders(headers, new HeaderNames(facts.listed)) : headers,
    },
    framing,
    length: facts.length,
    keepAlive: framing !== 'until-close' && !facts.closes && (minor === 1 || facts.keepsAlive),
    keepAliveMs: facts.keepAliveMs,
  };
}

function framingOf(facts: FramingFields): BodyFraming {
  if (facts.isChunked) return 'chunked';
  return facts.length >= 0 ? 'length' : 'until-close';
}

function httpMinor(text: string): 0 | 1 {
  if (text.startsWith('HTTP/1.1 ')) return 1;
  if (text.startsWith('HTTP/1.0 ')) return 0;
  throw badResponse('not an HTTP/1.1 answer');
}

/** Three digits after `HTTP/1.x `, and then a space or the end of the line. */
function statusCode(text: string): number {
  const status = parseLength(text.slice(9, 12));
  const after = text.charCodeAt(12);
  if (status < 100 || (after !== SP && after !== CR)) throw badResponse('bad status');
  return status;
}

function reasonPhrase(text: string, lineEnd: number): string {
  for (let i = 12; i < lineEnd; i++)
    if (!isFieldCode(text.charCodeAt(i))) throw badResponse('bad character in the reason phrase');
  if (lineEnd < 12) throw badResponse('bad status line');
  return text.slice(13, lineEnd);
}

/**
 * Field lines from `at` to the end of `text`.
 * @param take says whether the field is kept
 */
export function parseFields(
  text: string,
  at: number,
  take: (name: string, value: string, hasBlankBehind: boolean) => boolean,
): string[] {
  const fields: string[] = [];
  while (at < text.length) {
    let i = at;
    while (isTokenCode(text.charCodeAt(i))) i++;
    // Also where a line begins with white space (obs-fold) and where some stands before the colon.
    if (i === at || text.charCodeAt(i) !== COLON) throw badResponse('bad field name');
    const name = text.slice(at, i);
    i++;
    while (isBlank(text.charCodeAt(i))) i++;
    const start = i;
    while (isFieldCode(text.charCodeAt(i))) i++;
    if (text.charCodeAt(i) !== CR || text.charCodeAt(i + 1) !== LF)
      throw badResponse('bad character in a field value');
    let end = i;
    while (end > start && isBlank(text.charCodeAt(end - 1))) end--;
    const value = text.slice(start, end);
    if (take(name, value, end < i)) fields.push(name, value);
    at = i + 2;
  }
  return fields;
}

function isBlank(code: number): boolean {
  return code === SP || code === HTAB;
}

function takeField(facts: FramingFields, status: number, name: string, value: string): boolean {
  switch (fieldKind(name)) {
    case 'content-length':
      if (facts.length >= 0) throw badResponse('more than one Content-Length header (RFC 9112 §6.3)');
      facts.length = parseLength(value);
      if (facts.length < 0) throw badResponse(`Content-Length ${JSON.stringify(value.slice(0, 50))}`);
      // RFC 9110 §8.6: never with 204 or 1xx; a careless reader behind us would wait for the bytes.
      return status !== 204 && status >= 200;
    case 'transfer-encoding':
      if (facts.isChunked || value.toLowerCase() !== 'chunked') throw badResponse(wrongCoding(facts, value));
      facts.isChunked = true;
      return status !== 204 && status !== 304 && status >= 200;
    case 'connection':
      facts.closes ||= hasOption(value, 'close');
      facts.keepsAlive ||= hasOption(value, 'keep-alive');
      facts.listed = joined(facts.listed, connectionListed(value));
      return false;
    case 'keep-alive':
      facts.keepAliveMs = keepAliveMs(value);
      return false;
    case 'te':
    case 'hop':
      return false;
    default:
      return true;
  }
}

function wrongCoding({ isChunked }: FramingFields, value: string): string {
  if (isChunked) return 'more than one Transfer-Encoding header (RFC 9112 §6.1); send "chunked" once';
  return `Transfer-Encoding ${JSON.stringify(value.slice(0, 50))}; the only one known is "chunked"`;
}

function joined(a: string[] | undefined, b: string[] | undefined): string[] | undefined {
  return a && b ? [...a, ...b] : (a ?? b);
}

/** `timeout=5, max=100` → 5,000. */
function keepAliveMs(value: string): number {
  const match = /(?:^|[,\s])timeout=(\d{1,6})/i.exec(value);
  return match ? Number(match[1]) * 1_000 : 0;
}
