/** An upstream that answers before it has read the request and closes: its answer is the caller's. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HandBody } from './hand-body.ts';
import { waitFor } from '../../../helpers/wait.ts';
import { PATIENT, RecordingSink, start, testRelay } from './rig.ts';
import { rawUpstream, type Wire } from '../wire/wire.ts';

const POST = { method: 'POST', path: '/', headers: ['Host', 'f', 'Content-Length', '10000000'] };
const REFUSAL = 'HTTP/1.1 413 Payload Too Large\r\nContent-Length: 9\r\n\r\ntoo large';

/** The answer and the reset are with our kernel, and nothing of them has been read. */
function answerAndReset(wire: Wire, answer: string): void {
  wire.send(answer);
  wire.socket.resetAndDestroy();
}

describe('an answer that came before the upload ended', () => {
  it('is forwarded although the next write fails', async (t) => {
    const upstream = await rawUpstream(t);
    const body = new HandBody(10_000_000);
    const sink = new RecordingSink();
    const running = start(testRelay(t), { target: upstream.target, head: POST, body, sink });
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    answerAndReset(wire, REFUSAL);
    body.consumer?.data(Buffer.alloc(65_536));
    body.consumer?.data(Buffer.alloc(65_536));
    assert.deepEqual(await running.done, { kind: 'answered', status: 413 });
    assert.equal(sink.body, 'too large');
  });

  it('is forwarded although the first write of all fails: small bodies go with their head', async (t) => {
    const upstream = await rawUpstream(t, (wire) => answerAndReset(wire, REFUSAL));
    const body = new HandBody(10_000_000);
    const running = start(testRelay(t), { target: upstream.target, head: POST, body });
    const outcome = await running.done;
    assert.equal(outcome.kind === 'answered' || (outcome.kind === 'failed' && outcome.sentBytes === 0), true);
  });

  it('is forwarded whole to a caller who reads slowly', async (t) => {
    const upstream = await rawUpstream(t);
    const body = new HandBody(10_000_000);
    const sink = new RecordingSink();
    sink.accepts = false;
    const running = start(testRelay(t), { target: upstream.target, head: POST, body, sink });
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    const long = 'x'.repeat(110_000);
    wire.send(`HTTP/1.1 413 Payload Too Large\r\nContent-Length: 110000\r\n\r\n${long}`);
    await waitFor(() => sink.body !== '', { what: 'the first read' });
    assert.ok(sink.body.length < long.length);
    wire.socket.resetAndDestroy(); // the rest is with our kernel
    body.consumer?.data(Buffer.alloc(65_536));
    let reads = 0;
    while (sink.calls.at(-1) !== 'end' && reads < 100) {
      await new Promise((resolve) => setImmediate(resolve));
      const before = sink.body.length;
      await new Promise((resolve) => setImmediate(resolve));
      assert.equal(sink.body.length, before, 'nothing more is read while the sink holds the memory');
      reads++;
      running.resume();
    }
    assert.deepEqual(await running.done, { kind: 'answered', status: 413 });
    assert.equal(sink.body, long);
    assert.ok(reads > 0 && reads < 100, `${reads} reads`);
  });

  it('is broken off when it is not whole', async (t) => {
    const upstream = await rawUpstream(t);
    const body = new HandBody(10_000_000);
    const sink = new RecordingSink();
    const running = start(testRelay(t), { target: upstream.target, head: POST, body, sink });
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    answerAndReset(wire, 'HTTP/1.1 413 Payload Too Large\r\nContent-Length: 9\r\n\r\ntoo');
    body.consumer?.data(Buffer.alloc(65_536));
    const outcome = await running.done;
    assert.ok(outcome.kind === 'failed' && outcome.phase === 'body' && outcome.headForwarded);
    assert.deepEqual(sink.calls, ['head 413', 'data', 'abort']);
  });

  it('is not waited for where there is none', async (t) => {
    const upstream = await rawUpstream(t);
    const body = new HandBody(10_000_000);
    const relay = testRelay(t);
    const running = start(relay, { target: upstream.target, head: POST, body });
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    wire.socket.resetAndDestroy();
    body.consumer?.data(Buffer.alloc(65_536));
    const outcome = await running.done;
    assert.ok(outcome.kind === 'failed' && outcome.phase === 'send');
    assert.equal(relay.stats.active, 0);
  });

  it('a caller who leaves, or a deadline, ends what is still held', async (t) => {
    for (const end of ['cancel', 'deadline'] as const) {
      const upstream = await rawUpstream(t);
      const body = new HandBody(10_000_000);
      const sink = new RecordingSink();
      sink.accepts = false;
      const relay = testRelay(t);
      const timeouts = { ...PATIENT, idleMs: end === 'deadline' ? 100 : 30_000 };
      const running = start(relay, { target: upstream.target, head: POST, body, sink, timeouts });
      const wire = await upstream.wire(0);
      await wire.contains('\r\n\r\n');
      answerAndReset(wire, `HTTP/1.1 413 Too Large\r\nContent-Length: 60000\r\n\r\n${'x'.repeat(30_000)}`);
      body.consumer?.data(Buffer.alloc(65_536));
      if (end === 'cancel') setImmediate(() => running.cancel());
      const outcome = await running.done;
      assert.equal(outcome.kind, end === 'cancel' ? 'cancelled' : 'timeout');
      assert.equal(relay.stats.active, 0);
    }
  });
});
