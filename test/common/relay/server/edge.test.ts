import assert from 'node:assert/strict';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { giveAway, type EdgeLimit } from '../../../../common/relay/index.ts';
import { waitFor } from '../../../helpers/wait.ts';
import { edge } from '../exchange/rig.ts';
import { answering, rawClient, rawUpstream, type Wire } from '../wire/wire.ts';

/** Where the kernel's timers cannot be read. */
const NO_PROC = existsSync('/proc/net/tcp') ? false : 'needs Linux';
const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

/** Sends bytes at the edge and returns the answer with what the function saw of them. */
async function send(t: TestContext, bytes: string): Promise<{ answer: string; seen: string }> {
  const upstream = await rawUpstream(t, answering(OK));
  const client = await rawClient(t, (await edge(t, upstream.target)).port);
  client.send(bytes);
  await client.contains('\r\n\r\n');
  return { answer: client.received, seen: upstream.wires[0]?.received ?? '' };
}

describe('requests that pass', () => {
  for (const [name, sent, seen] of [
    [
      'names, order, duplicates and values',
      'GET /p HTTP/1.1\r\nhOst: F\r\nX-b: 2\r\nX-B: 1\r\nX-b: caf\xe9\r\n\r\n',
      'GET /p HTTP/1.1\r\nhOst: F\r\nX-b: 2\r\nX-B: 1\r\nX-b: caf\xe9\r\n\r\n',
    ],
    [
      'path and query byte for byte',
      'GET /%2e%2E/a//b/./../c?x=%00&y=+#z|{}"<>\\^` HTTP/1.1\r\nHost: f\r\n\r\n',
      'GET /%2e%2E/a//b/./../c?x=%00&y=+#z|{}"<>\\^` HTTP/1.1\r\nHost: f\r\n\r\n',
    ],
    [
      'a method of its own',
      'PROPFIND / HTTP/1.1\r\nHost: f\r\n\r\n',
      'PROPFIND / HTTP/1.1\r\nHost: f\r\n\r\n',
    ],
    [
      'a body with its length',
      'POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 3\r\n\r\nabc',
      'POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 3\r\n\r\nabc',
    ],
    [
      'a length of 0',
      'POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 0\r\n\r\n',
      'POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 0\r\n\r\n',
    ],
    ['a POST without any body', 'POST / HTTP/1.1\r\nHost: f\r\n\r\n', 'POST / HTTP/1.1\r\nHost: f\r\n\r\n'],
    [
      'a GET with a body',
      'GET / HTTP/1.1\r\nHost: f\r\nContent-Length: 1\r\n\r\nx',
      'GET / HTTP/1.1\r\nHost: f\r\nContent-Length: 1\r\n\r\nx',
    ],
    [
      'hop-by-hop headers, removed',
      'GET / HTTP/1.1\r\nHost: f\r\nConnection: close, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: x\r\nProxy-Authorization: y\r\nProxy-Connection: z\r\nTE: deflate\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: f\r\n\r\n',
    ],
    [
      'the wish for trailers, kept',
      'GET / HTTP/1.1\r\nHost: f\r\nTE: trailers, deflate\r\n\r\n',
      'GET / HTTP/1.1\r\nHost: f\r\nTE: trailers\r\n\r\n',
    ],
    [
      'what Connection must not take away',
      'POST / HTTP/1.1\r\nHost: f\r\nConnection: Content-Length, Host, Authorization\r\nAuthorization: a\r\nContent-Length: 1\r\n\r\nx',
      'POST / HTTP/1.1\r\nHost: f\r\nAuthorization: a\r\nContent-Length: 1\r\n\r\nx',
    ],
  ] as const)
    it(`keep ${name}`, async (t) => {
      const { answer, seen: got } = await send(t, sent);
      assert.match(answer, /^HTTP\/1\.1 200 /);
      assert.equal(got, seen);
    });

  it('keep chunks and trailers', async (t) => {
    const upstream = await rawUpstream(t, answering(OK));
    const client = await rawClient(t, (await edge(t, upstream.target)).port);
    client.send(
      'POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n3;e\r\nabc\r\n0\r\nX-Sum: 1\r\nHost: evil\r\n\r\n',
    );
    const wire = await upstream.wire(0);
    await wire.contains('X-Sum');
    assert.equal(
      wire.received,
      'POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n',
    );
  });
});

