import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { RelayError } from '../../../../common/relay/errors.ts';
import { parseAt, parseWhole, type Parsed } from './parse.ts';

/** Every way to cut the bytes in two, and one byte at a time. */
function everySplit(bytes: string): number[][] {
  const cuts = [[], everyByte(bytes)];
  for (let at = 1; at < bytes.length; at++) cuts.push([at]);
  return cuts;
}

function accepted(name: string, bytes: string, expected: Partial<Parsed>, isHead = false): void {
  it(`accepts ${name}, however it is cut`, () => {
    for (const cuts of everySplit(bytes)) {
      const parsed = parseAt(bytes, cuts, isHead);
      for (const [key, value] of Object.entries(expected))
        assert.deepEqual(parsed[key as keyof Parsed], value, `${key}, cut at ${cuts}`);
      assert.equal(parsed.error, undefined);
    }
  });
}

function refused(name: string, bytes: string, message: RegExp): void {
  it(`refuses ${name}, however it is cut`, () => {
    for (const cuts of everySplit(bytes)) {
      const { error } = parseAt(bytes, cuts);
      assert.ok(error instanceof RelayError, `cut at ${cuts}: ${JSON.stringify(bytes)} was let through`);
      assert.equal(error.code, 'bad-response');
    }
    assert.match(parseWhole(bytes).error?.message ?? '', message);
  });
}

const OK = 'HTTP/1.1 200 OK\r\n';

function chunked(body: string): string {
  return `${OK}Transfer-Encoding: chunked\r\n\r\n${body}`;
}

function keepsAlive(head: string): boolean {
  return parseWhole(`${head}\r\nContent-Length: 0\r\n\r\n`).keepAlive;
}

/** A head of so many bytes, the line of the last header included. */
function headOf(size: number): string {
  return `${OK}A: ${'a'.repeat(size - OK.length - 5)}\r\n\r\n`;
}

function flood(count: number): string {
  return 'HTTP/1.1 102 Processing\r\n\r\n'.repeat(count);
}

function everyByte(bytes: string): number[] {
  return Array.from({ length: bytes.length - 1 }, (_, i) => i + 1);
}

describe('answers that are HTTP/1.1', () => {
  accepted('a body with a length', `${OK}Content-Length: 5\r\n\r\nhello`, {
    status: 200,
    statusText: 'OK',
    headers: ['Content-Length', '5'],
    body: 'hello',
    isDone: true,
    rest: '',
  });
  accepted('a chunked body', `${OK}Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n1\r\n!\r\n0\r\n\r\n`, {
    body: 'hello!',
    trailers: [],
    isDone: true,
  });
  accepted('a coding in capitals', `${OK}transfer-encoding: CHUNKED\r\n\r\n0\r\n\r\n`, {
    body: '',
    isDone: true,
  });
  accepted('trailers', `${OK}Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX-Sum: 1\r\nX-Sum: 2\r\n\r\n`, {
    trailers: ['X-Sum', '1', 'X-Sum', '2'],
  });
  accepted(
    'hex sizes and leading zeros',
    `${OK}Transfer-Encoding: chunked\r\n\r\n00A\r\n0123456789\r\n000\r\n\r\n`,
    {
      body: '0123456789',
      isDone: true,
    },
  );
  accepted(
    'chunk extensions',
    `${OK}Transfer-Encoding: chunked\r\n\r\n1;a=b;c="d e"\r\nx\r\n0;last\r\n\r\n`,
    {
      body: 'x',
      isDone: true,
    },
  );
  accepted('a body that ends with the connection', `${OK}\r\neverything`, {
    body: 'everything',
    isDone: false,
    keepAlive: false,
  });
  accepted('no body with 204', 'HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n', {
    headers: [],
    body: '',
    isDone: true,
  });
  accepted(
    'no body with 304, whose length tells of another answer',
    'HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n',
    {
      headers: ['Content-Length', '5'],
      isDone: true,
    },
  );
  accepted(
    'no body to a HEAD',
    `${OK}Content-Length: 5\r\n\r\n`,
    { headers: ['Content-Length', '5'], isDone: true },
    true,
  );
  accepted(
    'no body to a HEAD, chunked',
    `${OK}Transfer-Encoding: chunked\r\n\r\n`,
    { isDone: true, body: '' },
    true,
  );
  accepted(
    'names, values and order as they are',
    `${OK}b: 1\r\nA:2\r\nb:\t 3 \t\r\nContent-Length: 0\r\n\r\n`,
    {
      headers: ['b', '1', 'A', '2', 'b', '3', 'Content-Length', '0'],
    },
  );
  accepted('empty values and bytes above 127', `${OK}X: \r\nY: caf\xe9\r\nContent-Length: 0\r\n\r\n`, {
    headers: ['X', '', 'Y', 'caf\xe9', 'Content-Length', '0'],
  });
  accepted('a status line without a reason', 'HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n', {
    status: 200,
    statusText: '',
  });
  accepted('a status line without even the space', 'HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n', {
    status: 200,
    statusText: '',
  });
  accepted('a reason of its own', 'HTTP/1.1 299 Sort of  fine\r\nContent-Length: 0\r\n\r\n', {
    status: 299,
    statusText: 'Sort of  fine',
  });
  accepted(
    '1xx before the answer',
    `HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 102 P\r\n\r\n${OK}Content-Length: 1\r\n\r\nx`,
    {
      informational: [103, 102],
      status: 200,
      body: 'x',
    },
  );
  accepted('bytes behind the answer, untouched', `${OK}Content-Length: 1\r\n\r\nxHTTP/1.1 200`, {
    body: 'x',
    rest: 'HTTP/1.1 200',
  });
});

