import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { bufferBody, iterableBody, RelayError, type BodyConsumer } from '../../../../common/relay/index.ts';
import { waitFor } from '../../../helpers/wait.ts';
import { HandBody } from './hand-body.ts';
import { exchange, RecordingSink, start, testRelay } from './rig.ts';
import { answering, rawUpstream } from '../wire/wire.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const POST = { method: 'POST', path: '/p', headers: ['Host', 'f'] };

async function* failing(): AsyncGenerator<Buffer> {
  yield Buffer.from('abc');
  throw new Error('the store is gone');
}

describe('what goes to the upstream', () => {
  it('is the request byte for byte, with nothing added', async (t) => {
    const upstream = await rawUpstream(t, answering(OK));
    const head = {
      method: 'DELETE',
      path: '/a%2Fb//c?q=%20&&=#x',
      headers: ['hOST', 'F', 'X-a', '1', 'x-A', ' 2'],
    };
    await exchange(testRelay(t), { target: upstream.target, head });
    const wire = await upstream.wire(0);
    assert.equal(
      wire.received,
      'DELETE /a%2Fb//c?q=%20&&=#x HTTP/1.1\r\nhOST: F\r\nX-a: 1\r\nx-A:  2\r\n\r\n',
    );
  });

  it('gets the Host and the framing that it lacks', async (t) => {
    const upstream = await rawUpstream(t, answering(OK));
    const relay = testRelay(t);
    const { target } = upstream;
    await exchange(relay, { target, head: { ...POST, headers: [] }, body: bufferBody(Buffer.from('abc')) });
    const wire = await upstream.wire(0);
    assert.equal(
      wire.received,
      `POST /p HTTP/1.1\r\nHost: 127.0.0.1:${target.port}\r\nContent-Length: 3\r\n\r\nabc`,
    );
  });

  it('keeps a chunked request chunked, trailers included', async (t) => {
    const upstream = await rawUpstream(t);
    const head = { ...POST, headers: ['Host', 'f', 'transfer-encoding', 'chunked', 'X', 'y'] };
    const body = new HandBody();
    const running = start(testRelay(t), { target: upstream.target, head, body });
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    body.consumer?.data(Buffer.from('hello'));
    body.consumer?.data(Buffer.alloc(0)); // a chunk of size 0 would end the body
    body.consumer?.data(Buffer.alloc(20_000, 'x'));
    body.consumer?.end(['X-Sum', '1']);
    await wire.contains('X-Sum: 1\r\n\r\n');
    const [, sent] = wire.received.split('\r\n\r\n5\r\n');
    assert.equal(sent, `hello\r\n4e20\r\n${'x'.repeat(20_000)}\r\n0\r\nX-Sum: 1\r\n\r\n`);
    wire.send(OK);
    assert.equal((await running.done).kind, 'answered');
  });

  it('holds a small body and its head in one packet', async (t) => {
    const reads: number[] = [];
    const upstream = await rawUpstream(t, (wire) => {
      wire.socket.on('data', (chunk: Buffer) => reads.push(chunk.length));
      answering(OK)(wire);
    });
    class ReadyBody extends HandBody {
      override start(consumer: BodyConsumer): void {
        consumer.data(Buffer.from('12345'));
        consumer.end([]);
      }
    }
    const head = { ...POST, headers: ['Host', 'f', 'Content-Length', '5'] };
    await exchange(testRelay(t), { target: upstream.target, head, body: new ReadyBody(5) });
    const { received } = await upstream.wire(0);
    assert.ok(received.endsWith('\r\n\r\n12345'));
    assert.deepEqual(reads, [received.length]);
  });

  it('does not hold the head for a body that is not there yet', async (t) => {
    const upstream = await rawUpstream(t);
    const body = new HandBody(5);
    const running = start(testRelay(t), { target: upstream.target, head: POST, body });
    const wire = await upstream.wire(0);
    await wire.contains('Content-Length: 5\r\n\r\n');
    wire.send(OK);
    assert.equal((await running.done).kind, 'answered');
  });

  it('frees the memory of a body that is given away, and no other, once it is written', async (t) => {
    const upstream = await rawUpstream(t);
    const relay = testRelay(t);
    for (const givesMemoryAway of [true, false]) {
      const body = Object.assign(new HandBody(20_000), { givesMemoryAway });
      const running = start(relay, { target: upstream.target, head: POST, body });
      await waitFor(() => body.consumer, { what: 'the body started' });
      const chunk = Buffer.from(new ArrayBuffer(20_000)).fill('x');
      body.consumer?.data(chunk);
      body.consumer?.end([]);
      const wire = await upstream.wire(0);
      await wire.until('the body', (received) => received.endsWith('x'.repeat(20_000)));
      wire.send(OK);
      await running.done;
      assert.equal(chunk.length, givesMemoryAway ? 0 : 20_000);
    }
  });

  it('is paused when the upstream does not read, and goes on when it does', async (t) => {
    const upstream = await rawUpstream(t, (wire) => wire.socket.pause());
    const body = new HandBody();
    const running = start(testRelay(t), { target: upstream.target, head: POST, body });
    const wire = await upstream.wire(0);
    while (!body.consumer) await new Promise((resolve) => setImmediate(resolve));
    let given = 0;
    while (body.consumer.data(Buffer.alloc(65_536, 'x'))) given++;
    assert.ok(given < 1_000, 'it stopped within 64 MB');
    wire.socket.resume();
    while (!body.calls.includes('resume')) await new Promise((resolve) => setImmediate(resolve));
    body.consumer.end([]);
    await wire.contains('0\r\n\r\n');
    wire.send(OK);
    assert.equal((await running.done).kind, 'answered');
  });
});

