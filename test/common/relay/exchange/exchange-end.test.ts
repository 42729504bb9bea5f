import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { iterableBody, NO_BODY, RelayError, replayableBody } from '../../../../common/relay/index.ts';
import { HandBody } from './hand-body.ts';
import { exchange, GET, PATIENT, RecordingSink, start, testRelay } from './rig.ts';
import { answering, rawUpstream, type Wire } from '../wire/wire.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const POST = { method: 'POST', path: '/p', headers: ['Host', 'f'] };

/** Answers the first request, and ends the connection without a byte when it sees the second. */
function staleUpstream(end: 'end' | 'reset'): (wire: Wire) => void {
  let connections = 0;
  return (wire) => {
    const isFirst = connections++ === 0;
    let requests = 0;
    wire.socket.on('data', () => {
      if (isFirst && ++requests === 2) wire[end]();
      else wire.send(OK);
    });
  };
}

describe('deadlines', () => {
  it('connect: a target that does not answer', async (t) => {
    // TEST-NET-1 (RFC 5737): routed nowhere. A sandbox without a route refuses at once, which is a failed connect.
    const target = { host: '192.0.2.1', port: 9 };
    const { outcome } = await exchange(testRelay(t), { target, timeouts: { ...PATIENT, connectMs: 100 } });
    assert.ok(outcome.kind === 'timeout' || outcome.kind === 'failed');
    assert.ok(outcome.phase === 'connect' && outcome.sentBytes === 0);
  });

  it('head: HttpTimeout passed before the answer began', async (t) => {
    const upstream = await rawUpstream(t);
    const startedAt = performance.now();
    const { outcome, sink } = await exchange(testRelay(t), {
      target: upstream.target,
      timeouts: { ...PATIENT, headMs: 150 },
    });
    assert.ok(performance.now() - startedAt >= 150, 'never early');
    assert.ok(outcome.kind === 'timeout' && outcome.phase === 'head' && outcome.sentBytes > 0);
    assert.deepEqual(sink.calls, []);
    assert.equal(await (await upstream.wire(0)).untilEnded(), 'rst');
  });

  it('idle: an answer that has begun and stands still is broken off', async (t) => {
    const upstream = await rawUpstream(t, answering('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'));
    const { outcome, sink } = await exchange(testRelay(t), {
      target: upstream.target,
      timeouts: { ...PATIENT, idleMs: 150 },
    });
    assert.deepEqual(outcome, {
      kind: 'timeout',
      phase: 'body',
      sentBytes: outcome.kind === 'timeout' ? outcome.sentBytes : 0,
      headForwarded: true,
    });
    assert.deepEqual(sink.calls, ['head 200', 'data', 'abort']);
  });

  it('idle: an upstream that may be silent is waited for, beside one that may not', async (t) => {
    const relay = testRelay(t);
    const upstream = await rawUpstream(t);
    const patient = start(relay, {
      target: upstream.target,
      timeouts: { ...PATIENT, idleMs: 100, silenceMs: 0 },
    });
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    wire.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no');
    for (let i = 1; i <= 2; i++) {
      const strict = start(relay, { target: upstream.target, timeouts: { ...PATIENT, idleMs: 100 } });
      const other = await upstream.wire(i);
      await other.contains('\r\n\r\n');
      other.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no');
      assert.equal((await strict.done).kind, 'timeout');
    }
    wire.send('k');
    assert.equal((await patient.done).kind, 'answered');
  });

  it('idle: a caller who takes nothing is not, whatever the upstream may', async (t) => {
    const upstream = await rawUpstream(t, answering('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'));
    const sink = new RecordingSink();
    sink.accepts = false;
    const running = start(testRelay(t), {
      target: upstream.target,
      timeouts: { ...PATIENT, idleMs: 100, silenceMs: 0 },
      sink,
    });
    const outcome = await running.done;
    assert.ok(outcome.kind === 'timeout' && outcome.phase === 'body');
  });

  it('idle: nor is an upload that the upstream reads no further, whose caller could leave unseen', async (t) => {
    const upstream = await rawUpstream(t);
    const body = new HandBody(undefined);
    const timeouts = { ...PATIENT, idleMs: 100, silenceMs: 0 };
    const running = start(testRelay(t), { target: upstream.target, head: POST, body, timeouts });
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    wire.socket.pause();
    wire.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no');
    while (body.consumer?.data(Buffer.alloc(65_536))) await new Promise((resolve) => setImmediate(resolve));
    const outcome = await running.done;
    assert.ok(outcome.kind === 'timeout' && outcome.phase === 'body');
  });

  it('idle: an answer that moves lives longer than the limit', async (t) => {
    const upstream = await rawUpstream(t);
    const running = start(testRelay(t), { target: upstream.target, timeouts: { ...PATIENT, idleMs: 400 } });
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    wire.send('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n');
    for (let i = 0; i < 10; i++) {
      await new Promise((resolve) => setTimeout(resolve, 80));
      wire.send('x');
    }
    assert.equal((await running.done).kind, 'answered');
  });

  it('idle: a caller who stops in the middle of its body', async (t) => {
    const upstream = await rawUpstream(t);
    const body = new HandBody(10);
    const running = start(testRelay(t), {
      target: upstream.target,
      head: POST,
      body,
      timeouts: { ...PATIENT, idleMs: 150 },
    });
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    body.consumer?.data(Buffer.from('abc'));
    const outcome = await running.done;
    assert.ok(outcome.kind === 'timeout' && outcome.phase === 'send');
  });

  it('total: whatever it is doing', async (t) => {
    const upstream = await rawUpstream(t, answering('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'));
    const { outcome } = await exchange(testRelay(t), {
      target: upstream.target,
      timeouts: { ...PATIENT, totalMs: 150 },
    });
    assert.ok(outcome.kind === 'timeout' && outcome.phase === 'body' && outcome.headForwarded);
  });

  it('0 is no deadline', async (t) => {
    const upstream = await rawUpstream(t);
    const timeouts = { connectMs: 0, headMs: 0, idleMs: 0, totalMs: 0 };
    const running = start(testRelay(t), { target: upstream.target, timeouts });
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    await new Promise((resolve) => setTimeout(resolve, 150));
    wire.send(OK);
    assert.equal((await running.done).kind, 'answered');
  });
});

