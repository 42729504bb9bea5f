import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Connection, Tenant } from '../../../../common/relay/target/connection.ts';
import { createRelay, RelayError } from '../../../../common/relay/index.ts';
import { Pool } from '../../../../common/relay/target/pool.ts';
import { TCP } from '../../../../common/relay/target/transport.ts';
import { waitFor } from '../../../helpers/wait.ts';
import { exchange, start, testRelay } from '../exchange/rig.ts';
import { answering, rawUpstream, type Wire } from '../wire/wire.ts';

const OK = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';

function announcing(seconds: number): string {
  return `HTTP/1.1 200 OK\r\nKeep-Alive: timeout=${seconds}\r\nContent-Length: 0\r\n\r\n`;
}

function requestsOn(wire: Wire | undefined): number {
  return (wire?.received.split('\r\n\r\n').length ?? 1) - 1;
}

describe('the pool of a target', () => {
  it('uses a connection again', async (t) => {
    const upstream = await rawUpstream(t, answering(OK));
    const relay = testRelay(t);
    for (let i = 0; i < 5; i++)
      assert.equal((await exchange(relay, { target: upstream.target })).sink.body, 'ok');
    assert.equal(upstream.wires.length, 1);
    assert.deepEqual(relay.stats, {
      active: 0,
      idle: 1,
      connecting: 0,
      waiting: 0,
      opened: 1,
      staleRetries: 0,
    });
  });

  it('takes the one that went idle last', async (t) => {
    const upstream = await rawUpstream(t);
    const relay = testRelay(t);
    const { target } = upstream;
    const [first, second] = [start(relay, { target }), start(relay, { target })];
    const [a, b] = [await upstream.wire(0), await upstream.wire(1)];
    await Promise.all([a.contains('\r\n\r\n'), b.contains('\r\n\r\n')]);
    a.send(OK);
    await Promise.race([first.done, second.done]);
    b.send(OK);
    await Promise.all([first.done, second.done]);
    const third = start(relay, { target });
    await waitFor(() => requestsOn(a) + requestsOn(b) === 3, { what: 'a third request' });
    assert.equal(requestsOn(b), 2);
    b.send(OK);
    await third.done;
  });

  it('lets exchanges beyond its limit wait, first come first served', async (t) => {
    const upstream = await rawUpstream(t);
    const relay = testRelay(t, { maxConnections: 1 });
    const { target } = upstream;
    const order: number[] = [];
    const all = [1, 2, 3].map(async (n) => {
      await start(relay, { target }).done;
      order.push(n);
    });
    const wire = await upstream.wire(0);
    for (let n = 1; n <= 3; n++) {
      await waitFor(() => requestsOn(wire) === n, { what: `request ${n}` });
      assert.equal(relay.stats.waiting, 3 - n);
      wire.send(OK);
    }
    await Promise.all(all);
    assert.deepEqual(order, [1, 2, 3]);
    assert.equal(upstream.wires.length, 1);
  });

  it('makes a new connection for one who waits when the busy one breaks', async (t) => {
    const upstream = await rawUpstream(t);
    const relay = testRelay(t, { maxConnections: 1 });
    const { target } = upstream;
    const [first, second] = [start(relay, { target }), start(relay, { target })];
    (await upstream.wire(0)).reset();
    assert.equal((await first.done).kind, 'failed');
    const wire = await upstream.wire(1);
    await wire.contains('\r\n\r\n');
    wire.send(OK);
    assert.equal((await second.done).kind, 'answered');
  });

  it('forgets who left while waiting, and who waited too long', async (t) => {
    const upstream = await rawUpstream(t);
    const relay = testRelay(t, { maxConnections: 1 });
    const { target } = upstream;
    const busy = start(relay, { target });
    const leaver = start(relay, { target });
    const late = start(relay, { target, timeouts: { connectMs: 100, headMs: 0, idleMs: 0 } });
    leaver.cancel();
    assert.equal((await leaver.done).kind, 'cancelled');
    const outcome = await late.done;
    assert.ok(outcome.kind === 'timeout' && outcome.phase === 'connect' && outcome.sentBytes === 0);
    assert.equal(relay.stats.waiting, 0);
    (await upstream.wire(0)).send(OK);
    assert.equal((await busy.done).kind, 'answered');
    assert.equal(upstream.wires.length, 1);
  });

  it('keeps no more idle connections than it may', async (t) => {
    const upstream = await rawUpstream(t);
    const relay = testRelay(t, { maxIdle: 1 });
    const { target } = upstream;
    const all = [start(relay, { target }), start(relay, { target })];
    for (const index of [0, 1]) {
      const wire = await upstream.wire(index);
      await wire.contains('\r\n\r\n');
      wire.send(OK);
    }
    await Promise.all(all.map(({ done }) => done));
    assert.equal(relay.stats.idle, 1);
  });

  it('closes a connection that has been idle for long enough', async (t) => {
    const upstream = await rawUpstream(t, answering(OK));
    const relay = testRelay(t, { idleMs: 100 });
    await exchange(relay, { target: upstream.target });
    assert.equal(await (await upstream.wire(0)).untilEnded(), 'fin');
    assert.equal(relay.stats.idle, 0);
  });

  it('goes before the limit that the upstream announces, and does not keep one of a second', async (t) => {
    const relay = testRelay(t);
    const long = await rawUpstream(t, answering(announcing(60)));
    await exchange(relay, { target: long.target });
    assert.equal(relay.stats.idle, 1);
    const short = await rawUpstream(t, answering(announcing(1)));
    await exchange(relay, { target: short.target });
    assert.equal(relay.stats.idle, 1);
    await (await short.wire(0)).untilEnded();
  });

  it('keeps a request that must not run twice clear of the moment at which its upstream closes', async (t) => {
    const upstream = await rawUpstream(t);
    const pool = new Pool(upstream.target, {
      transport: TCP,
      maxConnections: 1,
      maxIdle: 1,
      idleMs: 60_000,
      maxHeadBytes: 1_024,
    });
    t.after(() => pool.retire());
    const connection = await new Promise<Connection>((resolve, reject) => {
      const never = (): boolean => true;
      pool.open({
        onConnected: resolve,
        onConnectFailed: reject,
        isHeld: false,
        onReadDone: never,
        ...Object.fromEntries(
          ['onDrain', 'onComplete', 'onLost', 'onPlaceFree', 'onInfo', 'onHead', 'onBody', 'onTrailers'].map(
            (name) => [name, never],
          ),
        ),
      } as unknown as Tenant);
    });
    const at = (ms: number): void => pool.release(connection, 0, ms);
    at(10_000);
    pool.sweep(12_000);
    pool.sawClosing(11_500); // after half a second
    for (const [idleMs, isRepeatable, isUsed] of [
      [400, false, true],
      [401, false, false],
      [401, true, true],
    ] as const) {
      at(20_000);
      const used = pool.reuse(20_000 + idleMs, isRepeatable);
      assert.equal(used === connection, isUsed, `idle for ${idleMs} ms`);
      if (!used) pool.reuse(20_000, true); // taken, to be given back once more
    }
    at(700_000);
    assert.equal(pool.reuse(700_900, false), connection, 'what was seen ten minutes ago counts no more');
  });

  it('does not give a connection idle for over a second to a request that must not run twice', async (t) => {
    const upstream = await rawUpstream(t, answering(OK));
    const relay = testRelay(t);
    const { target } = upstream;
    const post = { method: 'POST', path: '/', headers: [] };
    await exchange(relay, { target });
    await exchange(relay, { target, head: post });
    assert.equal(upstream.wires.length, 1);
    await new Promise((resolve) => setTimeout(resolve, 1_300));
    await exchange(relay, { target });
    assert.equal(upstream.wires.length, 1, 'a GET may take it');
    await new Promise((resolve) => setTimeout(resolve, 1_300));
    await exchange(relay, { target, head: post });
    assert.equal(upstream.wires.length, 2);
  });

  for (const [name, bytes] of [
    ['says it closes', 'HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'],
    ['speaks HTTP/1.0', 'HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n'],
    ['has more bytes than answers', `${OK}HTTP/1.1 200`],
  ] as const)
    it(`does not keep a connection whose upstream ${name}`, async (t) => {
      const upstream = await rawUpstream(t, answering(bytes));
      const relay = testRelay(t);
      await exchange(relay, { target: upstream.target });
      assert.equal(relay.stats.idle, 0);
      await (await upstream.wire(0)).untilEnded();
    });

  it('drops an idle connection that the upstream closes or talks on', async (t) => {
    const upstream = await rawUpstream(t, answering(OK));
    const relay = testRelay(t);
    const { target } = upstream;
    await exchange(relay, { target });
    (await upstream.wire(0)).end();
    await waitFor(() => relay.stats.idle === 0, { what: 'the closed connection dropped' });
    await exchange(relay, { target });
    (await upstream.wire(1)).send('HTTP/1.1 408 Too slow\r\n\r\n');
    await waitFor(() => relay.stats.idle === 0, { what: 'the talkative connection dropped' });
    assert.equal((await exchange(relay, { target })).outcome.kind, 'answered');
  });

  it('keeps targets apart', async (t) => {
    const [a, b] = [await rawUpstream(t, answering(OK)), await rawUpstream(t, answering(OK))];
    const relay = testRelay(t);
    await exchange(relay, { target: a.target });
    await exchange(relay, { target: b.target });
    await exchange(relay, { target: { ...a.target } });
    assert.deepEqual([a.wires.length, b.wires.length], [1, 1]);
  });
});