describe('keep-alive', () => {
  it('is the rule of HTTP/1.1 and has to be asked for in HTTP/1.0', () => {
    assert.equal(keepsAlive('HTTP/1.1 200 OK'), true);
    assert.equal(keepsAlive('HTTP/1.1 200 OK\r\nConnection: close'), false);
    assert.equal(keepsAlive('HTTP/1.1 200 OK\r\nConnection: Keep-Alive, Close'), false);
    assert.equal(keepsAlive('HTTP/1.0 200 OK'), false);
    assert.equal(keepsAlive('HTTP/1.0 200 OK\r\nConnection: keep-alive'), true);
  });

  it("takes the server's own idle limit", () => {
    const parsed = parseWhole(`${OK}Keep-Alive: max=3, timeout=5\r\nContent-Length: 0\r\n\r\n`);
    assert.equal(parsed.keepAliveMs, 5_000);
    assert.deepEqual(parsed.headers, ['Content-Length', '0']);
  });
});

describe('hop-by-hop headers of answers', () => {
  it('are removed, with those that Connection lists, and no others', () => {
    const { headers } = parseWhole(
      `${OK}Connection: X-Mine, content-length\r\nX-Mine: 1\r\nX-Yours: 2\r\nUpgrade: h2c\r\n` +
        'Proxy-Authenticate: Basic\r\nTE: x\r\nContent-Length: 0\r\n\r\n',
    );
    assert.deepEqual(headers, ['X-Yours', '2', 'Content-Length', '0']);
  });

  it('in trailers are removed, with lengths and codings', () => {
    const { trailers } = parseWhole(
      `${OK}Transfer-Encoding: chunked\r\n\r\n0\r\nContent-Length: 9\r\nHost: x\r\nTransfer-Encoding: a\r\nX: y\r\n\r\n`,
    );
    assert.deepEqual(trailers, ['X', 'y']);
  });
});

describe('answers that two parsers could read differently', () => {
  refused('a bare LF in the head', `${OK}A: b\nContent-Length: 0\r\n\r\n`, /field value/);
  refused('a head that ends lines with LF only', 'HTTP/1.1 200 OK\nContent-Length: 0\n\n', /bare LF/);
  refused('a bare CR in a value', `${OK}A: b\rc\r\nContent-Length: 0\r\n\r\n`, /field value/);
  refused('a folded line', `${OK}A: b\r\n c\r\nContent-Length: 0\r\n\r\n`, /field name/);
  refused('a space before the colon', `${OK}Content-Length : 0\r\n\r\n`, /field name/);
  refused('a space in a name', `${OK}Content Length: 0\r\n\r\n`, /field name/);
  refused('an empty name', `${OK}: 0\r\n\r\n`, /field name/);
  refused('a line without a colon', `${OK}Content-Length\r\n\r\n`, /field name/);
  refused('a NUL in a value', `${OK}A: b\0\r\nContent-Length: 0\r\n\r\n`, /field value/);
  refused('a NUL in the reason', 'HTTP/1.1 200 O\0K\r\nContent-Length: 0\r\n\r\n', /reason/);
  refused(
    'two lengths that differ',
    `${OK}Content-Length: 1\r\nContent-Length: 2\r\n\r\nxy`,
    /more than one/,
  );
  refused('two lengths that agree', `${OK}Content-Length: 1\r\nContent-Length: 1\r\n\r\nx`, /more than one/);
  refused('a list of lengths', `${OK}Content-Length: 1, 1\r\n\r\nx`, /Content-Length "1, 1"/);
  for (const length of ['', '-1', '+1', '0x1', '1e1', '1 ', ' 1 1', '١', '9999999999999999'])
    if (length.trim() !== '1')
      refused(
        `the length ${JSON.stringify(length)}`,
        `${OK}Content-Length: ${length}\r\n\r\nx`,
        /Content-Length|field value/,
      );
  refused(
    'a length beside a coding',
    `${OK}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    /beside/,
  );
  refused(
    'a coding beside a length, to a 304',
    'HTTP/1.1 304 X\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n',
    /beside/,
  );
  for (const coding of [
    'gzip, chunked',
    'chunked, chunked',
    'identity',
    'xchunked',
    'chunked;q=1',
    'chunked\t',
    'chunked ',
    '',
  ])
    refused(
      `the coding ${JSON.stringify(coding)}`,
      `${OK}Transfer-Encoding: ${coding}\r\n\r\n0\r\n\r\n`,
      /Transfer-Encoding/,
    );
  refused(
    'two codings',
    `${OK}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
    /Transfer-Encoding/,
  );
  refused(
    'a coding in HTTP/1.0',
    'HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    /HTTP\/1.0/,
  );
});

