/**
 * The edge in HTTP/2: a stream's header list as the request that goes on, in the form that `serveHead` gives for
 * HTTP/1.1. By then nghttp2 has refused what RFC 9113 §8 calls malformed: upper case, connection headers, pseudo
 * headers missing, twice or late, a length that the DATA frames belie. What it lets through and would mean something
 * else as text is refused here. The next hop speaks HTTP/1.1, and one request must not become two there.
 */
import { ReasonError } from '../../common/runtime/errors.ts';
import { fieldKind } from '../../common/relay/wire/fields.ts';
import { isFieldValue, isTargetText, isToken, parseLength } from '../../common/relay/wire/grammar.ts';
import type { RawHeaders, RequestHead } from '../../common/relay/types.ts';

interface HeadFields {
  method: string;
  path: string;
  authority: string | undefined;
  host: string | undefined;
  cookieAt: number;
  hasLength: boolean;
}

/**
 * @param raw as Node gives it: name, value, name, value …, pseudo headers among them
 * @param hasBody false where END_STREAM came with the headers
 * @param maxBytes of names and values together
 * @throws ReasonError bad-request
 */
export function streamHead(raw: RawHeaders, hasBody: boolean, maxBytes = Infinity): RequestHead {
  if (sizeOf(raw) > maxBytes) throw badRequest('send smaller headers');
  const facts: HeadFields = {
    method: '',
    path: '',
    authority: undefined,
    host: undefined,
    cookieAt: -1,
    hasLength: false,
  };
  const headers: string[] = ['host', ''];
  for (let i = 0; i + 1 < raw.length; i += 2)
    takeField(raw[i] as string, raw[i + 1] as string, headers, facts);
  headers[1] = hostOf(facts);
  // A body of unknown length is what HTTP/1.1 calls chunked; everything behind us frames by this header.
  if (hasBody && !facts.hasLength) headers.push('transfer-encoding', 'chunked');
  return { method: checkedMethod(facts.method), path: checkedPath(facts.path), headers };
}

/** As HTTP/1.1 would have them on the wire: `name: value` and a line's end. */
function sizeOf(raw: RawHeaders): number {
  let size = 0;
  for (const text of raw) size += text.length + 2;
  return size;
}

function takeField(name: string, value: string, headers: string[], facts: HeadFields): void {
  if (name.charCodeAt(0) === 0x3a) return takePseudo(name, value, facts);
  if (!isToken(name) || !isFieldValue(value)) throw badRequest('a header holds what no header may');
  switch (fieldKind(name)) {
    case 'host':
      if (facts.host !== undefined) throw badRequest('a request needs exactly one host');
      facts.host = value;
      return;
    case 'content-length':
      if (facts.hasLength || parseLength(value) < 0) throw badRequest('bad content-length');
      facts.hasLength = true;
      break;
    case 'te':
      if (value.toLowerCase() !== 'trailers') return;
      break;
    case 'other':
    case 'expect':
      break;
    default:
      return;
  }
  if (name === 'cookie') return joinCookie(value, headers, facts);
  headers.push(name, value);
}

function takePseudo(name: string, value: string, facts: HeadFields): void {
  if (name === ':method') facts.method = value;
  else if (name === ':path') facts.path = value;
  else if (name === ':authority') facts.authority = value;
}

/** RFC 9113 §8.2.3: a client may split its cookies for better compression; HTTP/1.1 knows one Cookie line. */
function joinCookie(value: string, headers: string[], facts: HeadFields): void {
  if (facts.cookieAt >= 0) {
    headers[facts.cookieAt] = `${headers[facts.cookieAt]}; ${value}`;
    return;
  }
  facts.cookieAt = headers.push('cookie', value) - 1;
}

/** §8.3.1: `:authority` is the host; a Host header that says otherwise is an error or an attack. */
function hostOf({ authority, host }: HeadFields): string {
  const found = authority ?? host;
  if (found === undefined || found === '') throw badRequest('a request needs an :authority or a host');
  if (host !== undefined && host.toLowerCase() !== found.toLowerCase())
    throw badRequest(':authority and host differ');
  if (!isTargetText(found)) throw badRequest('bad :authority');
  return found;
}

function checkedMethod(method: string): string {
  if (!isToken(method) || method === 'CONNECT') throw badRequest('this method is not served');
  return method;
}

function checkedPath(path: string): string {
  if (path.charCodeAt(0) !== 0x2f || !isTargetText(path))
    throw badRequest('the :path must begin with "/" and hold no white space');
  return path;
}

function badRequest(message: string): ReasonError {
  return new ReasonError('bad-request', message);
}
