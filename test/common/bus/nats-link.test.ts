/** The NATS link against a real server that is absent, comes, goes and comes back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../../../common/runtime/log.ts';
import { reconnectsWithinMs } from '../../../common/bus/connection-options.ts';
import { ANSWERS_MAX, openNatsLink, type NatsLink } from '../../../common/bus/nats.ts';
import { startNats } from '../../helpers/nats.ts';
import { recordingLog } from '../../helpers/recording-log.ts';
import { waitFor } from '../../helpers/wait.ts';

const hello = new TextEncoder().encode('hello');

test('a link opens without a server, delivers once there is one, and again after a restart', async (t) => {
  const server = await startNats();
  t.after(() => server.stop());
  const sender = openNatsLink({ servers: server.url, name: 'sender', log: silentLog });
  const receiver = openNatsLink({ servers: server.url, name: 'receiver', log: silentLog });
  t.after(() => Promise.all([sender.stop(), receiver.stop()]));

  const heard: string[] = [];
  const changes: boolean[] = [];
  receiver.subscribe('greeting', (_, data) => heard.push(new TextDecoder().decode(data)));
  receiver.onStatus((isConnected) => changes.push(isConnected));
  assert.equal(sender.publish('greeting', hello), false, 'nothing is queued before the first connection');

  await waitFor(() => sender.isConnected && receiver.isConnected, {
    timeoutMs: 10_000,
    what: 'both connected',
  });
  await receiver.connection?.flush();
  assert.equal(sender.publish('greeting', hello), true);
  await waitFor(() => heard.length === 1, { what: 'the message' });

  await server.kill();
  await waitFor(() => !sender.isConnected && !receiver.isConnected, {
    timeoutMs: 10_000,
    what: 'the loss noticed',
  });
  assert.equal(sender.publish('greeting', hello), false);
  assert.equal(sender.connection, undefined);
  await server.restart();
  await waitFor(() => sender.isConnected && receiver.isConnected, { timeoutMs: 15_000, what: 'reconnected' });
  await receiver.connection?.flush();
  sender.publish('greeting', hello);
  await waitFor(() => heard.length === 2, { what: 'the message after the restart' });
  assert.deepEqual(changes, [true, false, true]);
});

test('a released subscription hears nothing more', async (t) => {
  const server = await startNats();
  t.after(() => server.stop());
  const link = openNatsLink({ servers: server.url, name: 'one', log: silentLog });
  t.after(() => link.stop());
  let first = 0;
  let second = 0;
  const release = link.subscribe('x', () => first++);
  link.subscribe('x', () => second++);
  await waitFor(() => link.isConnected, { timeoutMs: 10_000, what: 'connected' });
  release();
  release();
  link.publish('x', hello);
  await waitFor(() => second === 1, { what: 'the other subscription' });
  assert.equal(first, 0);
});

test('a server that a new process does not reach at once is asked again quickly, and is no warning', async (t) => {
  const { log, line, lines } = recordingLog();
  const link = openNatsLink({ servers: 'nats://127.0.0.1:9', name: 'one', log });
  t.after(() => link.stop());
  const warning = await line('no NATS server; trying again');
  const early = lines.slice(0, lines.indexOf(warning));
  assert.ok(early.length >= 10, `${early.length} tries in the first two seconds`);
  assert.deepEqual([...new Set(early.map(({ level }) => level))], ['debug']);
});

test('a server that is absent, there, and gone: each is said, with its address', async (t) => {
  const server = await startNats();
  t.after(() => server.stop());
  await server.kill();
  const { log, line, lines } = recordingLog();
  const link = openNatsLink({ servers: server.url, name: 'one', log });
  t.after(() => link.stop());
  const absent = await line('no NATS server; trying again');
  assert.deepEqual([absent.level, absent.fields['servers']], ['warn', server.url]);
  assert.match(String(absent.fields['error']), /CONNECTION_REFUSED|ECONNREFUSED/);
  await server.restart();
  assert.deepEqual((await line('NATS connected')).fields, { servers: server.url });
  await server.kill();
  assert.deepEqual((await line('NATS lost')).fields, { servers: server.url });
  await server.restart();
  const connected = () => lines.filter(({ message }) => message === 'NATS connected').length;
  await waitFor(() => connected() === 2, { what: 'that it is back is said as well' });
});

test('a link that waits for something connects only after it', async (t) => {
  const server = await startNats();
  t.after(() => server.stop());
  const { promise: after, resolve: done } = Promise.withResolvers<void>();
  const waiting = openNatsLink({ servers: server.url, name: 'waiting', log: silentLog, after });
  const other = openNatsLink({ servers: server.url, name: 'other', log: silentLog });
  t.after(() => Promise.all([waiting.stop(), other.stop()]));
  // Made later, and connected: the first had its chance.
  await waitFor(() => other.isConnected, { what: 'the other link is connected' });
  assert.equal(waiting.isConnected, false);
  done();
  await waitFor(() => waiting.isConnected, { what: 'the waiting link is connected' });
});

test('all answers to one question, and none while the link is down', async (t) => {
  const server = await startNats();
  t.after(() => server.stop());
  const links = ['a', 'b', 'c'].map((name) => openNatsLink({ servers: server.url, name, log: silentLog }));
  t.after(() => Promise.all(links.map((link) => link.stop())));
  const [asker, ...answering] = links as [NatsLink, ...NatsLink[]];
  const read = async (ms: number) =>
    (await asker.requestAll('who', hello, ms)).map((data) => new TextDecoder().decode(data)).toSorted();
  assert.deepEqual(await read(10), [], 'not connected yet');
  for (const [i, link] of answering.entries()) link.serve('who', () => Buffer.from(String(i)));
  asker.serve('who', () => undefined);
  await waitFor(() => links.every((link) => link.isConnected), { what: 'connected' });
  for (const link of answering) await link.connection?.flush();
  assert.deepEqual(await read(300), ['0', '1']);
  answering[1]?.connection?.subscribe('many', {
    callback: (_error, { reply = '' }) => {
      for (let i = 0; i < ANSWERS_MAX + 50; i++) answering[1]?.publish(reply, hello);
    },
  });
  await answering[1]?.connection?.flush();
  assert.equal((await asker.requestAll('many', hello, 2_000)).length, ANSWERS_MAX);
});

test('others may be on their way back while the link is down, and for the longest reconnect after that', async (t) => {
  const server = await startNats();
  t.after(() => server.stop());
  const link = openNatsLink({ servers: server.url, name: 'one', log: silentLog });
  t.after(() => link.stop());
  const most = reconnectsWithinMs(1);
  assert.equal(link.othersBackInMs, most);
  await waitFor(() => link.isConnected, { what: 'connected' });
  const atFirst = link.othersBackInMs;
  assert.ok(atFirst > 0 && atFirst <= most, String(atFirst));
  await waitFor(() => link.othersBackInMs === 0, { what: 'all are back' });
  await server.kill();
  await waitFor(() => !link.isConnected, { what: 'the loss noticed' });
  assert.equal(link.othersBackInMs, most);
  // Each server may be dialled in vain first, the address at hand too.
  const two = openNatsLink({ servers: server.url, address: server.host, name: 'two', log: silentLog });
  t.after(() => two.stop());
  assert.equal(two.othersBackInMs, reconnectsWithinMs(2));
});