describe('cancelling', () => {
  it('breaks the upstream connection, so that the function notices', async (t) => {
    const upstream = await rawUpstream(t);
    const running = start(testRelay(t), { target: upstream.target });
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    running.cancel();
    running.cancel();
    assert.deepEqual(await running.done, { kind: 'cancelled', headForwarded: false });
    assert.equal(await wire.untilEnded(), 'rst');
  });

  it('aborts an answer that has begun', async (t) => {
    const upstream = await rawUpstream(t, answering('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'));
    const sink = new RecordingSink();
    const running = start(testRelay(t), { target: upstream.target, sink });
    while (sink.body === '') await new Promise((resolve) => setImmediate(resolve));
    sink.control?.cancel();
    assert.deepEqual(await running.done, { kind: 'cancelled', headForwarded: true });
    assert.equal(sink.calls.at(-1), 'abort');
  });

  it('while connecting leaves nothing open', async (t) => {
    const upstream = await rawUpstream(t);
    const relay = testRelay(t);
    const running = start(relay, { target: upstream.target });
    running.cancel();
    assert.equal((await running.done).kind, 'cancelled');
    assert.deepEqual(
      { ...relay.stats, opened: 0 },
      {
        active: 0,
        idle: 0,
        connecting: 0,
        waiting: 0,
        opened: 0,
        staleRetries: 0,
      },
    );
  });

  it('before the exchange call has returned is still told afterwards', async (t) => {
    const upstream = await rawUpstream(t);
    const told: string[] = [];
    class GoneSink extends RecordingSink {
      override attach(control: { cancel(): void }): void {
        control.cancel();
      }
    }
    const running = testRelay(t).exchange(
      { target: upstream.target, head: GET, body: NO_BODY, sink: new GoneSink(), timeouts: PATIENT },
      ({ kind }) => told.push(kind),
    );
    assert.deepEqual(told, []);
    await running.done;
    assert.deepEqual(told, ['cancelled']);
    assert.equal(upstream.wires.length, 0);
  });
});

