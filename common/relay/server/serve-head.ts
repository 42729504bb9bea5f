/**
 * The edge: what Node's server parsed, as the request that goes on. The parser (llhttp) refuses bare line ends,
 * folded lines, spaces before the colon and both framings at once. What it lets through and another server may read
 * differently is refused here:
 *
 * - a Transfer-Encoding other than exactly `chunked` (`gzip, chunked`, two of them): nobody agrees on those;
 * - more than one Content-Length, even with equal values;
 * - absolute-form (`GET http://other/ …`), authority-form and `*` targets: the first names a second host beside
 *   the Host header, and none of them is a path of a function;
 * - no Host, or two (RFC 9112 §3.2);
 * - a Transfer-Encoding in HTTP/1.0, whose servers do not know it: "faulty framing" (RFC 9112 §6.1).
 */
import type { IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import { ReasonError } from '../../runtime/errors.ts';
import { connectionListed, fieldKind, hasOption, HeaderNames, withoutHeaders } from '../wire/fields.ts';
import { isTargetText, parseLength } from '../wire/grammar.ts';
import type { RequestHead } from '../types.ts';

/** What one pass over the header lines found. */
interface HeaderCounts {
  hosts: number;
  lengths: number;
  codings: number;
  listed: string[] | undefined;
}

/**
 * Connections on which a request was refused. Node goes on parsing what came behind it, which may be the refused
 * request's body dressed as the next request. So nothing more of such a connection is read.
 */
const refused = new WeakSet<Socket>();

/** Nothing more of its connection is looked at. */
export function refuseRest(req: IncomingMessage): void {
  refused.add(req.socket);
}

export function wasRefused(req: IncomingMessage): boolean {
  return refused.has(req.socket);
}

/**
 * The request as it goes on: hop-by-hop headers removed, all else untouched.
 * @throws ReasonError bad-request; answer it with `Connection: close`, for where this request ends is unclear
 */
export function serveHead(req: IncomingMessage): RequestHead {
  try {
    return checkedHead(req);
  } catch (error) {
    refuseRest(req);
    throw error;
  }
}

function checkedHead(req: IncomingMessage): RequestHead {
  const path = req.url as string;
  if (path.charCodeAt(0) !== 0x2f || !isTargetText(path))
    throw badRequest('the request target must be a path that begins with "/"');
  const facts: HeaderCounts = { hosts: 0, lengths: 0, codings: 0, listed: undefined };
  const headers = keptHeaders(req.rawHeaders, facts);
  if (facts.lengths + facts.codings > 1)
    throw badRequest('more than one Content-Length or Transfer-Encoding');
  if (facts.codings > 0 && req.httpVersion === '1.0') throw badRequest('HTTP/1.0 has no Transfer-Encoding');
  if (facts.hosts > 1 || (facts.hosts === 0 && req.httpVersionMinor > 0))
    throw badRequest('a request needs exactly one Host header');
  return {
    method: req.method as string,
    path,
    headers: facts.listed ? withoutHeaders(headers, new HeaderNames(facts.listed)) : headers,
  };
}

function keptHeaders(raw: readonly string[], facts: HeaderCounts): readonly string[] {
  const kept: string[] = [];
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i] as string;
    const value = raw[i + 1] as string;
    // `TE: trailers, deflate`: codings are between hops, the wish for trailers is the caller's.
    if (isKept(name, value, facts))
      kept.push(name, name.length === 2 && value.includes(',') ? teOnward(name, value) : value);
  }
  return kept;
}

function isKept(name: string, value: string, facts: HeaderCounts): boolean {
  switch (fieldKind(name)) {
    case 'other':
    case 'expect':
      return true;
    case 'host':
      facts.hosts++;
      return true;
    case 'content-length':
      if (parseLength(value) < 0) throw badRequest('bad Content-Length');
      facts.lengths++;
      return true;
    case 'transfer-encoding':
      if (value.toLowerCase() !== 'chunked')
        throw badRequest('the only Transfer-Encoding known is "chunked"');
      facts.codings++;
      return true;
    case 'te':
      return hasOption(value, 'trailers');
    case 'connection':
      facts.listed = [...(facts.listed ?? []), ...(connectionListed(value) ?? [])];
      if (facts.listed.length === 0) facts.listed = undefined;
      return false;
    default:
      return false;
  }
}

function teOnward(name: string, value: string): string {
  return fieldKind(name) === 'te' ? 'trailers' : value;
}

function badRequest(message: string): ReasonError {
  return new ReasonError('bad-request', message);
}