describe('forgetting a target', () => {
  it('closes its idle connections; running exchanges end by themselves and their connections with them', async (t) => {
    const upstream = await rawUpstream(t);
    const relay = testRelay(t);
    const { target } = upstream;
    const [one, two] = [start(relay, { target }), start(relay, { target })];
    const [a, b] = [await upstream.wire(0), await upstream.wire(1)];
    await Promise.all([a.contains('\r\n\r\n'), b.contains('\r\n\r\n')]);
    a.send(OK);
    await Promise.race([one.done, two.done]);
    relay.forget({ ...target });
    await a.untilEnded();
    b.send(OK);
    await Promise.all([one.done, two.done]);
    await b.untilEnded();
    assert.equal(relay.stats.idle, 0);
    assert.equal(relay.stats.opened, 2);
    relay.forget({ host: 'unknown', port: 1 });
  });
});

describe('closing the relay', () => {
  it('closes what is idle, lets what runs end, and takes nothing new; twice is harmless', async (t) => {
    const upstream = await rawUpstream(t, (wire) => wire.socket.on('data', () => {}));
    const relay = createRelay();
    const { target } = upstream;
    const running = start(relay, { target });
    const wire = await upstream.wire(0);
    await wire.contains('\r\n\r\n');
    relay.close();
    relay.close();
    const { outcome } = await exchange(relay, { target });
    assert.ok(outcome.kind === 'failed' && outcome.phase === 'connect');
    assert.ok(outcome.error instanceof RelayError && outcome.error.code === 'relay-closed');
    wire.send(OK);
    assert.equal((await running.done).kind, 'answered');
    await wire.untilEnded();
  });
});

describe('options', () => {
  it('that make no sense are refused by name', () => {
    assert.throws(() => createRelay({ maxConnections: 0 }), /maxConnections.*not 0/);
    assert.throws(() => createRelay({ idleMs: Number.NaN }), /idleMs/);
  });
});
