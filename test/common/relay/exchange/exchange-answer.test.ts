import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { captureSink } from '../../../../common/relay/index.ts';
import { HandBody } from './hand-body.ts';
import { exchange, RecordingSink, start, testRelay } from './rig.ts';
import { answering, rawUpstream } from '../wire/wire.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
const POST = { method: 'POST', path: '/p', headers: ['Host', 'f'] };

describe('what comes from the upstream', () => {
  it('reaches the sink in order', async (t) => {
    const answer =
      'HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 201 Made\r\nTransfer-Encoding: chunked\r\n\r\n' +
      '3\r\nabc\r\n0\r\nX-Sum: 6\r\n\r\n';
    const upstream = await rawUpstream(t, answering(answer));
    const { outcome, sink } = await exchange(testRelay(t), { target: upstream.target });
    assert.deepEqual(outcome, { kind: 'answered', status: 201 });
    assert.deepEqual(sink.calls, ['informational 103', 'head 201', 'data', 'end']);
    assert.deepEqual(sink.informationals[0]?.headers, ['Link', '</a>']);
    assert.equal(sink.received?.statusText, 'Made');
    assert.equal(sink.body, 'abc');
    assert.deepEqual(sink.trailers, ['X-Sum', '6']);
  });

  it('ends with the connection where it has no other end, and that connection is not kept', async (t) => {
    const upstream = await rawUpstream(t, (wire) => wire.end('HTTP/1.1 200 OK\r\n\r\nall of it'));
    const relay = testRelay(t);
    const { outcome, sink } = await exchange(relay, { target: upstream.target });
    assert.equal(outcome.kind, 'answered');
    assert.equal(sink.body, 'all of it');
    assert.equal(relay.stats.idle, 0);
  });

  it('stays as it is in a sink that still writes it, while its connection carries the next one', async (t) => {
    const upstream = await rawUpstream(t, answering(OK));
    const relay = testRelay(t);
    const { target } = upstream;
    let kept: Buffer | undefined;
    class HoldingSink extends RecordingSink {
      override data(chunk: Buffer): boolean {
        kept = chunk;
        return true;
      }
      override end(): boolean {
        return false;
      }
    }
    const sink = new HoldingSink();
    await exchange(relay, { target, sink });
    assert.equal(kept?.toString(), 'ok');
    const wire = await upstream.wire(0);
    wire.socket.removeAllListeners('data');
    wire.socket.on('data', () => wire.send('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nXX'));
    for (let i = 0; i < 3; i++) await exchange(relay, { target });
    assert.equal(relay.stats.opened, 1);
    assert.equal(kept.toString(), 'ok');
    sink.control?.resume(); // from here on the memory is the relay's again; once more is harmless
    sink.control?.resume();
  });

  it('is read no further while the sink wants a pause', async (t) => {
    const upstream = await rawUpstream(t);
    const sink = new RecordingSink();
    sink.accepts = false;
    const running = start(testRelay(t), { target: upstream.target, sink });
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    const size = 50_000_000;
    wire.send(`HTTP/1.1 200 OK\r\nContent-Length: ${size}\r\n\r\n`);
    wire.socket.write(Buffer.alloc(size, 'x'));
    while (sink.body === '') await new Promise((resolve) => setTimeout(resolve, 5));
    const before = sink.body.length;
    await new Promise((resolve) => setTimeout(resolve, 50));
    assert.equal(sink.body.length, before);
    assert.ok(before <= 1_048_576, `${before} bytes were read for a sink that took none`);
    sink.accepts = true;
    sink.control?.resume();
    assert.equal((await running.done).kind, 'answered');
    assert.equal(sink.body.length, size);
  });

  for (const [name, bytes] of [
    ['is not HTTP', 'SSH-2.0-OpenSSH\r\n\r\n'],
    ['has two lengths', 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab'],
    ['ends before its head', 'HTTP/1.1 200 OK\r\nA: b'],
  ] as const)
    it(`fails in phase head when it ${name}`, async (t) => {
      const upstream = await rawUpstream(t, (wire) => wire.end(bytes));
      const { outcome, sink } = await exchange(testRelay(t), { target: upstream.target, head: POST });
      assert.equal(outcome.kind, 'failed');
      assert.ok(outcome.kind === 'failed' && outcome.phase === 'head' && outcome.sentBytes > 0);
      assert.equal(outcome.headForwarded, false);
      assert.deepEqual(sink.calls, []);
    });

  for (const [name, bytes] of [
    ['is cut in its body', 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc'],
    ['is cut between chunks', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n'],
    ['has a bad chunk', 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nx\r\n'],
  ] as const)
    it(`aborts the sink when it ${name}`, async (t) => {
      const upstream = await rawUpstream(t, (wire) => wire.end(bytes));
      const { outcome, sink } = await exchange(testRelay(t), { target: upstream.target });
      assert.ok(outcome.kind === 'failed' && outcome.phase === 'body' && outcome.headForwarded);
      assert.deepEqual(
        sink.calls.filter((call) => call !== 'data'),
        ['head 200', 'abort'],
      );
    });

  it('may come before the body was sent: the rest is not sent and the connection not kept', async (t) => {
    const upstream = await rawUpstream(t);
    const body = new HandBody(1_000);
    const relay = testRelay(t);
    const running = start(relay, { target: upstream.target, head: POST, body });
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    body.consumer?.data(Buffer.from('some'));
    wire.send('HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n');
    assert.deepEqual(await running.done, { kind: 'answered', status: 413 });
    assert.equal(body.calls.at(-1), 'stop');
    assert.equal(await wire.untilEnded(), 'fin');
    assert.equal(relay.stats.idle, 0);
  });

  it('may begin while the body is on its way, and both go on to their ends', async (t) => {
    const upstream = await rawUpstream(t);
    const body = new HandBody(6);
    const sink = new RecordingSink();
    const relay = testRelay(t);
    const running = start(relay, { target: upstream.target, head: POST, body, sink });
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    body.consumer?.data(Buffer.from('one'));
    wire.send('HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nONE');
    while (sink.body !== 'ONE') await new Promise((resolve) => setImmediate(resolve));
    body.consumer?.data(Buffer.from('two'));
    body.consumer?.end([]);
    await wire.contains('onetwo');
    wire.send('TWO');
    assert.equal((await running.done).kind, 'answered');
    assert.equal(sink.body, 'ONETWO');
    assert.equal(relay.stats.idle, 1);
  });
});

describe('deciding at the head', () => {
  const refusal = 'HTTP/1.1 503 No\r\nslimfaas-refused: full\r\nContent-Length: 0\r\n\r\n';

  it('discards an answer of which the sink hears nothing, and keeps the connection', async (t) => {
    const upstream = await rawUpstream(t, answering(refusal));
    const relay = testRelay(t);
    const { outcome, sink } = await exchange(relay, { target: upstream.target, decide: () => 'discard' });
    assert.ok(outcome.kind === 'discarded' && outcome.head.status === 503);
    assert.deepEqual(outcome.head.headers, ['slimfaas-refused', 'full', 'Content-Length', '0']);
    assert.deepEqual(sink.calls, []);
    assert.equal(relay.stats.idle, 1);
  });

  it('cuts a discarded body that has not come whole', async (t) => {
    const upstream = await rawUpstream(t, (wire) =>
      wire.send('HTTP/1.1 503 No\r\nContent-Length: 9\r\n\r\nabc'),
    );
    const relay = testRelay(t);
    const { outcome } = await exchange(relay, { target: upstream.target, decide: () => 'discard' });
    assert.equal(outcome.kind, 'discarded');
    assert.equal(await (await upstream.wire(0)).untilEnded(), 'rst');
    assert.equal(relay.stats.idle + relay.stats.active, 0);
  });

  it('is asked once, and forwards by default', async (t) => {
    const upstream = await rawUpstream(t, answering(OK));
    let asked = 0;
    const decide = () => (asked++, 'forward' as const);
    const { sink } = await exchange(testRelay(t), { target: upstream.target, decide });
    assert.equal(asked, 1);
    assert.equal(sink.body, 'ok');
  });
});

describe('captureSink', () => {
  it('holds the answer, cut where it is too long', async (t) => {
    const upstream = await rawUpstream(
      t,
      answering('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n0123456789'),
    );
    const relay = testRelay(t);
    const whole = captureSink(10);
    await start(relay, { target: upstream.target, sink: whole }).done;
    assert.equal(whole.answer?.body.toString(), '0123456789');
    assert.equal(whole.answer?.isTruncated, false);
    const cut = captureSink(4);
    await start(relay, { target: upstream.target, sink: cut }).done;
    assert.equal(cut.answer?.body.toString(), '0123');
    assert.equal(cut.answer?.isTruncated, true);
    assert.deepEqual(cut.answer?.head.headers, ['Content-Length', '10']);
  });

  it('has no answer when it broke off', async (t) => {
    const upstream = await rawUpstream(t, (wire) =>
      wire.end('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab'),
    );
    const sink = captureSink(10);
    await start(testRelay(t), { target: upstream.target, sink }).done;
    assert.equal(sink.answer, undefined);
  });
});
