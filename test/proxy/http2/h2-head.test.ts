import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { ReasonError } from '../../../common/runtime/errors.ts';
import { fieldObject, isGrpc, pushFields } from '../../../common/http2/fields.ts';
import { streamHead } from '../../../proxy/http2/h2-head.ts';

const PSEUDO = [':method', 'GET', ':scheme', 'http', ':authority', 'fn.example:80', ':path', '/a%20b?c=d'];

describe('a header list as a request', () => {
  it('pseudo headers become method, target and Host, first in line', () => {
    const head = streamHead([...PSEUDO, 'x-mine', '1', 'x-mine', '2'], false);
    assert.deepEqual(head, {
      method: 'GET',
      path: '/a%20b?c=d',
      headers: ['host', 'fn.example:80', 'x-mine', '1', 'x-mine', '2'],
    });
  });

  it('a body without a length is what HTTP/1.1 calls chunked', () => {
    assert.deepEqual(streamHead(PSEUDO, true).headers.slice(-2), ['transfer-encoding', 'chunked']);
    const withLength = streamHead([...PSEUDO, 'content-length', '3'], true);
    assert.deepEqual(withLength.headers.slice(2), ['content-length', '3']);
  });

  it('cookies are joined where the first one stood', () => {
    const { headers } = streamHead(
      [...PSEUDO, 'cookie', 'a=1', 'x', 'y', 'cookie', 'b=2', 'cookie', 'c=3'],
      false,
    );
    assert.deepEqual(headers.slice(2), ['cookie', 'a=1; b=2; c=3', 'x', 'y']);
  });

  it('what concerns one hop does not go on', () => {
    const hop = ['connection', 'close', 'keep-alive', '1', 'proxy-authorization', 'x', 'upgrade', 'h2c'];
    const { headers } = streamHead([...PSEUDO, ...hop, 'transfer-encoding', 'chunked', 'te', 'gzip'], false);
    assert.deepEqual(headers, ['host', 'fn.example:80']);
    assert.deepEqual(streamHead([...PSEUDO, 'te', 'trailers'], false).headers.slice(2), ['te', 'trailers']);
  });

  it('a Host is taken where there is no :authority, and may repeat it', () => {
    const bare = [':method', 'GET', ':scheme', 'http', ':path', '/'];
    assert.deepEqual(streamHead([...bare, 'host', 'h'], false).headers, ['host', 'h']);
    assert.deepEqual(streamHead([...PSEUDO, 'host', 'FN.example:80'], false).headers, [
      'host',
      'fn.example:80',
    ]);
  });
});

describe('refused: what could become another request in HTTP/1.1', () => {
  const without = (name: string): string[] => {
    const at = PSEUDO.indexOf(name);
    return PSEUDO.toSpliced(at, 2);
  };
  const changed = (name: string, value: string): string[] => {
    const at = PSEUDO.indexOf(name);
    return PSEUDO.with(at + 1, value);
  };
  const cases: Readonly<Record<string, readonly string[]>> = {
    'a line break in a value': [...PSEUDO, 'x', 'a\r\nevil: 1'],
    'a NUL in a value': [...PSEUDO, 'x', 'a\0b'],
    'a colon in a name': [...PSEUDO, 'x:y', '1'],
    'a space in a name': [...PSEUDO, 'x y', '1'],
    'a line break in the path': changed(':path', '/a HTTP/1.1\r\nx: y'),
    'a space in the path': changed(':path', '/a b'),
    'a path that is none': changed(':path', '*'),
    'a whole URL as path': changed(':path', 'http://other/'),
    'a method with a space': changed(':method', 'GET /evil'),
    CONNECT: changed(':method', 'CONNECT'),
    'no method': without(':method'),
    'no path': without(':path'),
    'no host at all': without(':authority'),
    'an empty host': changed(':authority', ''),
    'a line break in the host': changed(':authority', 'a\r\nx: y'),
    'two hosts': [...without(':authority'), 'host', 'a', 'host', 'b'],
    'a host beside another :authority': [...PSEUDO, 'host', 'other'],
    'two lengths': [...PSEUDO, 'content-length', '1', 'content-length', '1'],
    'a length that is no number': [...PSEUDO, 'content-length', '1e3'],
  };
  for (const [what, raw] of Object.entries(cases))
    it(what, () =>
      assert.throws(
        () => streamHead(raw, false),
        (error) => error instanceof ReasonError && error.code === 'bad-request',
      ),
    );
});

describe('fields', () => {
  it('go out in lower case, without Host and framing', () => {
    const raw = [
      'Host',
      'h',
      'X-A',
      '1',
      'Connection',
      'close',
      'Transfer-Encoding',
      'chunked',
      'TE',
      'trailers',
    ];
    assert.deepEqual(pushFields([':status', '200'], raw), [':status', '200', 'x-a', '1', 'te', 'trailers']);
  });

  it('as an object keep all values of a name, and nothing of a prototype', () => {
    const fields = fieldObject(['A', '1', 'a', '2', 'A', '3', 'content-length', '9', '__proto__', 'x']);
    assert.deepEqual(Object.entries(fields), [
      ['a', ['1', '2', '3']],
      ['__proto__', 'x'],
    ]);
  });

  it('gRPC is told by its content type', () => {
    const types = ['application/grpc', 'application/grpc+proto', 'Application/GRPC-web'];
    assert.ok(types.every(isGrpc));
    assert.ok(!isGrpc(undefined) && !isGrpc('application/json'));
  });
});
