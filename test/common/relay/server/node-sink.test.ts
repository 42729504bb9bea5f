import assert from 'node:assert/strict';
import { ServerResponse, type IncomingMessage } from 'node:http';
import { describe, it, type TestContext } from 'node:test';
import { nodeSink, type NodeSinkOptions, type ResponseHead } from '../../../../common/relay/index.ts';
import { waitFor } from '../../../helpers/wait.ts';
import { edge } from '../exchange/rig.ts';
import { answering, rawClient, rawUpstream } from '../wire/wire.ts';

const KEPT = 'Connection: keep-alive\r\nKeep-Alive: timeout=75\r\n';
const GET = 'GET / HTTP/1.1\r\nHost: f\r\n\r\n';

function responseOf(head: string): string {
  return `HTTP/1.1 ${head}`;
}

describe('answers to an HTTP/1.1 caller', () => {
  for (const [name, sent, received] of [
    [
      'with a length',
      '200 OK\r\nX-a: 1\r\ncontent-LENGTH: 2\r\nx-A: 2\r\n\r\nok',
      `200 OK\r\nX-a: 1\r\ncontent-LENGTH: 2\r\nx-A: 2\r\n${KEPT}\r\nok`,
    ],
    [
      'with a reason of its own',
      '299 Sort of\r\nContent-Length: 0\r\n\r\n',
      `299 Sort of\r\nContent-Length: 0\r\n${KEPT}\r\n`,
    ],
    [
      'chunked',
      '200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n',
      `200 OK\r\nTransfer-Encoding: chunked\r\n${KEPT}\r\n2\r\nok\r\n0\r\n\r\n`,
    ],
    [
      'chunked and empty',
      '200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
      `200 OK\r\nTransfer-Encoding: chunked\r\n${KEPT}\r\n0\r\n\r\n`,
    ],
    [
      'with trailers',
      '200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: y\r\nX: z\r\n\r\n',
      `200 OK\r\nTrailer: X\r\nTransfer-Encoding: chunked\r\n${KEPT}\r\n1\r\na\r\n0\r\nX: y\r\nX: z\r\n\r\n`,
    ],
    ['204', '204 No Content\r\nX: y\r\n\r\n', `204 No Content\r\nX: y\r\n${KEPT}\r\n`],
    [
      '304 with the length of another',
      '304 Not Modified\r\nContent-Length: 9\r\n\r\n',
      `304 Not Modified\r\nContent-Length: 9\r\n${KEPT}\r\n`,
    ],
    [
      'with 1xx before them',
      '103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n',
      `103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n${KEPT}\r\n`,
    ],
    [
      'with bytes above 127 in a value',
      '200 OK\r\nX: caf\xe9\r\nContent-Length: 1\r\n\r\n\xff',
      `200 OK\r\nX: caf\xe9\r\nContent-Length: 1\r\n${KEPT}\r\n\xff`,
    ],
  ] as const)
    it(`${name} pass as they are, but for the hop's own headers`, async (t) => {
      const upstream = await rawUpstream(t, answering(responseOf(sent)));
      const client = await rawClient(t, (await edge(t, upstream.target)).port);
      for (let round = 1; round <= 2; round++) {
        client.send(GET);
        await client.until('the whole answer', (bytes) => bytes.length >= round * (received.length + 9));
        assert.equal(client.received, responseOf(received).repeat(round));
      }
    });

  it('that end with the upstream connection become chunked and keep the caller’s', async (t) => {
    const upstream = await rawUpstream(t, (wire) => wire.end('HTTP/1.1 200 OK\r\n\r\nall'));
    const client = await rawClient(t, (await edge(t, upstream.target)).port);
    client.send(GET);
    await client.contains('0\r\n\r\n');
    const [head, body] = client.received.split('\r\n\r\n3\r\n');
    assert.equal(head, `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n${KEPT.trimEnd()}`);
    assert.equal(body, 'all\r\n0\r\n\r\n');
  });

  it('to HEAD have the length and no body, and the next request is answered', async (t) => {
    const upstream = await rawUpstream(t, answering('HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n'));
    const client = await rawClient(t, (await edge(t, upstream.target)).port);
    client.send('HEAD / HTTP/1.1\r\nHost: f\r\n\r\n');
    await client.contains('\r\n\r\n');
    client.send('HEAD / HTTP/1.1\r\nHost: f\r\n\r\n');
    await client.until('a second answer', (bytes) => bytes.split('HTTP/1.1 200').length === 3);
    assert.equal(client.received, `HTTP/1.1 200 OK\r\nContent-Length: 5\r\n${KEPT}\r\n`.repeat(2));
  });

  it('close the connection when the caller says so', async (t) => {
    const upstream = await rawUpstream(t, answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
    const client = await rawClient(t, (await edge(t, upstream.target)).port);
    client.send('GET / HTTP/1.1\r\nHost: f\r\nConnection: close\r\n\r\n');
    assert.equal(await client.untilEnded(), 'fin');
    assert.equal(client.received, 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok');
    assert.ok(!(await upstream.wire(0)).received.includes('Connection'));
  });

  it('end the connection at its last allowed request', async (t) => {
    const upstream = await rawUpstream(t, answering('HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'));
    const { port } = await edge(t, upstream.target, { limits: { maxRequestsPerConnection: 2 } });
    const client = await rawClient(t, port);
    client.send(GET);
    await client.contains('\r\n\r\n');
    client.send(GET);
    await client.untilEnded();
    assert.deepEqual(client.received.match(/Connection: .*/g), [
      'Connection: keep-alive',
      'Connection: close',
    ]);
  });

  it('to pipelined requests come in the order of the requests', async (t) => {
    const body = 'x'.repeat(100_000);
    let requests = 0;
    const upstream = await rawUpstream(t, (wire) => {
      wire.socket.on('data', () => {
        const slow = requests++ === 0;
        const answer = `HTTP/1.1 200 OK\r\nContent-Length: ${body.length + 1}\r\n\r\n${slow ? 1 : 2}${body}`;
        setTimeout(() => wire.send(answer), slow ? 100 : 0);
      });
    });
    const client = await rawClient(t, (await edge(t, upstream.target)).port);
    client.send(GET + GET + GET);
    await client.until('three answers', (bytes) => bytes.length > 3 * body.length + 250);
    const bodies = client.received.split(/HTTP\/1\.1 200 OK\r\n(?:.+\r\n)+\r\n/).slice(1);
    assert.deepEqual(
      bodies.map((b) => b[0]),
      ['1', '2', '2'],
    );
    assert.deepEqual(
      bodies.map((b) => b.slice(1) === body),
      [true, true, true],
    );
  });

  it('are not buffered: each event passes when it comes', async (t) => {
    const upstream = await rawUpstream(t);
    const client = await rawClient(t, (await edge(t, upstream.target)).port);
    client.send(GET);
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    wire.send('HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n');
    await client.contains('event-stream');
    for (let n = 0; n < 20; n++) {
      wire.send(`9\r\ndata: ${n % 10}\n\n\r\n`);
      await client.until(`event ${n}`, (bytes) => bytes.split('data: ').length === n + 2);
    }
  });
});

describe('answers to an HTTP/1.0 caller', () => {
  it('that are chunked come plain, and the connection ends them', async (t) => {
    const upstream = await rawUpstream(
      t,
      answering(
        'HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\nX: y\r\n\r\n',
      ),
    );
    const client = await rawClient(t, (await edge(t, upstream.target)).port);
    client.send('GET / HTTP/1.0\r\n\r\n');
    assert.equal(await client.untilEnded(), 'fin');
    assert.equal(client.received, 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nok');
  });

  it('with a length keep the connection for a caller who asks for it', async (t) => {
    const upstream = await rawUpstream(t, answering('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'));
    const client = await rawClient(t, (await edge(t, upstream.target)).port);
    client.send('GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n');
    await client.contains('\r\n\r\nok');
    assert.ok(client.received.includes(KEPT));
  });
});

describe('an answer that breaks off', () => {
  for (const [name, bytes] of [
    ['with a length', 'Content-Length: 99\r\n\r\nab'],
    ['chunked', 'Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n'],
  ] as const)
    it(`${name} is a reset connection, never a clean end`, async (t) => {
      const upstream = await rawUpstream(t);
      const { port, outcome } = await edge(t, upstream.target);
      const client = await rawClient(t, port);
      client.send(GET);
      const wire = await upstream.wire(0);
      await wire.contains('\r\n\r\n');
      wire.send(`HTTP/1.1 200 OK\r\n${bytes}`);
      await client.contains('ab');
      wire.end();
      assert.equal(await client.untilEnded(), 'rst');
      assert.equal((await outcome(0)).kind, 'failed');
    });

  it('before its head leaves the answer to the caller of the relay', async (t) => {
    const upstream = await rawUpstream(t, (wire) => wire.end());
    const client = await rawClient(t, (await edge(t, upstream.target)).port);
    client.send(GET);
    await client.contains('502 Bad Gateway');
  });
});

describe('a caller who leaves', () => {
  it('while the function works: its request is cut', async (t) => {
    const upstream = await rawUpstream(t);
    const { port, outcome } = await edge(t, upstream.target);
    const client = await rawClient(t, port);
    client.send(GET);
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    client.reset();
    assert.equal(await wire.untilEnded(), 'rst');
    assert.deepEqual(await outcome(0), { kind: 'cancelled', headForwarded: false });
  });

  it('in the middle of the answer: the answer is read no further', async (t) => {
    const upstream = await rawUpstream(t);
    const { port, outcome } = await edge(t, upstream.target);
    const client = await rawClient(t, port);
    client.send(GET);
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    wire.send('HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nab');
    await client.contains('ab');
    client.reset();
    await wire.untilEnded();
    assert.deepEqual(await outcome(0), { kind: 'cancelled', headForwarded: true });
  });

  it('in the middle of its own body: the function sees it cut', async (t) => {
    const upstream = await rawUpstream(t);
    const { port, outcome } = await edge(t, upstream.target);
    const client = await rawClient(t, port);
    client.send('POST / HTTP/1.1\r\nHost: f\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n');
    const wire = await upstream.wire(0);
    await wire.contains('abc');
    client.reset();
    await wire.untilEnded();
    assert.equal((await outcome(0)).kind, 'cancelled');
    assert.ok(!wire.received.endsWith('0\r\n\r\n'));
  });
});

describe('a caller who reads slowly', () => {
  it('costs a bounded amount of memory and gets every byte', async (t) => {
    const size = 64 * 1_048_576;
    const upstream = await rawUpstream(t);
    const client = await rawClient(t, (await edge(t, upstream.target)).port);
    client.socket.pause();
    client.socket.removeAllListeners('data');
    client.send(GET);
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
    wire.socket.write(Buffer.alloc(size, 'x'));
    // What the kernel's buffers on the way hold is not ours; what stays behind shows that we stopped reading.
    await new Promise((resolve) => setTimeout(resolve, 300));
    assert.ok(wire.socket.writableLength > size / 2, 'the relay reads ahead of its caller');
    let total = 0;
    client.socket.on('data', (chunk: Buffer) => (total += chunk.length));
    client.socket.resume();
    await waitFor(() => total > size, { what: 'all of it' });
  });

  /** An answer given whole to the sink of a caller who does not read: its last bytes stay behind. */
  async function unreadAnswer(t: TestContext, options: NodeSinkOptions) {
    const told: string[] = [];
    const control = { resume: () => told.push('resume'), cancel: () => told.push('cancel') };
    const handler = (_req: IncomingMessage, res: ServerResponse) => {
      const sink = nodeSink(res, options);
      sink.attach?.(control);
      sink.head({ status: 200, statusText: 'OK', headers: ['Transfer-Encoding', 'chunked'] });
      do sink.data(Buffer.alloc(65_536, 'x'));
      while (sink.flush?.());
      sink.data(Buffer.alloc(65_536, 'y'));
      told.push(`end ${sink.end([])}`);
    };
    const e = await edge(t, { host: '', port: 0 }, { handler });
    const client = await rawClient(t, e.port);
    client.socket.pause();
    client.send(GET);
    await waitFor(() => told.length > 0, { what: 'the whole answer given' });
    return { told, client };
  }

  it('is cut when it takes none of the last bytes for too long', async (t) => {
    const { told, client } = await unreadAnswer(t, { lingerMs: 100 });
    assert.deepEqual(told, ['end false']);
    await waitFor(() => told.includes('cancel'), { what: 'the connection cut' });
    client.socket.resume();
    await client.untilEnded();
    assert.ok(!client.received.endsWith('0\r\n\r\n'));
  });

  it('gives the memory of the last bytes back when it takes them after all', async (t) => {
    const { told, client } = await unreadAnswer(t, {});
    client.socket.resume();
    await client.contains('\r\n0\r\n\r\n');
    await waitFor(() => told.includes('cancel'), { what: 'the end of the response' });
    assert.deepEqual(told, ['end false', 'resume', 'cancel']);
    client.send(GET); // and the connection lives on
    await client.until('a second answer', (bytes) => bytes.split('HTTP/1.1 200').length === 3);
  });

  it('gets an unbroken body from a connection that serves others meanwhile', async (t) => {
    // The last bytes of an answer may still be in the relay's read buffer when its connection is used again.
    const size = 3_000_000;
    const answers: string[] = [];
    const upstream = await rawUpstream(t, (wire) =>
      wire.socket.on('data', () => {
        const letter = String.fromCharCode(97 + answers.length);
        answers.push(letter);
        wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n${letter.repeat(size)}`);
      }),
    );
    const { port } = await edge(t, upstream.target);
    const clients = await Promise.all([1, 2, 3, 4].map(() => rawClient(t, port)));
    for (const client of clients) {
      client.socket.pause();
      client.send(GET);
      await new Promise((resolve) => setTimeout(resolve, 30));
      client.socket.resume();
    }
    for (const client of clients) {
      await client.until(
        'a whole body',
        (bytes) => bytes.length > size + 4 && bytes.length >= size + 4 + bytes.indexOf('\r\n\r\n'),
      );
      const body = client.received.slice(client.received.indexOf('\r\n\r\n') + 4);
      assert.equal(body, (body[0] as string).repeat(size));
    }
  });
});

function withLoad(head: ResponseHead): ResponseHead {
  return { ...head, headers: [...head.headers, 'slimfaas-load', '1/10'] };
}

describe('mapHead', () => {
  it('has the last word on the head, framing aside', async (t) => {
    const upstream = await rawUpstream(
      t,
      answering('HTTP/1.1 200 OK\r\nX-In: 1\r\nContent-Length: 0\r\n\r\n'),
    );
    const client = await rawClient(t, (await edge(t, upstream.target, { sink: { mapHead: withLoad } })).port);
    client.send(GET);
    await client.contains('slimfaas-load: 1/10\r\n');
    assert.ok(client.received.includes('X-In: 1\r\n'));
  });
});

describe('what the sink uses of ServerResponse', () => {
  it('is still there in this Node', () => {
    const res = new ServerResponse({ method: 'GET', httpVersionMajor: 1, httpVersionMinor: 1 } as never);
    const fields = ['_header', '_headerSent', '_hasBody', '_last', '_keepAliveTimeout', '_expect_continue'];
    for (const field of [...fields, '_sent100', 'chunkedEncoding', 'maxRequestsOnConnectionReached'])
      assert.ok(field in res, `ServerResponse has no ${field} any more`);
    assert.equal(typeof (res as unknown as { _writeRaw: unknown })._writeRaw, 'function');
  });

  it('leaves its events and flags as other code expects them', async (t) => {
    const upstream = await rawUpstream(t, answering('HTTP/1.1 201 Made\r\nContent-Length: 2\r\n\r\nok'));
    const seen: string[] = [];
    const e = await edge(t, upstream.target);
    e.server.prependListener('request', (_req, res) => {
      res.on('finish', () => seen.push(`finish ${res.statusCode} ${res.headersSent} ${res.writableEnded}`));
      res.on('close', () => seen.push(`close ${res.writableFinished}`));
    });
    const client = await rawClient(t, e.port);
    client.send(GET);
    await client.contains('ok');
    await waitFor(() => seen.length === 2, { what: 'finish and close' });
    assert.deepEqual(seen, ['finish 201 true true', 'close true']);
  });
});
