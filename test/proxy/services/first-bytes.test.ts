/** HTTP/1.x told from anything else, and asked for one answer only. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FirstBytesReader, looksLikeHttp } from '../../../proxy/services/first-bytes.ts';

const read = (text: string) => {
  const first = new FirstBytesReader().read(Buffer.from(text, 'latin1'));
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

/** Byte by byte. @returns what each read said, until it was known */
function readSlowly(text: string): string[] {
  const bytes = Buffer.from(text, 'latin1');
  const reader = new FirstBytesReader();
  const kinds: string[] = [];
  for (let length = 1; length <= bytes.length && (kinds.at(-1) ?? 'more') === 'more'; length++)
    kinds.push(reader.read(bytes.subarray(0, length)).kind);
  return kinds;
}

for (const [what, text, kind, at] of [
  ['a request', 'GET /a HTTP/1.1\r\nHost: a\r\n\r\n', 'http', 28],
  ['a request without fields', 'GET / HTTP/1.0\r\n\r\n', 'http', 18],
  ['an upgrade', 'GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n', 'raw', 32],
  ['HTTP/2 prior knowledge', 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', 'raw', 16],
  ['a second space at the beginning', '  / HTTP/1.1\r\n', 'raw', 1],
  ['a line end in a method', 'GE\nT / HTTP/1.1\r\n', 'raw', 3],
  ['a CR alone in a method', 'GE\rT', 'raw', 4],
  ['a CR alone in a path', 'GET /\ra', 'raw', 7],
] as const)
  test(`${what}, a byte at a time: ${kind}, as soon as it is known`, () => {
    const kinds = readSlowly(text);
    assert.deepEqual([kinds.at(-1), kinds.length], [kind, at]);
    assert.ok(kinds.slice(0, -1).every((each) => each === 'more'));
  });

for (const [what, first, more] of [
  ['a method', 'G', 'E'],
  ['a path', 'GET /', 'a'],
  ['a field', 'GET / HTTP/1.1\r\nX: ', 'a'],
] as const)
  test(`a byte of ${what} is looked at once: what was read may be destroyed`, () => {
    const reader = new FirstBytesReader();
    const bytes = Buffer.from(first + more.repeat(10_000), 'latin1');
    assert.equal(reader.read(bytes.subarray(0, first.length)).kind, 'more');
    for (let length = first.length + 1; length <= bytes.length; length++) {
      // Read again, each of them would end the head or make it none.
      bytes.fill('\r\n\r\n', 0, Math.max(0, length - 4));
      assert.equal(reader.read(bytes.subarray(0, length)).kind, 'more');
    }
  });

test('a failure is told to a client that spoke HTTP, also in part', () => {
  assert.equal(looksLikeHttp(Buffer.from('GET /slow HT')), true);
  assert.equal(looksLikeHttp(Buffer.from('PRI * HTTP/2.0\r\n')), false);
});
