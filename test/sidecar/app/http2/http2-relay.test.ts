/** The relay towards HTTP/2, against Node's server: what must hold as it does for the HTTP/1.1 relay. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { constants } from 'node:http2';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { describe, it, type TestContext } from 'node:test';
import { resetStream } from '../../../../common/http2/stream-end.ts';
import { createHttp2Relay } from '../../../../sidecar/app/http2/http2-relay.ts';
import { bufferBody, replayableBody, RelayError, type Relay } from '../../../../common/relay/index.ts';
import { inspect } from 'node:util';
import { waitFor } from '../../../helpers/wait.ts';
import { HandBody } from '../../../common/relay/exchange/hand-body.ts';
import { exchange, PATIENT, RecordingSink, start } from '../../../common/relay/exchange/rig.ts';
import { bodyOf, h2Upstream } from './upstream.ts';

const GET = {
  method: 'GET',
  path: '/a?b=%20',
  headers: ['Host', 'fn.example', 'X-Mine', '1', 'X-Mine', '2'],
};
const POST = { method: 'POST', path: '/p', headers: ['Host', 'f', 'Transfer-Encoding', 'chunked'] };

function relayFor(t: TestContext): Relay {
  const relay = createHttp2Relay();
  t.after(() => relay.close());
  return relay;
}

describe('requests and answers', () => {
  it('pass whole: target, host, repeated headers, body and both framings', async (t) => {
    const up = await h2Upstream(t, ({ stream }) => {
      stream.respond([':status', '201', 'set-cookie', 'a=1', 'set-cookie', 'b=2']);
      stream.end('made');
    });
    const { outcome, sink } = await exchange(relayFor(t), { target: up.target, head: GET });
    assert.deepEqual(outcome, { kind: 'answered', status: 201 });
    assert.equal(sink.body, 'made');
    assert.equal(sink.received?.statusText, 'Created');
    const headers = sink.received?.headers ?? [];
    assert.deepEqual(headers.slice(0, 4), ['set-cookie', 'a=1', 'set-cookie', 'b=2']);
    assert.deepEqual(headers.slice(-2), ['transfer-encoding', 'chunked']);
    const seen = up.arrivals[0]?.headers;
    assert.equal(seen?.[':path'], '/a?b=%20');
    assert.equal(seen?.[':authority'], 'fn.example');
    assert.equal(seen?.['x-mine'], '1, 2');
    assert.equal(seen?.host, undefined);
  });

  it('hop-by-hop headers stay behind, TE stays as far as HTTP/2 allows', async (t) => {
    const up = await h2Upstream(t, ({ stream }) => stream.respond([':status', '204'], { endStream: true }));
    // Java's HttpClient: an offer of an upgrade, and what goes with it.
    const java = ['HTTP2-Settings', 'AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA'];
    const headers = ['Host', 'f', 'TE', 'trailers', 'Transfer-Encoding', 'chunked', ...java];
    const head = { method: 'POST', path: '/', headers };
    const body = bufferBody(Buffer.from('x'));
    const { sink } = await exchange(relayFor(t), { target: up.target, head, body });
    const seen = up.arrivals[0]?.headers ?? {};
    assert.deepEqual([seen.te, seen['transfer-encoding']], ['trailers', undefined]);
    assert.equal(seen['http2-settings'], undefined);
    assert.deepEqual(sink.calls, ['head 204', 'end']);
    assert.equal(sink.received?.headers.includes('transfer-encoding'), false);
  });

  it('trailers both ways', async (t) => {
    const up = await h2Upstream(t, ({ stream }) => {
      let trailers: Record<string, unknown> = {};
      stream.on('trailers', (received: Record<string, unknown>) => (trailers = received));
      stream.on('data', () => undefined);
      stream.on('end', () => {
        stream.respond([':status', '200'], { waitForTrailers: true });
        stream.once('wantTrailers', () => stream.sendTrailers({ 'x-saw': String(trailers['x-sum']) }));
        stream.end('done');
      });
    });
    const body = new HandBody();
    const sink = new RecordingSink();
    const running = start(relayFor(t), { target: up.target, head: POST, body, sink });
    await waitFor(() => body.consumer, { what: 'the body is asked for' });
    body.consumer?.data(Buffer.from('abc'));
    body.consumer?.end(['X-Sum', '3']);
    assert.deepEqual(await running.done, { kind: 'answered', status: 200 });
    assert.deepEqual([sink.body, sink.trailers], ['done', ['x-saw', '3']]);
  });

  it('an answer that ends with its headers says so in HTTP/1.1: gRPC’s errors must not become bodies', async (t) => {
    const up = await h2Upstream(t, ({ stream }) =>
      stream.respond([':status', '200', 'grpc-status', '5'], { endStream: true }),
    );
    const { sink } = await exchange(relayFor(t), { target: up.target, head: GET });
    assert.deepEqual(sink.calls, ['head 200', 'end']);
    assert.deepEqual(sink.received?.headers.slice(-2), ['content-length', '0']);
  });

  it('a gRPC answer loses a content-length, which would cost it its trailers', async (t) => {
    const up = await h2Upstream(t, ({ stream }) => {
      const headers = [':status', '200', 'content-type', 'application/grpc', 'content-length', '2'];
      stream.respond(headers, { waitForTrailers: true });
      stream.once('wantTrailers', () => stream.sendTrailers({ 'grpc-status': '0' }));
      stream.end('ok');
    });
    const { sink } = await exchange(relayFor(t), { target: up.target, head: GET });
    assert.equal(sink.received?.headers.includes('content-length'), false);
    assert.deepEqual(sink.trailers, ['grpc-status', '0']);
  });

  it('HEAD keeps the length and has no body', async (t) => {
    const up = await h2Upstream(t, ({ stream }) =>
      stream.respond([':status', '200', 'content-length', '999'], { endStream: true }),
    );
    const head = { ...GET, method: 'HEAD' };
    const { outcome, sink } = await exchange(relayFor(t), { target: up.target, head });
    assert.equal(outcome.kind, 'answered');
    assert.ok(sink.received?.headers.includes('999'));
    assert.deepEqual(sink.calls, ['head 200', 'end']);
  });

  it('1xx passes, and a body waits for the 100 that it asked for', async (t) => {
    const up = await h2Upstream(t, ({ stream }) => {
      stream.additionalHeaders({ ':status': 103, link: '</a>' });
      stream.additionalHeaders({ ':status': 100 });
      void bodyOf(stream).then((text) => {
        stream.respond([':status', '200']);
        stream.end(text);
      });
    });
    const head = { ...POST, headers: [...POST.headers, 'Expect', '100-continue'] };
    const body = new HandBody();
    const sink = new RecordingSink();
    const running = start(relayFor(t), { target: up.target, head, body, sink });
    await waitFor(() => body.consumer, { what: 'leave is given' });
    assert.deepEqual(sink.calls, ['informational 103', 'informational 100']);
    body.consumer?.end([]);
    assert.equal((await running.done).kind, 'answered');
  });
});

describe('flow', () => {
  it('a sink that takes no more stops the app, and goes on where it was', async (t) => {
    const total = 8 * 1_048_576;
    let written = 0;
    const up = await h2Upstream(t, ({ stream }) => {
      stream.respond([':status', '200']);
      const piece = Buffer.alloc(65_536, 'x');
      const write = (): void => {
        while (written < total) {
          written += piece.length;
          if (!stream.write(piece)) return void stream.once('drain', write);
        }
        stream.end();
      };
      write();
    });
    const sink = new RecordingSink();
    sink.accepts = false;
    const running = start(relayFor(t), { target: up.target, head: GET, sink });
    await waitFor(() => sink.received, { what: 'the answer begins' });
    // What is on its way: the stream's window, and buffers of a few pieces on either side.
    let before = -1;
    await waitFor(() => before === (before = written), { what: 'the app stands still', intervalMs: 100 });
    assert.ok(written < total / 2, `${written} bytes were written against a sink that takes none`);
    sink.accepts = true;
    sink.control?.resume();
    assert.equal((await running.done).kind, 'answered');
    assert.equal(sink.body.length, total);
  });

  it('an app that does not read pauses the caller', async (t) => {
    const up = await h2Upstream(t, ({ stream }) => stream.pause());
    const body = new HandBody();
    const running = start(relayFor(t), { target: up.target, head: POST, body });
    const consumer = await waitFor(() => body.consumer, { what: 'the body is asked for' });
    let sent = 0;
    while (consumer.data(Buffer.alloc(65_536)) && sent < 100) sent++;
    assert.ok(sent < 100, 'told to pause');
    const arrival = await waitFor(() => up.arrivals[0], { what: 'the request arrives' });
    arrival.stream.resume();
    await waitFor(() => body.calls.includes('resume'), { what: 'told to go on' });
    running.cancel();
    assert.equal((await running.done).kind, 'cancelled');
  });

  it('both directions flow at once', async (t) => {
    const up = await h2Upstream(t, ({ stream }) => {
      stream.respond([':status', '200']);
      stream.on('data', (chunk: Buffer) => stream.write(`echo ${chunk.toString()}`));
      stream.on('end', () => stream.end());
    });
    const body = new HandBody();
    const sink = new RecordingSink();
    const running = start(relayFor(t), { target: up.target, head: POST, body, sink });
    const consumer = await waitFor(() => body.consumer, { what: 'the body is asked for' });
    for (const word of ['a', 'b']) {
      consumer.data(Buffer.from(word));
      await waitFor(() => sink.body.endsWith(`echo ${word}`), { what: `${word} comes back` });
    }
    consumer.end([]);
    assert.equal((await running.done).kind, 'answered');
  });

  it('an answer that is complete before the request ends the request', async (t) => {
    const up = await h2Upstream(t, ({ stream }) => {
      stream.respond([':status', '413']);
      stream.end('too large');
    });
    const body = new HandBody();
    const { outcome, sink } = await exchange(relayFor(t), { target: up.target, head: POST, body });
    assert.deepEqual(outcome, { kind: 'answered', status: 413 });
    assert.equal(sink.body, 'too large');
    assert.deepEqual(body.calls, ['start', 'stop']);
    const stream = up.arrivals[0]?.stream;
    await waitFor(() => stream?.destroyed, { what: 'the app’s stream is over too' });
  });
});

describe('leaving and breaking', () => {
  it('a caller who leaves resets the stream with CANCEL', async (t) => {
    const up = await h2Upstream(t, () => undefined);
    const running = start(relayFor(t), { target: up.target, head: GET });
    const arrival = await waitFor(() => up.arrivals[0], { what: 'the request arrives' });
    running.cancel();
    assert.deepEqual(await running.done, { kind: 'cancelled', headForwarded: false });
    await once(arrival.stream, 'close');
    assert.equal(arrival.stream.rstCode, constants.NGHTTP2_CANCEL);
  });

  it('a caller who leaves in the middle of his body: what was sent of it never looks whole', async (t) => {
    let looksWhole = false;
    const up = await h2Upstream(t, ({ stream }) => {
      stream.on('data', () => undefined);
      stream.on('end', () => (looksWhole ||= !stream.closed)); // END_STREAM: see stream-end.ts
    });
    const body = new HandBody();
    const running = start(relayFor(t), { target: up.target, head: POST, body });
    (await waitFor(() => body.consumer, { what: 'asked' })).data(Buffer.from('half'));
    const arrival = await waitFor(() => up.arrivals[0], { what: 'the request arrives' });
    running.cancel();
    await once(arrival.stream, 'close');
    assert.deepEqual([looksWhole, arrival.stream.rstCode], [false, constants.NGHTTP2_CANCEL]);
  });

  it('a discarded answer is not read', async (t) => {
    const up = await h2Upstream(t, ({ stream }) => {
      stream.respond([':status', '503']);
      stream.write('never read');
    });
    const decide = () => 'discard' as const;
    const { outcome, sink } = await exchange(relayFor(t), { target: up.target, head: GET, decide });
    assert.ok(outcome.kind === 'discarded' && outcome.head.status === 503);
    assert.deepEqual(sink.calls, []);
  });

  it('a stream reset before the answer has failed, and may have run', async (t) => {
    const up = await h2Upstream(t, ({ stream }) => resetStream(stream, constants.NGHTTP2_INTERNAL_ERROR));
    const { outcome } = await exchange(relayFor(t), { target: up.target, head: GET });
    assert.ok(outcome.kind === 'failed' && outcome.phase === 'head' && outcome.sentBytes > 0);
  });

  it('a stream reset in the answer aborts the sink', async (t) => {
    const up = await h2Upstream(t, ({ stream }) => {
      stream.respond([':status', '200']);
      stream.write('half', () => resetStream(stream, constants.NGHTTP2_INTERNAL_ERROR));
    });
    const { outcome, sink } = await exchange(relayFor(t), { target: up.target, head: GET });
    assert.ok(
      outcome.kind === 'failed' && outcome.phase === 'body' && outcome.headForwarded,
      inspect(outcome),
    );
    assert.equal(sink.calls.at(-1), 'abort');
  });

  it('an answer shorter than its length is broken, however it ends', async (t) => {
    const up = await h2Upstream(t, ({ stream }) => {
      stream.respond([':status', '200', 'content-length', '10']);
      stream.write('half', () => resetStream(stream, constants.NGHTTP2_NO_ERROR));
    });
    const { outcome, sink } = await exchange(relayFor(t), { target: up.target, head: GET });
    assert.equal(outcome.kind, 'failed');
    assert.equal(sink.calls.at(-1), 'abort');
  });

  it('an app that dies in the middle fails what runs on it', async (t) => {
    const up = await h2Upstream(t, ({ stream }) => stream.respond([':status', '200']));
    const sink = new RecordingSink();
    const running = start(relayFor(t), { target: up.target, head: GET, sink });
    await waitFor(() => sink.received, { what: 'the answer begins' });
    await up.kill();
    const outcome = await running.done;
    assert.ok(outcome.kind === 'failed' && outcome.headForwarded, inspect(outcome));
  });

  it('the source of the body that breaks is the caller’s fault', async (t) => {
    const up = await h2Upstream(t, () => undefined);
    const body = new HandBody();
    const running = start(relayFor(t), { target: up.target, head: POST, body });
    (await waitFor(() => body.consumer, { what: 'asked' })).fail(new RelayError('bad-body', 'broken'));
    const outcome = await running.done;
    assert.ok(outcome.kind === 'failed' && outcome.callerFailed === true);
  });
});

describe('what the app has not seen', () => {
  it('is sent again after REFUSED_STREAM, a POST with its body too', async (t) => {
    const up = await h2Upstream(t, ({ stream, nth }) => {
      if (nth === 0) return resetStream(stream, constants.NGHTTP2_REFUSED_STREAM);
      void bodyOf(stream).then((text) => {
        stream.respond([':status', '200']);
        stream.end(text);
      });
      return undefined;
    });
    const source = new HandBody();
    const body = replayableBody(source);
    const sink = new RecordingSink();
    const relay = relayFor(t);
    const running = start(relay, { target: up.target, head: POST, body, sink, mayRepeat: false });
    const consumer = await waitFor(() => source.consumer, { what: 'the body is asked for' });
    consumer.data(Buffer.from('whole'));
    await waitFor(() => up.arrivals.length === 2, { what: 'it came again' });
    consumer.end([]);
    assert.deepEqual(await running.done, { kind: 'answered', status: 200 });
    assert.equal(sink.body, 'whole');
    assert.equal(relay.stats.staleRetries, 1);
  });

  it('is said to be unseen when it cannot be sent again', async (t) => {
    const up = await h2Upstream(t, ({ stream }) => resetStream(stream, constants.NGHTTP2_REFUSED_STREAM));
    const { outcome } = await exchange(relayFor(t), { target: up.target, head: GET });
    assert.ok(outcome.kind === 'failed' && outcome.sentBytes === 0);
    assert.equal(up.arrivals.length, 2, 'once more, and no more than that');
  });

  it('goes to another connection when the app’s GOAWAY leaves it out', async (t) => {
    const up = await h2Upstream(t, ({ stream, session, nth }) => {
      // An app at its connection's age limit: the first call is its last one here.
      if (nth === 1) return session.goaway(constants.NGHTTP2_NO_ERROR, 1);
      stream.respond([':status', '200']);
      stream.end(String(nth));
      return undefined;
    });
    const relay = relayFor(t);
    const first = await exchange(relay, { target: up.target, head: GET });
    assert.equal(first.sink.body, '0');
    const second = await exchange(relay, {
      target: up.target,
      head: POST,
      body: replayableBody(sending('x')),
    });
    assert.deepEqual(second.outcome, { kind: 'answered', status: 200 });
    assert.equal(up.sessions.length, 2);
  });

  it('a connection that breaks at a GOAWAY with an error tells what it has taken', async (t) => {
    const up = await h2Upstream(t, ({ session, nth, stream }) => {
      if (nth === 0) return session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 0x7fff_ffff);
      return stream.respond([':status', '204'], { endStream: true });
    });
    const { outcome } = await exchange(relayFor(t), { target: up.target, head: POST, body: sending('x') });
    assert.ok(outcome.kind === 'failed' && outcome.sentBytes > 0, JSON.stringify(outcome));
    assert.equal(up.arrivals.length, 1);
  });

  it('and what it has not, which goes to another connection', async (t) => {
    const up = await h2Upstream(t, ({ session, nth, stream }) => {
      if (nth === 1) return session.goaway(constants.NGHTTP2_ENHANCE_YOUR_CALM, 1);
      return stream.respond([':status', '204'], { endStream: true });
    });
    const relay = relayFor(t);
    await exchange(relay, { target: up.target, head: GET });
    const { outcome } = await exchange(relay, { target: up.target, head: { ...GET, method: 'POST' } });
    assert.deepEqual(outcome, { kind: 'answered', status: 204 });
    assert.equal(up.sessions.length, 2);
  });

  it('nobody listens: a failed connect', async (t) => {
    const up = await h2Upstream(t, () => undefined);
    await up.kill();
    const { outcome } = await exchange(relayFor(t), { target: up.target, head: GET });
    assert.ok(outcome.kind === 'failed' && outcome.phase === 'connect' && outcome.sentBytes === 0);
  });

  it('a server of HTTP/1.1 gets no request, and the error says what to do', async (t) => {
    const heard: string[] = [];
    const server = createServer((socket) => {
      socket.on('error', () => undefined);
      socket.on('data', (data: Buffer) => heard.push(data.toString('latin1')));
      socket.end('HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const target = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
    const { outcome } = await exchange(relayFor(t), { target, head: GET });
    assert.ok(outcome.kind === 'failed' && outcome.phase === 'connect' && outcome.sentBytes === 0);
    assert.match(outcome.error.message, /app-protocol/);
    assert.doesNotMatch(heard.join(''), /x-mine|fn\.example/);
  });
});

function sending(text: string): HandBody {
  const body = new HandBody();
  const start = body.start.bind(body);
  return Object.assign(body, {
    start(consumer: Parameters<HandBody['start']>[0]) {
      start(consumer);
      consumer.data(Buffer.from(text));
      consumer.end([]);
    },
  });
}

describe('clocks', () => {
  it('head: HttpTimeout passed before the answer began', async (t) => {
    const up = await h2Upstream(t, () => undefined);
    const timeouts = { ...PATIENT, headMs: 150 };
    const { outcome } = await exchange(relayFor(t), { target: up.target, head: GET, timeouts });
    assert.ok(outcome.kind === 'timeout' && outcome.phase === 'head' && outcome.sentBytes > 0);
    const stream = up.arrivals[0]?.stream;
    await waitFor(() => stream?.destroyed, { what: 'the app is told' });
  });

  it('idle: an answer that stands still is broken off', async (t) => {
    const up = await h2Upstream(t, ({ stream }) => stream.respond([':status', '200']));
    const timeouts = { ...PATIENT, idleMs: 150 };
    const { outcome, sink } = await exchange(relayFor(t), { target: up.target, head: GET, timeouts });
    assert.ok(outcome.kind === 'timeout' && outcome.phase === 'body' && outcome.headForwarded);
    assert.equal(sink.calls.at(-1), 'abort');
  });

  it('connect: a port that accepts and says nothing', async (t) => {
    const server = createServer();
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    const sockets: { destroy(): void }[] = [];
    server.on('connection', (socket) => sockets.push(socket));
    t.after(() => sockets.forEach((socket) => socket.destroy()));
    const target = { host: '127.0.0.1', port: (server.address() as AddressInfo).port };
    const timeouts = { ...PATIENT, connectMs: 150 };
    const { outcome } = await exchange(relayFor(t), { target, head: GET, timeouts });
    assert.ok(outcome.kind === 'timeout' && outcome.phase === 'connect' && outcome.sentBytes === 0);
  });
});

describe('connections', () => {
  it('are shared, and another is made when one is full', async (t) => {
    const settings = { settings: { maxConcurrentStreams: 2 } };
    const up = await h2Upstream(t, () => undefined, settings);
    const relay = relayFor(t);
    const all = [1, 2, 3].map(() => start(relay, { target: up.target, head: GET }));
    await waitFor(() => up.arrivals.length === 3, { what: 'three requests are in the app' });
    assert.equal(up.sessions.length, 2);
    assert.equal(relay.stats.active, 3);
    for (const { stream } of up.arrivals) stream.respond([':status', '204'], { endStream: true });
    for (const each of all) assert.equal((await each.done).kind, 'answered');
    await waitFor(() => relay.stats.idle === 2, { what: 'both are idle' });
    await exchange(relay, {
      target: up.target,
      head: { ...GET, method: 'DELETE' },
      decide: () => 'discard',
      ...answeringNow(up),
    });
    assert.equal(up.sessions.length, 2, 'used again');
  });

  it('end with the relay, after what runs', async (t) => {
    const up = await h2Upstream(t, () => undefined);
    const relay = relayFor(t);
    const running = start(relay, { target: up.target, head: GET });
    const arrival = await waitFor(() => up.arrivals[0], { what: 'the request arrives' });
    relay.close();
    const late = await exchange(relay, { target: up.target, head: GET });
    assert.ok(late.outcome.kind === 'failed' && late.outcome.sentBytes === 0);
    arrival.stream.respond([':status', '200'], { endStream: true });
    assert.equal((await running.done).kind, 'answered');
    await waitFor(() => up.sessions[0]?.destroyed, { what: 'the connection is closed' });
  });

  it('come back by themselves after the app was restarted', async (t) => {
    const answer = ({ stream }: { stream: { respond(h: string[], o: object): void } }): void =>
      stream.respond([':status', '204'], { endStream: true });
    const up = await h2Upstream(t, answer);
    const relay = relayFor(t);
    await exchange(relay, { target: up.target, head: GET });
    await up.kill();
    await waitFor(() => relay.stats.idle === 0, { what: 'the relay knows' });
    await h2Upstream(t, answer, { port: up.target.port });
    const { outcome } = await exchange(relay, { target: up.target, head: GET });
    assert.deepEqual(outcome, { kind: 'answered', status: 204 });
  });
});

/** Answers the next arrival. */
function answeringNow(up: {
  readonly arrivals: readonly { stream: { respond(h: string[], o: object): void } }[];
}) {
  const before = up.arrivals.length;
  void waitFor(() => up.arrivals[before], { what: 'one more request' }).then(({ stream }) =>
    stream.respond([':status', '204'], { endStream: true }),
  );
  return {};
}