describe('Expect: 100-continue', () => {
  const expecting = { ...POST, headers: ['Host', 'f', 'Expect', '100-Continue', 'Content-Length', '4'] };

  it('holds the body until the upstream says 100, and tells the caller', async (t) => {
    const upstream = await rawUpstream(t);
    const body = new HandBody(4);
    const sink = new RecordingSink();
    const running = start(testRelay(t), { target: upstream.target, head: expecting, body, sink });
    const wire = await upstream.wire(0);
    await wire.contains('Expect: 100-Continue\r\n');
    assert.deepEqual(body.calls, []);
    wire.send('HTTP/1.1 100 Continue\r\n\r\n');
    while (!body.consumer) await new Promise((resolve) => setImmediate(resolve));
    assert.deepEqual(sink.calls, ['informational 100']);
    body.consumer.data(Buffer.from('body'));
    body.consumer.end([]);
    await wire.contains('\r\n\r\nbody');
    wire.send(OK);
    assert.equal((await running.done).kind, 'answered');
  });

  it('never asks for a body that the upstream refuses', async (t) => {
    const upstream = await rawUpstream(t, answering('HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n'));
    const body = new HandBody(4);
    const relay = testRelay(t);
    const { outcome, sink } = await exchange(relay, { target: upstream.target, head: expecting, body });
    assert.deepEqual(outcome, { kind: 'answered', status: 417 });
    assert.deepEqual(sink.calls, ['head 417', 'end']);
    assert.deepEqual(body.calls, []);
    assert.equal(relay.stats.idle, 0);
  });

  it('goes on after a second with an upstream that says nothing', async (t) => {
    const upstream = await rawUpstream(t);
    const body = new HandBody(4);
    const sink = new RecordingSink();
    const running = start(testRelay(t), { target: upstream.target, head: expecting, body, sink });
    const wire = await upstream.wire(0);
    const startedAt = performance.now();
    while (!body.consumer) await new Promise((resolve) => setTimeout(resolve, 5));
    assert.ok(performance.now() - startedAt > 900);
    assert.deepEqual(sink.calls, ['informational 100']);
    wire.send('HTTP/1.1 100 Continue\r\n\r\n'); // late: the caller has been told
    body.consumer.data(Buffer.from('body'));
    body.consumer.end([]);
    await wire.contains('body');
    wire.send(OK);
    await running.done;
    assert.deepEqual(sink.calls, ['informational 100', 'head 200', 'data', 'end']);
  });

  it('a 100 that nobody asked for stops here', async (t) => {
    const upstream = await rawUpstream(t, answering(`HTTP/1.1 100 Continue\r\n\r\n${OK}`));
    const { sink } = await exchange(testRelay(t), { target: upstream.target });
    assert.deepEqual(sink.calls, ['head 200', 'data', 'end']);
  });
});

describe('a body that breaks', () => {
  it('fails the exchange as the caller’s fault and cuts the request', async (t) => {
    const upstream = await rawUpstream(t);
    const { outcome } = await exchange(testRelay(t), {
      target: upstream.target,
      head: POST,
      body: iterableBody(failing()),
    });
    assert.ok(outcome.kind === 'failed' && outcome.callerFailed === true && outcome.phase === 'send');
    assert.ok(outcome.error instanceof RelayError && outcome.error.code === 'bad-body');
    const wire = await upstream.wire(0);
    await wire.untilEnded();
    assert.ok(!wire.received.includes('0\r\n\r\n'), 'the upstream must not take it for complete');
  });

  for (const [name, length] of [
    ['shorter', 4],
    ['longer', 2],
  ] as const)
    it(`is one that is ${name} than it said`, async (t) => {
      const upstream = await rawUpstream(t);
      const body = iterableBody([Buffer.from('abc')] as unknown as AsyncIterable<Buffer>, length);
      const { outcome } = await exchange(testRelay(t), { target: upstream.target, head: POST, body });
      assert.ok(outcome.kind === 'failed' && outcome.callerFailed);
    });

  it('is a caller who left: cancelled', async (t) => {
    const upstream = await rawUpstream(t);
    const body = new HandBody(9);
    const running = start(testRelay(t), { target: upstream.target, head: POST, body });
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    body.consumer?.fail(new RelayError('caller-gone', 'left'));
    assert.equal((await running.done).kind, 'cancelled');
    assert.equal(await wire.untilEnded(), 'rst');
  });
});
