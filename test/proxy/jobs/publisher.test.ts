/** Behaviour 26 and its neighbours: what an accepted and a refused publish are worth. */
import { jetStreamQueue } from '../../../common/queue/jetstream/link.ts';
import assert from 'node:assert/strict';
import { createServer, createConnection, type Server, type Socket } from 'node:net';
import type { AddressInfo } from 'node:net';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { ReasonError } from '../../../common/runtime/errors.ts';
import { JOBS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { openNatsLink } from '../../../common/bus/nats.ts';
import { publishJob, UnsettledError } from '../../../proxy/jobs/accepting/publisher.ts';
import { Settler } from '../../../proxy/jobs/accepting/settler.ts';
import { jobSettings, startJetStream } from '../../helpers/jetstream.ts';
import { startNats, type TestNats } from '../../helpers/nats.ts';
import { waitFor } from '../../helpers/wait.ts';

const id = { namespace: 'shop', name: 'cart' };
const payload = Buffer.from('a job');

/** A link with its settler, both ended with the test. */
async function open(t: TestContext, url: string) {
  const nats = openNatsLink({ servers: url, name: 'proxy', log: silentLog });
  const queue = jetStreamQueue(nats);
  const settler = new Settler(queue, silentLog);
  t.after(async () => {
    await settler.stop();
    await nats.stop();
  });
  await waitFor(() => nats.isConnected, { what: 'connected' });
  return { nats, queue, settler, ackTimeoutMs: 1_500 };
}

const isReason = (code: string) => (error: unknown) => error instanceof ReasonError && error.code === code;

test('a job is accepted with its place; the same message id is the same job', async (t) => {
  await using js = await startJetStream();
  const options = await open(t, js.server.url);
  const first = await publishJob({ id, payload, messageId: 'one' }, options);
  const again = await publishJob({ id, payload, messageId: 'one' }, options);
  const other = await publishJob({ id, payload, messageId: 'two' }, options);
  assert.deepEqual(first, { kind: 'accepted', sequence: 1, isDuplicate: false });
  assert.deepEqual(again, { kind: 'accepted', sequence: 1, isDuplicate: true });
  assert.equal(other.sequence, 2);
});

test('the bound of a function answers queue-full, a full stream queue-unavailable', async (t) => {
  await using js = await startJetStream({ ...jobSettings, maxJobsPerFunction: 2, maxBytes: 100_000 });
  const options = await open(t, js.server.url);
  await publishJob({ id, payload, messageId: '1' }, options);
  await publishJob({ id, payload, messageId: '2' }, options);
  await assert.rejects(publishJob({ id, payload, messageId: '3' }, options), isReason('queue-full'));
  const other = { namespace: 'shop', name: 'other' };
  const large = Buffer.alloc(100_000);
  await assert.rejects(
    publishJob({ id: other, payload: large, messageId: '4' }, options),
    isReason('queue-unavailable'),
  );
});

test('no JetStream stream: queue-unavailable at once', async (t) => {
  const server = await startNats();
  t.after(() => server.stop());
  const options = await open(t, server.url);
  await assert.rejects(publishJob({ id, payload, messageId: '1' }, options), isReason('queue-unavailable'));
  assert.equal(options.settler.pending, 0, 'nothing was sent to anyone');
});

test('behaviour 26: NATS is down; a post is refused and no job appears when it is back', async (t) => {
  await using js = await startJetStream();
  const options = await open(t, js.server.url);
  await js.server.kill();
  await waitFor(() => !options.nats.isConnected, { what: 'the loss noticed' });
  await assert.rejects(publishJob({ id, payload, messageId: '1' }, options), isReason('queue-unavailable'));
  await js.server.restart();
  await waitFor(() => options.nats.isConnected && options.settler.pending === 0, {
    what: 'back',
    timeoutMs: 15_000,
  });
  const jsm = await options.nats.connection?.jetstreamManager();
  assert.equal((await jsm?.streams.info(JOBS_STREAM))?.state.messages, 0);
});

test('a publish is stored and its ack is lost: refused to the caller, and deleted once that can be known', async (t) => {
  await using js = await startJetStream();
  const gate = await startGate(t, js.server);
  const options = await open(t, gate.url);
  gate.swallowAnswers = true;
  await assert.rejects(publishJob({ id, payload, messageId: '1' }, options), isReason('queue-unavailable'));
  assert.equal((await js.jsm.streams.info(JOBS_STREAM)).state.messages, 1, 'JetStream did store it');
  gate.swallowAnswers = false;
  gate.cut(); // else the client notices only by its own pings, 10 s later
  await waitFor(async () => (await js.jsm.streams.info(JOBS_STREAM)).state.messages === 0, {
    what: 'the job deleted',
    timeoutMs: 20_000,
  });
  await waitFor(() => options.settler.pending === 0, { what: 'nothing left to settle' });
});

test('an unanswered publish under an id that others share is never undone: one of them may have been told 201', async (t) => {
  await using js = await startJetStream();
  const gate = await startGate(t, js.server);
  const options = await open(t, gate.url);
  const other = await open(t, js.server.url);
  const job = { id, payload, messageId: 'key', isShared: true };
  gate.swallowAnswers = true;
  await assert.rejects(publishJob(job, options), UnsettledError);
  assert.partialDeepStrictEqual(await publishJob(job, other), { sequence: 1, isDuplicate: true });
  gate.swallowAnswers = false;
  gate.cut();
  const again = await waitFor(() => publishJob(job, options), { what: 'accepted', timeoutMs: 20_000 });
  assert.partialDeepStrictEqual(again, { sequence: 1, isDuplicate: true });
  assert.equal(options.settler.pending, 0);
  assert.equal((await js.jsm.streams.info(JOBS_STREAM)).state.messages, 1);
});

test('the ack comes back within the time: the caller gets the place of the first publish', async (t) => {
  await using js = await startJetStream();
  const gate = await startGate(t, js.server);
  const options = { ...(await open(t, gate.url)), ackTimeoutMs: 20_000 };
  gate.swallowAnswers = true;
  const publishing = publishJob({ id, payload, messageId: '1' }, options);
  await waitFor(async () => (await js.jsm.streams.info(JOBS_STREAM)).state.messages === 1, {
    what: 'stored',
  });
  gate.cut(); // the swallowed bytes are lost for good, so the client must come again
  gate.swallowAnswers = false;
  assert.partialDeepStrictEqual(await publishing, { sequence: 1, isDuplicate: true });
  assert.equal((await js.jsm.streams.info(JOBS_STREAM)).state.messages, 1);
});

interface Gate {
  readonly url: string;
  /** While true, what the server says is thrown away; what the client says goes through. */
  swallowAnswers: boolean;
  cut(): void;
}

/** A TCP hop before nats-server that can lose answers, as a broken network does. */
async function startGate(t: TestContext, { host, port }: TestNats): Promise<Gate> {
  const sockets = new Set<Socket>();
  const server: Server = createServer((client) => {
    const upstream = createConnection({ host, port });
    for (const socket of [client, upstream]) {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => (client.destroy(), upstream.destroy(), sockets.delete(socket)));
    }
    client.pipe(upstream);
    let isBroken = false;
    upstream.on('data', (data) => {
      // Once a byte is lost the stream is no protocol any more: this connection is done.
      isBroken ||= gate.swallowAnswers;
      if (!isBroken) client.write(data);
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const cut = () => sockets.forEach((socket) => socket.destroy());
  t.after(() => (server.close(), cut()));
  const gate: Gate = {
    url: `nats://127.0.0.1:${(server.address() as AddressInfo).port}`,
    swallowAnswers: false,
    cut,
  };
  return gate;
}