describe('a body', () => {
  it('is not read while the call waits', async (t) => {
    const size = 32 * 1_048_576;
    let go: (() => void) | undefined;
    let seen = 0;
    const handler = (req: IncomingMessage, res: ServerResponse) => {
      go = () => req.on('data', (chunk: Buffer) => (seen += chunk.length)).on('end', () => res.end('done'));
    };
    const upstream = await rawUpstream(t);
    const client = await rawClient(t, (await edge(t, upstream.target, { handler })).port);
    client.send(`POST / HTTP/1.1\r\nHost: f\r\nContent-Length: ${size}\r\n\r\n`);
    client.socket.write(Buffer.alloc(size));
    await new Promise((resolve) => setTimeout(resolve, 200));
    assert.ok(client.socket.writableLength > size / 2);
    go?.();
    await client.contains('done');
    assert.equal(seen, size);
  });

  it('that nobody reads to its end does not keep the connection from its next request', async (t) => {
    const upstream = await rawUpstream(t, answering('HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n'));
    const client = await rawClient(t, (await edge(t, upstream.target)).port);
    const size = 4 * 1_048_576;
    client.send(`POST / HTTP/1.1\r\nHost: f\r\nContent-Length: ${size}\r\n\r\n`);
    client.socket.write(Buffer.alloc(size));
    await client.contains('413');
    client.send('GET / HTTP/1.1\r\nHost: f\r\n\r\n');
    await client.until('a second answer', (bytes) => bytes.split('HTTP/1.1 413').length === 3);
  });
});

