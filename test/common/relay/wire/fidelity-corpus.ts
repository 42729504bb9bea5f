/**
 * Requests and answers whose bytes must not change on their way. Each is sent once directly and once through
 * a relay, and what arrives is compared; only what the docs say may differ. Reusable for any hop that
 * listens on a port: the sidecar, the proxy, the whole path.
 */
import { createHash } from 'node:crypto';
import { gzipSync } from 'node:zlib';

export interface Message {
  readonly name: string;
  /** latin1 */
  readonly bytes: string;
}

/** Reproducible bytes of every value, which look like nothing. */
function noise(size: number): string {
  const blocks: Buffer[] = [];
  for (let i = 0; i * 32 < size; i++) blocks.push(createHash('sha256').update(String(i)).digest());
  return Buffer.concat(blocks).toString('latin1', 0, size);
}

function withBody(line: string, headers: string, body: string): string {
  return `${line}\r\n${headers}Content-Length: ${body.length}\r\n\r\n${body}`;
}

function chunks(body: string, size: number): string {
  let text = '';
  for (let at = 0; at < body.length; at += size) {
    const chunk = body.slice(at, at + size);
    text += `${chunk.length.toString(16)}\r\n${chunk}\r\n`;
  }
  return text;
}

const GZIPPED = gzipSync('{"compressed": true}').toString('latin1');
const METHODS = [
  'GET',
  'HEAD',
  'POST',
  'PUT',
  'PATCH',
  'DELETE',
  'OPTIONS',
  'TRACE',
  'PROPFIND',
  'REPORT',
  'PURGE',
];

export const REQUESTS: readonly Message[] = [
  ...METHODS.map((method) => ({ name: method, bytes: `${method} /m HTTP/1.1\r\nHost: f\r\n\r\n` })),
  ...[1, 1_000, 65_536, 1_000_000].map((size) => ({
    name: `a body of ${size} bytes`,
    bytes: withBody('POST /b HTTP/1.1', 'Host: f\r\n', noise(size)),
  })),
  { name: 'an empty body', bytes: withBody('PUT / HTTP/1.1', 'Host: f\r\n', '') },
  {
    name: 'a compressed body',
    bytes: withBody('POST / HTTP/1.1', 'Host: f\r\nContent-Encoding: gzip\r\n', GZIPPED),
  },
  {
    name: 'order, case and duplicates of headers',
    bytes: 'GET / HTTP/1.1\r\nb: 1\r\nHOST: f\r\nA: 1\r\nB: 2\r\na: 2\r\nCookie: x=1\r\ncookie: y=2\r\n\r\n',
  },
  {
    name: 'empty and odd values',
    bytes: 'GET / HTTP/1.1\r\nHost: f\r\nX-E: \r\nX-O: a  b,,"c"\tcaf\xe9\r\n\r\n',
  },
  {
    name: 'names of every token character',
    bytes: "GET / HTTP/1.1\r\nHost: f\r\n!#$%&'*+-.^_`|~0aZ: v\r\n\r\n",
  },
  { name: 'a hundred headers', bytes: `GET / HTTP/1.1\r\nHost: f\r\n${'X-H: v\r\n'.repeat(100)}\r\n` },
  { name: 'a header of 16 KiB', bytes: `GET / HTTP/1.1\r\nHost: f\r\nX-L: ${'l'.repeat(16_384)}\r\n\r\n` },
  ...[
    '/%2e%2e/%2F/..//./a',
    '/?',
    '/?a=b&a=c&=&%zz',
    '/a;b=c,d@e:f!g$h',
    `/${'p'.repeat(8_000)}`,
    '//double//slash//',
    '/#fragment',
    '/"<>\\^`{|}',
  ].map((path) => ({
    name: `the path ${path.slice(0, 30)}`,
    bytes: `GET ${path} HTTP/1.1\r\nHost: f\r\n\r\n`,
  })),
  {
    name: 'what other gateways would rewrite',
    bytes:
      'GET / HTTP/1.1\r\nHost: f:8080\r\nAccept-Encoding: br, gzip\r\nRange: bytes=0-1\r\nIf-None-Match: "x"\r\n' +
      'Authorization: Basic eDp5\r\nVia: 1.1 other\r\nForwarded: for=1.2.3.4\r\nUser-Agent: \r\n\r\n',
  },
];

export const ANSWERS: readonly Message[] = [
  ...[200, 201, 202, 206, 299, 301, 302, 307, 400, 401, 404, 418, 429, 500, 503, 599].map((status) => ({
    name: `status ${status}`,
    bytes: withBody(
      `HTTP/1.1 ${status} Reason of ${status}`,
      'Location: /elsewhere\r\nRetry-After: 3\r\n',
      'b',
    ),
  })),
  ...[1, 1_000, 65_535, 65_536, 65_537, 3_000_000].map((size) => ({
    name: `a body of ${size} bytes`,
    bytes: withBody('HTTP/1.1 200 OK', '', noise(size)),
  })),
  ...[1, 10, 8_191, 8_193, 100_000].map((size) => ({
    name: `chunks of ${size} bytes`,
    bytes: `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks(noise(Math.min(300_000, size * 40)), size)}0\r\n\r\n`,
  })),
  { name: 'an empty body', bytes: withBody('HTTP/1.1 200 OK', '', '') },
  { name: 'no content', bytes: 'HTTP/1.1 204 No Content\r\nX: y\r\n\r\n' },
  { name: 'not modified', bytes: 'HTTP/1.1 304 Not Modified\r\nETag: "x"\r\nContent-Length: 12\r\n\r\n' },
  {
    name: 'a compressed body',
    bytes: withBody('HTTP/1.1 200 OK', 'Content-Encoding: gzip\r\nVary: *\r\n', GZIPPED),
  },
  {
    name: 'order, case and duplicates of headers',
    bytes: withBody('HTTP/1.1 200 OK', 'b: 1\r\nA: 1\r\nSet-Cookie: a=1\r\nSET-COOKIE: b=2\r\nB: 2\r\n', ''),
  },
  { name: 'no Date, and none added', bytes: withBody('HTTP/1.1 200 OK', 'Server: mine\r\n', '') },
  {
    name: 'trailers',
    bytes:
      'HTTP/1.1 200 OK\r\nTrailer: X-A, x-b\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nX-A: 1\r\nx-b: 2\r\nX-A: 3\r\n\r\n',
  },
  {
    name: 'early hints',
    bytes: `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nLink: </b>\r\n\r\n${withBody('HTTP/1.1 200 OK', '', 'x')}`,
  },
];