describe('a kept-alive connection that has gone stale', () => {
  for (const end of ['end', 'reset'] as const)
    it(`is replaced and the request sent again, once (${end})`, async (t) => {
      const upstream = await rawUpstream(t, staleUpstream(end));
      const relay = testRelay(t);
      await exchange(relay, { target: upstream.target });
      const { outcome, sink } = await exchange(relay, { target: upstream.target });
      assert.equal(outcome.kind, 'answered');
      assert.equal(sink.body, 'ok');
      assert.equal(relay.stats.staleRetries, 1);
      assert.equal(upstream.wires.length, 2);
    });

  it('is reported for a request that must not run twice, and that was written', async (t) => {
    const upstream = await rawUpstream(t, staleUpstream('reset'));
    const relay = testRelay(t);
    await exchange(relay, { target: upstream.target });
    const { outcome } = await exchange(relay, { target: upstream.target, head: POST });
    assert.ok(outcome.kind === 'failed' && outcome.phase === 'head' && outcome.sentBytes > 0);
    assert.equal(relay.stats.staleRetries, 0);
  });

  it('is replaced for a POST that its caller says may run twice, body and all', async (t) => {
    const upstream = await rawUpstream(t, staleUpstream('reset'));
    const relay = testRelay(t);
    const { target } = upstream;
    await exchange(relay, { target });
    const body = replayableBody(iterableBody([Buffer.from('abc')] as unknown as AsyncIterable<Buffer>));
    const { outcome } = await exchange(relay, { target, head: POST, body, mayRepeat: true });
    assert.equal(outcome.kind, 'answered');
    assert.ok(upstream.wires[1]?.received.includes('3\r\nabc\r\n'));
  });

  it('is reported where the body cannot be sent again', async (t) => {
    const upstream = await rawUpstream(t, staleUpstream('reset'));
    const relay = testRelay(t);
    const { target } = upstream;
    await exchange(relay, { target });
    const body = iterableBody([Buffer.from('abc')] as unknown as AsyncIterable<Buffer>);
    const { outcome } = await exchange(relay, { target, head: { ...POST, method: 'PUT' }, body });
    assert.equal(outcome.kind, 'failed');
  });

  it('a fresh connection that dies is no stale one', async (t) => {
    const upstream = await rawUpstream(t, (wire) => wire.socket.on('data', () => wire.reset()));
    const { outcome } = await exchange(testRelay(t), { target: upstream.target });
    assert.ok(outcome.kind === 'failed' && outcome.phase === 'head');
    assert.equal(upstream.wires.length, 1);
  });

  it('is noticed before a request is written, when its end comes in the same turn', async (t) => {
    const upstream = await rawUpstream(t, answering(OK));
    const relay = testRelay(t);
    const { target } = upstream;
    await exchange(relay, { target });
    const wire = await upstream.wire(0);
    await new Promise((resolve) => setImmediate(resolve)); // from here to the turn's end the sockets are read once
    // What an idle connection is told (a 408, and then the end) is no answer to the POST that is on its way.
    wire.end('HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n');
    const running = start(relay, { target, head: POST });
    assert.deepEqual(await running.done, { kind: 'answered', status: 200 });
  });

  it('a byte of the answer forbids the second try', async (t) => {
    let requests = 0;
    const upstream = await rawUpstream(t, (wire) =>
      wire.socket.on('data', () => (++requests === 1 ? wire.send(OK) : wire.end('H'))),
    );
    const relay = testRelay(t);
    await exchange(relay, { target: upstream.target });
    const { outcome } = await exchange(relay, { target: upstream.target });
    assert.equal(outcome.kind, 'failed');
    assert.equal(upstream.wires.length, 1);
  });
});

describe('a target that cannot be reached', () => {
  it('fails in phase connect, and nothing was sent', async (t) => {
    const upstream = await rawUpstream(t);
    await upstream.refuse();
    const { outcome, sink } = await exchange(testRelay(t), { target: upstream.target });
    assert.ok(outcome.kind === 'failed' && outcome.phase === 'connect' && outcome.sentBytes === 0);
    assert.ok(outcome.error instanceof RelayError && outcome.error.code === 'connect-failed');
    assert.deepEqual(sink.calls, []);
  });
});
