import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  connectionListed,
  fieldKind,
  hasOption,
  safeTrailers,
} from '../../../../common/relay/wire/fields.ts';
import { isFieldValue, isTargetText, isToken, parseLength } from '../../../../common/relay/wire/grammar.ts';
import { isIdempotent } from '../../../../common/call/methods.ts';
import { HeaderNames, headerValue, withoutHeaders } from '../../../../common/relay/index.ts';
import { writeHead, writeTrailers } from '../../../../common/relay/wire/request-writer.ts';
import { bufferBody, NO_BODY } from '../../../../common/relay/index.ts';
import { HandBody } from '../exchange/hand-body.ts';

describe('field kinds', () => {
  for (const [kind, ...names] of [
    ['host', 'Host', 'hOST'],
    ['expect', 'Expect'],
    ['content-length', 'Content-Length', 'CONTENT-LENGTH'],
    ['transfer-encoding', 'Transfer-Encoding'],
    ['connection', 'Connection'],
    ['keep-alive', 'Keep-Alive'],
    ['te', 'TE', 'te'],
    ['hop', 'Upgrade', 'Proxy-Connection', 'proxy-authorization', 'Proxy-X'],
    [
      'other',
      'X',
      'ab',
      'Date',
      'Accept',
      'User-Agent',
      'Set-Cookie',
      'Proxy',
      'Proxying-it',
      'If-None-Match',
    ],
  ] as const)
    it(`${kind}: ${names.join(', ')}`, () => {
      for (const name of names) assert.equal(fieldKind(name), kind);
    });
});

describe('Connection', () => {
  it('lists nothing in its usual values', () => {
    for (const value of ['keep-alive', 'Keep-Alive', 'close', 'CLOSE', '', ' , ,', 'keep-alive, close'])
      assert.equal(connectionListed(value), undefined);
  });

  it('lists names, but none that the message cannot do without', () => {
    assert.deepEqual(connectionListed('X-a, close,x-B , Content-Length, Host, Authorization'), [
      'x-a',
      'x-b',
    ]);
  });

  it('options are found whatever their case and place', () => {
    assert.ok(hasOption('Close', 'close'));
    assert.ok(hasOption('x, CLOSE ,y', 'close'));
    assert.ok(!hasOption('closed', 'close'));
    assert.ok(!hasOption('x-close, y', 'close'));
  });
});

describe('header lists', () => {
  const headers = ['A', '1', 'b', '2', 'a', '3'];

  it('give the first value, by lower-case name', () => {
    assert.equal(headerValue(headers, 'a'), '1');
    assert.equal(headerValue(headers, 'b'), '2');
    assert.equal(headerValue(headers, 'c'), undefined);
  });

  it('lose what is named and stay the same array otherwise', () => {
    assert.deepEqual(withoutHeaders(headers, new HeaderNames(['a'])), ['b', '2']);
    assert.equal(withoutHeaders(headers, new HeaderNames(['x'])), headers);
  });

  it('as trailers lose what would have ruled the message', () => {
    assert.deepEqual(safeTrailers(['Host', 'h', 'X', '1', 'Content-Length', '2', 'TE', 't']), ['X', '1']);
  });
});

describe('grammar', () => {
  it('lengths are digits, and few', () => {
    assert.equal(parseLength('0'), 0);
    assert.equal(parseLength('0012'), 12);
    assert.equal(parseLength('999999999999999'), 999_999_999_999_999);
    for (const text of ['', ' 1', '1 ', '+1', '-1', '1.0', '1e1', '0x1', '1,1', '1_0', '١', '9'.repeat(16)])
      assert.equal(parseLength(text), -1, text);
  });

  it('tokens, values and targets hold what RFC 9110 lets them', () => {
    assert.ok(isToken("!#$%&'*+-.^_`|~09azAZ"));
    for (const c of '()<>@,;:\\"/[]?={} \t\x7f\x80\u0100') assert.ok(!isToken(c), JSON.stringify(c));
    assert.ok(!isToken(''));
    assert.ok(isFieldValue('a b\tc\x80\xff!'));
    for (const c of '\0\r\n\x0b\x1f\x7f\u0100') assert.ok(!isFieldValue(c), JSON.stringify(c));
    assert.ok(isTargetText('/a?b=%00#c\xe9'));
    for (const c of ' \t\r\n\0\x7f\u0100') assert.ok(!isTargetText(`/${c}`), JSON.stringify(c));
  });
});

describe('writing a request', () => {
  const target = { host: '::1', port: 80 };

  it('adds what is missing and nothing else', () => {
    const head = { method: 'PUT', path: '/x', headers: ['A', 'b'] };
    assert.equal(writeHead(head, NO_BODY, target).text, 'PUT /x HTTP/1.1\r\nA: b\r\nHost: [::1]:80\r\n\r\n');
    const known = writeHead(head, bufferBody(Buffer.from('ab')), target);
    assert.ok(known.text.endsWith('Host: [::1]:80\r\nContent-Length: 2\r\n\r\n') && known.length === 2);
    const unknown = writeHead(head, new HandBody(), target);
    assert.ok(unknown.text.endsWith('Transfer-Encoding: chunked\r\n\r\n') && unknown.isChunked);
  });

  it('frames the body as the headers say', () => {
    const chunked = { method: 'PUT', path: '/', headers: ['Host', 'h', 'transfer-encoding', 'chunked'] };
    const written = writeHead(chunked, bufferBody(Buffer.from('ab')), target);
    assert.deepEqual([written.isChunked, written.length], [true, -1]);
    assert.equal(written.text, 'PUT / HTTP/1.1\r\nHost: h\r\ntransfer-encoding: chunked\r\n\r\n');
  });

  it('sees the wish for a 100', () => {
    const expecting = (value: string) => ({ method: 'PUT', path: '/', headers: ['expect', value] });
    assert.equal(writeHead(expecting('100-Continue'), NO_BODY, target).expectsContinue, true);
    assert.equal(writeHead(expecting('200-ok'), NO_BODY, target).expectsContinue, false);
  });

  it('ends a chunked body with its trailers', () => {
    assert.equal(writeTrailers([]), '0\r\n\r\n');
    assert.equal(writeTrailers(['A', 'b', 'a', 'c']), '0\r\nA: b\r\na: c\r\n\r\n');
  });

  it('knows the methods that may be sent twice', () => {
    for (const method of ['GET', 'HEAD', 'OPTIONS', 'TRACE', 'PUT', 'DELETE'])
      assert.ok(isIdempotent(method));
    for (const method of ['POST', 'PATCH', 'CONNECT', 'get', 'X']) assert.ok(!isIdempotent(method));
  });
});