describe('answers that are not HTTP/1.1', () => {
  for (const line of [
    'HTTP/2.0 200 OK',
    'HTTP/1.2 200 OK',
    'HTTP/1.1  200 OK',
    'http/1.1 200 OK',
    'HTTP/1.1 20 OK',
    'HTTP/1.1 2000 OK',
    'HTTP/1.1 099 OK',
    'HTTP/1.1 abc',
    'SSH-2.0-OpenSSH',
  ])
    refused(`the status line ${line}`, `${line}\r\nContent-Length: 0\r\n\r\n`, /HTTP|status/);
  refused('a line end before the status line', `\r\n${OK}Content-Length: 0\r\n\r\n`, /HTTP/);
  refused('101, for nobody asked', 'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n', /101/);
});

describe('chunks', () => {
  refused('a size that is no number', chunked('x\r\n'), /chunk size/);
  refused('an empty size', chunked('\r\n'), /chunk size/);
  refused('a negative size', chunked('-1\r\n'), /chunk size/);
  refused('a size with 0x', chunked('0x1\r\na\r\n0\r\n\r\n'), /chunk size/);
  refused('a space behind the size', chunked('1 \r\na\r\n0\r\n\r\n'), /chunk size/);
  refused('a size above 2^52', chunked('10000000000000\r\n'), /too large/);
  refused('a size of many zeros', chunked(`${'0'.repeat(14)}1\r\n`), /too large/);
  refused('a bare LF behind the size', chunked('1\na\r\n0\r\n\r\n'), /chunk size/);
  refused('a bare CR behind the size', chunked('1\ra\r\n0\r\n\r\n'), /bare CR/);
  refused('a chunk longer than its size', chunked('1\r\nab\r\n0\r\n\r\n'), /longer/);
  refused('a chunk that ends with LF', chunked('1\r\na\n0\r\n\r\n'), /longer/);
  refused('a chunk that ends with CR', chunked('1\r\na\rx'), /line end/);
  refused('a control character in an extension', chunked('1;a\x01\r\na\r\n0\r\n\r\n'), /extension/);
  refused('a bare LF in an extension', chunked('1;a\nb\r\na\r\n0\r\n\r\n'), /extension/);
  // llhttp takes a line end in a quoted extension as part of it; RFC 9112 does not.
  refused('a line end in a quoted extension', chunked('1;a="\r\n"\r\nx\r\n0\r\n\r\n'), /chunk size/);
  refused('a folded trailer', chunked('0\r\nA: b\r\n c\r\n\r\n'), /field name/);

  it('refuses extensions that add up to more than 16 KiB, chunk by chunk', () => {
    const chunk = `1;${'e'.repeat(1_000)}\r\nx\r\n`;
    assert.equal(parseWhole(chunked(chunk.repeat(16))).error, undefined);
    assert.match(parseWhole(chunked(chunk.repeat(17))).error?.message ?? '', /extensions too long/);
  });
});

describe('bounds', () => {
  it('takes a head of 64 KiB and no more, in one piece or byte by byte', () => {
    const fits = headOf(65_536);
    const tooLong = headOf(65_537);
    for (const cutter of [() => [], everyByte]) {
      assert.equal(parseAt(fits, cutter(fits)).status, 200);
      assert.match(parseAt(tooLong, cutter(tooLong)).error?.message ?? '', /too long/);
    }
  });

  it('does not gather an endless head', () => {
    const bytes = OK + 'A: b\r\n'.repeat(20_000);
    assert.match(parseAt(bytes, [10]).error?.message ?? '', /too long/);
  });

  it('does not gather an endless trailer section', () => {
    const bytes = `${OK}Transfer-Encoding: chunked\r\n\r\n0\r\n${'A: b\r\n'.repeat(20_000)}`;
    assert.match(parseWhole(bytes).error?.message ?? '', /too long/);
  });

  it('lets 32 informational answers pass and refuses a flood of them', () => {
    assert.equal(parseWhole(`${flood(32)}${OK}Content-Length: 0\r\n\r\n`).status, 200);
    assert.match(parseWhole(flood(33)).error?.message ?? '', /informational/);
  });
});

describe('the end of the connection', () => {
  it('ends a body that has no other end, and cuts every other', () => {
    assert.equal(parseWhole(`${OK}\r\nall`).finished, true);
    assert.equal(parseWhole(`${OK}Content-Length: 5\r\n\r\nall`).finished, false);
    assert.equal(parseWhole(`${OK}Transfer-Encoding: chunked\r\n\r\n3\r\nall\r\n`).finished, false);
    assert.equal(parseWhole(OK).finished, false);
    assert.equal(parseWhole('').finished, false);
  });
});
