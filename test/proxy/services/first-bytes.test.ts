/** HTTP/1.x told from anything else, and asked for one answer only. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { looksLikeHttp, readFirstBytes } from '../../../proxy/services/first-bytes.ts';

const read = (text: string) => {
  const first = readFirstBytes(Buffer.from(text, 'latin1'));
  return first.kind === 'http' ? { head: first.head.toString('latin1'), length: first.length } : first.kind;
};

test('only the Connection header changes, and the body is not touched', () => {
  const head = 'POST /a%2Fb//c?x=1 HTTP/1.1\r\nHost: shop.default\r\nX-Mine:  a \r\nContent-Length: 3\r\n';
  assert.deepEqual(read(`${head}\r\nabc`), {
    head: `${head}Connection: close\r\n\r\n`,
    length: head.length + 2,
  });
});

test('keep-alive goes, other options of the connection stay', () => {
  const head = 'GET / HTTP/1.1\r\nConnection: Keep-Alive, X-Hop\r\nHost: a\r\nconnection: TE\r\n\r\n';
  assert.deepEqual(read(head), {
    head: 'GET / HTTP/1.1\r\nHost: a\r\nConnection: X-Hop, TE, close\r\n\r\n',
    length: head.length,
  });
});

for (const [what, text, kind] of [
  ['nothing yet', '', 'more'],
  ['a part of a method', 'GE', 'more'],
  ['a part of a head', 'GET / HTTP/1.1\r\nHost: a\r\n', 'more'],
  ['a TLS hello', '\x16\x03\x01\x02\x00', 'raw'],
  ['HTTP/2 prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'raw'],
  ['a line of another protocol', 'EHLO mail.example.com\r\n', 'raw'],
  ['an upgrade', 'GET / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n', 'raw'],
  ['a folded header', 'GET / HTTP/1.1\r\nX-A: b\r\n c\r\n\r\n', 'raw'],
  ['a head beyond all measure', `GET / HTTP/1.1\r\nX: ${'a'.repeat(70_000)}`, 'raw'],
] as const)
  test(`${what}: ${kind}`, () => assert.equal(read(text), kind));

test('a failure is told to a client that spoke HTTP, also in part', () => {
  assert.equal(looksLikeHttp(Buffer.from('GET /slow HT')), true);
  assert.equal(looksLikeHttp(Buffer.from('PRI * HTTP/2.0\r\n')), false);
});