describe('Expect: 100-continue', () => {
  const HEAD = 'POST / HTTP/1.1\r\nHost: f\r\nExpect: 100-continue\r\nContent-Length: 4\r\n\r\n';

  it('travels to the function, and its 100 back, before the body is sent', async (t) => {
    const upstream = await rawUpstream(t);
    const client = await rawClient(t, (await edge(t, upstream.target)).port);
    client.send(HEAD);
    const wire = await upstream.wire(0);
    await wire.contains('Expect: 100-continue\r\n');
    assert.equal(client.received, '');
    wire.send('HTTP/1.1 100 Continue\r\n\r\n');
    await client.contains('HTTP/1.1 100 Continue\r\n\r\n');
    client.send('body');
    await wire.contains('\r\n\r\nbody');
    wire.send(OK);
    await client.contains('\r\n\r\nok');
    assert.ok(client.received.includes('Connection: keep-alive'));
  });

  it('refused by the function closes the caller’s connection, for its body may or may not follow', async (t) => {
    const upstream = await rawUpstream(t, answering('HTTP/1.1 401 No\r\nContent-Length: 0\r\n\r\n'));
    const client = await rawClient(t, (await edge(t, upstream.target)).port);
    client.send(HEAD);
    await client.untilEnded();
    assert.equal(client.received, 'HTTP/1.1 401 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
  });

  it('with another expectation is 417', async (t) => {
    const upstream = await rawUpstream(t);
    const client = await rawClient(t, (await edge(t, upstream.target)).port);
    client.send('GET / HTTP/1.1\r\nHost: f\r\nExpect: miracles\r\n\r\n');
    await client.contains('417');
    assert.equal(upstream.wires.length, 0);
  });
});

/** Answered with an error, the connection closed, and not a byte of it at the function. */
async function isRefused(t: TestContext, bytes: string, status = 400): Promise<void> {
  const upstream = await rawUpstream(t, answering(OK));
  const client = await rawClient(t, (await edge(t, upstream.target)).port);
  client.send(bytes);
  await client.untilEnded();
  assert.match(client.received, new RegExp(`^HTTP/1\\.1 ${status} `));
  assert.equal(client.received.split('HTTP/1.1 ').length, 2, 'one answer only');
  assert.match(client.received, /\r\nConnection: close\r\n/);
  assert.match(client.received, /\r\nSlimFaas-Reason: bad-request\r\n/);
  assert.deepEqual(
    upstream.wires.map(({ received }: Wire) => received),
    [],
  );
}

const SMUGGLED = 'GET /smuggled HTTP/1.1\r\nHost: f\r\n\r\n';

describe('a 400 says what is wrong', () => {
  for (const [sent, says] of [
    ['FOO / HTTP/1.1\r\nHost: f\r\n\r\n', /the method "FOO" is not known here; known are .*GET, /],
    ['get / HTTP/1.1\r\nHost: f\r\n\r\n', /the method "get" is not known/],
    ['\0\x01\x02', /does not begin with a method/],
    ['\x16\x03\x01\x02\0\x01', /does not speak TLS; use http:/],
    ['GET /a\xe9 HTTP/1.1\r\nHost: f\r\n\r\n', /the path has the byte 0xE9; write it as %E9/],
    ['GET /a\x01b HTTP/1.1\r\nHost: f\r\n\r\n', /0x01; write it as %01/],
    ['GET /a b HTTP/1.1\r\nHost: f\r\n\r\n', /one space between each/],
    ['GET / HTTP/1.5\r\nHost: f\r\n\r\n', /Invalid HTTP version/],
    ['GET / HTTP/1.1\r\nHost : f\r\n\r\n', /white space before the colon/],
    ['GET / HTTP/1.1\r\nA: b\nC: d\r\n\r\n', /end with CR LF/],
    ['POST / HTTP/1.1\r\nHost: f\r\nContent-Length: x\r\n\r\n', /one Content-Length, a whole number/],
    [
      'POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n',
      /one Transfer-Encoding/,
    ],
  ] as const) {
    it(JSON.stringify(sent).slice(0, 60), async (t) => {
      const upstream = await rawUpstream(t, answering(OK));
      const client = await rawClient(t, (await edge(t, upstream.target)).port);
      client.send(sent);
      await client.untilEnded();
      assert.match(client.received, /^HTTP\/1.1 400 /);
      assert.match(client.received, /\{"error":"bad-request"/);
      assert.match(client.received.replaceAll('\\"', '"'), says);
    });
  }
});

describe('idle connections', () => {
  it('beyond what they may hold the longest idle are closed, and none that has a request', async (t) => {
    const upstream = await rawUpstream(t, (wire) => {
      wire.socket.on('data', () => !wire.received.includes('/slow') && wire.send(OK));
    });
    const met: EdgeLimit[] = [];
    const limits = { maxIdleBytes: 20 * 16 * 1024 };
    const { port, server } = await edge(t, upstream.target, { limits, onLimit: (limit) => met.push(limit) });
    const slow = await rawClient(t, port);
    slow.send('GET /slow HTTP/1.1\r\nHost: f\r\n\r\n');
    const clients: Wire[] = [];
    for (let i = 0; i < 60; i++) {
      const client = await rawClient(t, port);
      client.send('GET / HTTP/1.1\r\nHost: f\r\n\r\n');
      await client.contains('ok');
      clients.push(client);
    }
    const isOpen = ({ ended }: Wire): boolean => ended === undefined;
    await waitFor(() => clients.filter(isOpen).length <= 21, { what: 'the oldest are closed' });
    assert.ok(isOpen(slow), 'it waits for its answer');
    assert.ok(isOpen(clients.at(-1) as Wire), 'the newest stays');
    assert.ok(met.length >= 39 && met.every((limit) => limit === 'idle-bytes'), `${met.length}`);
    assert.equal(server.listening, true);
  });
});

describe('smuggling is refused with 400 and a closed connection', () => {
  for (const [name, bytes] of [
    [
      'CL.TE',
      `POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    ],
    [
      'TE.CL',
      `POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n5c\r\n${SMUGGLED}\r\n0\r\n\r\n`,
    ],
    [
      'TE.TE, two lines',
      `POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    ],
    [
      'TE.TE, chunked twice',
      `POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    ],
    [
      'a list of codings',
      `POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    ],
    ['identity', `POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: identity\r\n\r\n${SMUGGLED}`],
    [
      'a coding with a tail',
      `POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked-ish\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    ],
    [
      'a coding behind a vertical tab',
      'POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n',
    ],
    [
      'a space before the colon',
      `POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    ],
    ['obs-fold', 'POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n'],
    ['a folded value', 'GET / HTTP/1.1\r\nHost: f\r\nX: a\r\n b\r\n\r\n'],
    ['bare LF as a line end', 'GET / HTTP/1.1\nHost: f\n\n'],
    ['bare LF in a value', 'GET / HTTP/1.1\r\nHost: f\r\nX: a\nContent-Length: 5\r\n\r\n'],
    ['bare CR in a value', 'GET / HTTP/1.1\r\nHost: f\r\nX: a\rContent-Length: 5\r\n\r\n'],
    ['NUL in a value', 'GET / HTTP/1.1\r\nHost: f\r\nX: a\0b\r\n\r\n'],
    [
      'two lengths that differ',
      `POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 0\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`,
    ],
    [
      'two lengths that agree',
      'POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx',
    ],
    ['a list of lengths', 'POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 1, 1\r\n\r\nx'],
    ['a negative length', 'POST / HTTP/1.1\r\nHost: f\r\nContent-Length: -1\r\n\r\nx'],
    ['a signed length', 'POST / HTTP/1.1\r\nHost: f\r\nContent-Length: +1\r\n\r\nx'],
    ['a hexadecimal length', 'POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 0x1\r\n\r\nx'],
    [
      'a length too long for a number',
      'POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 99999999999999999999\r\n\r\nx',
    ],
    ['absolute-form', 'GET http://other/ HTTP/1.1\r\nHost: f\r\n\r\n'],
    ['an asterisk', 'OPTIONS * HTTP/1.1\r\nHost: f\r\n\r\n'],
    ['no Host', 'GET / HTTP/1.1\r\n\r\n'],
    ['two Hosts', 'GET / HTTP/1.1\r\nHost: f\r\nHost: g\r\n\r\n'],
    ['HTTP/1.1 without a target', 'GET HTTP/1.1\r\nHost: f\r\n\r\n'],
    ['a tab in the request line', 'GET\t/ HTTP/1.1\r\nHost: f\r\n\r\n'],
    ['a byte above 127 in the target', 'GET /caf\xe9 HTTP/1.1\r\nHost: f\r\n\r\n'],
    ['a control character in the target', 'GET /\x01 HTTP/1.1\r\nHost: f\r\n\r\n'],
    ['a version that there is not', 'GET / HTTP/1.9\r\nHost: f\r\n\r\n'],
    ['an empty header name', 'GET / HTTP/1.1\r\nHost: f\r\n: x\r\n\r\n'],
    ['a header without a colon', 'GET / HTTP/1.1\r\nHost: f\r\nX\r\n\r\n'],
    [
      'a coding in HTTP/1.0',
      `POST / HTTP/1.0\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n${SMUGGLED}`,
    ],
    ['nonsense', '\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03'],
  ] as const)
    it(name, (t) => isRefused(t, bytes));

  it('requests behind a refused one are not looked at, however they came', async (t) => {
    const upstream = await rawUpstream(t, answering(OK));
    const client = await rawClient(t, (await edge(t, upstream.target)).port);
    client.send(`GET http://other/ HTTP/1.1\r\nHost: f\r\n\r\n${SMUGGLED.repeat(3)}`);
    client.send(SMUGGLED);
    await client.untilEnded();
    assert.equal(client.received.split('HTTP/1.1 ').length, 2);
    assert.equal(upstream.wires.length, 0);
  });

  it('a head above the limit is 431', (t) =>
    isRefused(t, `GET / HTTP/1.1\r\nHost: f\r\nX: ${'x'.repeat(70_000)}\r\n\r\n`, 431));

  it('more headers than the limit are 431, an upgrade’s too', async (t) => {
    await isRefused(t, `GET / HTTP/1.1\r\nHost: f\r\n${'X:\r\n'.repeat(2_048)}\r\n`, 431);
    const met: EdgeLimit[] = [];
    const upstream = await rawUpstream(t, answering(OK));
    const limits = { maxHeaders: 4 };
    const { port, server } = await edge(t, upstream.target, { limits, onLimit: (limit) => met.push(limit) });
    server.on('upgrade', (_req, socket: Socket) => socket.end('upgraded'));
    for (const upgrade of ['X: x\r\n', 'Upgrade: websocket\r\n']) {
      const client = await rawClient(t, port);
      const head = `GET / HTTP/1.1\r\nHost: f\r\nConnection: Upgrade\r\n${upgrade}`;
      client.send(`${head}A: 1\r\nB: 2\r\n\r\n${SMUGGLED}`);
      await client.untilEnded();
      assert.match(client.received, /^HTTP\/1\.1 431 .*SlimFaas-Reason: bad-request.*send fewer headers/s);
      assert.equal(client.received.split('HTTP/1.1 ').length, 2, 'one answer only');
    }
    const fits = await rawClient(t, port);
    fits.send('GET / HTTP/1.1\r\nHost: f\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n');
    await fits.contains('ok');
    assert.deepEqual(met, ['headers', 'headers']);
  });

  it('CONNECT is refused with a reason, and cut', async (t) => {
    const upstream = await rawUpstream(t);
    const client = await rawClient(t, (await edge(t, upstream.target)).port);
    client.send('CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n');
    await client.untilEnded();
    assert.match(client.received, /^HTTP\/1.1 400 .*SlimFaas-Reason: bad-request.*CONNECT is not served/s);
    assert.equal(upstream.wires.length, 0);
  });
});

describe('smuggling inside a body breaks the request off', () => {
  for (const [name, body] of [
    ['a huge chunk size', 'fffffffffffffffff\r\nabc'],
    ['a chunk size that is no number', 'zz\r\nabc\r\n0\r\n\r\n'],
    ['a chunk longer than its size', '1\r\nabc\r\n0\r\n\r\n'],
    ['a bare LF behind a chunk size', '3\nabc\r\n0\r\n\r\n'],
    ['a negative chunk size', '-1\r\nabc\r\n0\r\n\r\n'],
  ] as const)
    it(name, async (t) => {
      const upstream = await rawUpstream(t);
      const client = await rawClient(t, (await edge(t, upstream.target)).port);
      client.send(`POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n${body}${SMUGGLED}`);
      await client.untilEnded();
      assert.ok(client.received === '' || client.received.startsWith('HTTP/1.1 400 '));
      for (const wire of upstream.wires) {
        await wire.untilEnded();
        assert.ok(!wire.received.includes('0\r\n\r\n'), 'the function must not take it for complete');
        assert.ok(!wire.received.includes('GET /smuggled'));
      }
    });

  it('what looks like a request in a body stays a body', async (t) => {
    const upstream = await rawUpstream(t, answering(OK));
    const client = await rawClient(t, (await edge(t, upstream.target)).port);
    client.send(`POST / HTTP/1.1\r\nHost: f\r\nContent-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`);
    await client.contains('ok');
    const wire = await upstream.wire(0);
    assert.ok(wire.received.endsWith(`Content-Length: ${SMUGGLED.length}\r\n\r\n${SMUGGLED}`));
  });
});

describe('limits of the edge', () => {
  it('a body that goes on after an early answer is cut', async (t) => {
    const upstream = await rawUpstream(t, answering('HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n'));
    const { port } = await edge(t, upstream.target, { limits: { unreadBodyMs: 300 } });
    const client = await rawClient(t, port);
    client.send('POST / HTTP/1.1\r\nHost: f\r\nContent-Length: 1000000\r\n\r\n');
    const dripping = setInterval(() => client.socket.write('x'), 20);
    t.after(() => clearInterval(dripping));
    await client.contains('HTTP/1.1 413');
    await client.untilEnded();
  });

  it('each is counted', async (t) => {
    const met: EdgeLimit[] = [];
    const upstream = await rawUpstream(t, answering(OK));
    const limits = { maxConnections: 1, headersTimeoutMs: 200, maxHeaderBytes: 4_096 };
    const { port } = await edge(t, upstream.target, { limits, onLimit: (limit) => met.push(limit) });
    for (const [bytes, limit] of [
      ['GET / HTTP/1.1\r\nHost: ', 'header-time'],
      [`GET / HTTP/1.1\r\nHost: f\r\nX: ${'x'.repeat(5_000)}\r\n\r\n`, 'header-bytes'],
      ['nonsense\r\n\r\n', 'malformed'],
      ['GET / HTTP/1.1\r\nHost: f\r\nHost: g\r\n\r\n', 'malformed'],
    ] as const) {
      met.length = 0;
      // The one before may not be gone yet.
      await waitFor(
        async () => {
          const client = await rawClient(t, port);
          client.send(bytes);
          await client.untilEnded();
          return met.includes(limit);
        },
        { what: limit },
      );
    }
    await waitFor(
      async () => {
        const first = await rawClient(t, port);
        const second = await rawClient(t, port);
        await Promise.race([first.untilEnded(), second.untilEnded()]);
        first.socket.destroy();
        second.socket.destroy();
        return met.includes('connections');
      },
      { what: 'connections' },
    );
  });

  it('a head that comes too slowly is 408', async (t) => {
    const upstream = await rawUpstream(t);
    const { port } = await edge(t, upstream.target, { limits: { headersTimeoutMs: 200 } });
    const client = await rawClient(t, port);
    client.send('GET / HTTP/1.1\r\nHost: ');
    await client.untilEnded();
    assert.match(client.received, /^HTTP\/1\.1 408 /);
  });

  it('an idle connection is closed', async (t) => {
    const upstream = await rawUpstream(t, answering(OK));
    const { port } = await edge(t, upstream.target, { limits: { keepAliveMs: 100 } });
    const client = await rawClient(t, port);
    client.send('GET / HTTP/1.1\r\nHost: f\r\n\r\n');
    assert.equal(await client.untilEnded(), 'fin');
    assert.match(client.received, /ok$/);
  });

  it('one whose answer is slow is not idle, nor one that was given away, by an upgrade or to another server', async (t) => {
    const upstream = await rawUpstream(t);
    const { port, server } = await edge(t, upstream.target, {
      limits: { keepAliveMs: 80 },
      handler: (req, res) => {
        if (req.url === '/given') giveAway(req.socket);
        if (req.url !== '/slow') res.end('ok');
      },
    });
    server.on('upgrade', (_req, socket) => socket.write('HTTP/1.1 101 Switching Protocols\r\n\r\n'));
    const [slow, given, upgraded, idle] = await Promise.all([1, 2, 3, 4].map(() => rawClient(t, port)));
    slow?.send('GET / HTTP/1.1\r\nHost: f\r\n\r\n');
    await slow?.contains('ok');
    slow?.send('GET /slow HTTP/1.1\r\nHost: f\r\n\r\n');
    given?.send('GET /given HTTP/1.1\r\nHost: f\r\n\r\n');
    upgraded?.send('GET / HTTP/1.1\r\nHost: f\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
    await upgraded?.contains('101');
    // Two that are idle, one after the other: by the end of the second the others have had twice their time.
    for (const one of [idle, await rawClient(t, port)]) {
      one?.send('GET / HTTP/1.1\r\nHost: f\r\n\r\n');
      await one?.untilEnded();
    }
    const open = await new Promise((resolve) => server.getConnections((_, count) => resolve(count)));
    assert.equal(open, 3);
  });

  it('Node has the fields by which an idle connection is known', async (t) => {
    const upstream = await rawUpstream(t);
    let during: unknown;
    const { port, server } = await edge(t, upstream.target, {
      handler: (req, res) => {
        const { parser, _httpMessage } = req.socket as Socket & { parser?: object; _httpMessage?: object };
        during = [typeof parser, _httpMessage === res];
        res.end('ok');
      },
    });
    const upgrade = once(server, 'upgrade');
    const client = await rawClient(t, port);
    client.send('GET / HTTP/1.1\r\nHost: f\r\n\r\n');
    await client.contains('ok');
    assert.deepEqual(during, ['object', true]);
    client.send('GET / HTTP/1.1\r\nHost: f\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n');
    const [, socket] = (await upgrade) as [unknown, { parser: unknown; _httpMessage: unknown }];
    assert.deepEqual([socket.parser, socket._httpMessage], [null, null]);
  });

  it('a silent client is asked by the kernel whether it is still there', { skip: NO_PROC }, async (t) => {
    const upstream = await rawUpstream(t);
    const { port, server } = await edge(t, upstream.target);
    const accepted = once(server, 'connection');
    await rawClient(t, port);
    await accepted;
    const local = `0100007F:${port.toString(16).toUpperCase().padStart(4, '0')}`;
    const rows = readFileSync('/proc/net/tcp', 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/));
    const timers = rows.filter(([, from, , state]) => from === local && state === '01').map((row) => row[5]);
    assert.equal(timers.length, 1);
    const [, kind, ticks = ''] = /^(..):([0-9A-F]+)$/.exec(timers[0] ?? '') ?? [];
    assert.equal(kind, '02', 'the timer of keep-alive');
    assert.ok(Number.parseInt(ticks, 16) <= 6_000, `${ticks} hundredths of a second, at most a minute`);
  });

  it('a connection too many is closed at once', async (t) => {
    const upstream = await rawUpstream(t, answering(OK));
    const { port } = await edge(t, upstream.target, { limits: { maxConnections: 1 } });
    const first = await rawClient(t, port);
    first.send('GET / HTTP/1.1\r\nHost: f\r\n\r\n');
    await first.contains('ok');
    const second = await rawClient(t, port);
    await second.untilEnded();
    assert.equal(second.received, '');
  });
});
