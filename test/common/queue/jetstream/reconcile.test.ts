/** Streams and consumers as their one owner keeps them, against a real server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeJob } from '../../../../common/queue/job.ts';
import {
  BODIES_STREAM,
  CALLBACKS_CONSUMER,
  CALLBACKS_STREAM,
  DEAD_STREAM,
  EVENTS_STREAM,
  JOBS_STREAM,
  RESULTS_STREAM,
} from '../../../../common/queue/jetstream/streams.ts';
import { silentLog } from '../../../../common/runtime/log.ts';
import { NatsError, nanos } from '../../../../common/bus/nats-library.ts';
import { functionSubject } from '../../../../common/bus/subjects.ts';
import { readJobDepths } from '../../../../common/queue/jetstream/depth.ts';
import {
  reconcileConsumer,
  reconcileStreams,
  removeConsumer,
} from '../../../../common/queue/jetstream/reconcile.ts';
import { bytesOfSize, VOLUME_SHARES } from '../../../../common/queue/volume.ts';
import { jobSettings, startJetStream, type TestJetStream } from '../../../helpers/jetstream.ts';
import { consumerName } from '../../../../common/queue/jetstream/names.ts';

const cart = { namespace: 'shop', name: 'cart.v2' };
const fn = { id: cart, isOrdered: false };
const job = encodeJob(
  { secret: 'ab'.repeat(16), method: 'GET', path: '/', headers: [], acceptedAtMs: 1 },
  Buffer.alloc(0),
);

test('all streams are made, twice without harm, and a changed setting updates what exists', async () => {
  await using nats = await startJetStream(null);
  await reconcileStreams(nats.jsm, jobSettings, silentLog);
  await reconcileStreams(nats.jsm, jobSettings, silentLog);
  const names: string[] = [];
  for await (const name of nats.jsm.streams.names()) names.push(name);
  const all = [BODIES_STREAM, CALLBACKS_STREAM, DEAD_STREAM, EVENTS_STREAM, JOBS_STREAM, RESULTS_STREAM];
  assert.deepEqual(names.toSorted(), all.toSorted());
  await nats.jsm.consumers.info(CALLBACKS_STREAM, CALLBACKS_CONSUMER);

  await nats.js.publish(functionSubject('job', cart), job);
  await reconcileStreams(
    nats.jsm,
    {
      ...jobSettings,
      maxJobsPerFunction: 7,
      duplicateWindowMs: 60_000,
      eventTtlMs: 30_000,
      eventMaxBytes: 9_000,
    },
    silentLog,
  );
  const { config, state } = await nats.jsm.streams.info(JOBS_STREAM);
  assert.equal(config.max_msgs_per_subject, 7);
  assert.equal(config.duplicate_window, nanos(60_000));
  assert.equal(state.messages, 1, 'jobs stay');
  const events = (await nats.jsm.streams.info(EVENTS_STREAM)).config;
  assert.deepEqual([events.max_age, events.max_bytes], [nanos(30_000), 9_000]);
  assert.equal(events.duplicate_window, nanos(30_000), 'no longer than they live');
});

test('a change that JetStream refuses leaves the stream in use', async () => {
  await using nats = await startJetStream();
  await reconcileStreams(nats.jsm, { ...jobSettings, storage: 'memory' }, silentLog);
  const { config } = await nats.jsm.streams.info(JOBS_STREAM);
  assert.equal(config.storage, 'file');
});

test('the bound of one function is its own: its next job is refused, another function accepts', async () => {
  await using nats = await startJetStream({ ...jobSettings, maxJobsPerFunction: 2 });
  const subject = functionSubject('job', cart);
  await nats.js.publish(subject, job);
  await nats.js.publish(subject, job);
  await assert.rejects(nats.js.publish(subject, job), NatsError);
  await nats.js.publish(functionSubject('job', { namespace: 'shop', name: 'other' }), job);
});

test('one function’s dead letters and results on their way leave room for the others', async () => {
  await using nats = await startJetStream({ ...jobSettings, maxJobsPerFunction: 2 });
  const other = { namespace: 'shop', name: 'other' };
  for (let i = 0; i < 3; i++) await nats.js.publish(functionSubject('dead', cart), `letter ${i}`);
  const { state } = await nats.jsm.streams.info(DEAD_STREAM);
  assert.deepEqual([state.messages, state.first_seq], [2, 2], 'the last ones are kept');
  const { config } = await nats.jsm.streams.info(CALLBACKS_STREAM);
  const most = config.max_msgs_per_subject;
  await Promise.all(
    Array.from({ length: most }, () => nats.js.publish(functionSubject('callback', cart), 'x')),
  );
  await assert.rejects(nats.js.publish(functionSubject('callback', cart), 'x'), NatsError);
  await nats.js.publish(functionSubject('callback', other), 'x');
});

test('a consumer is made once, follows its settings, and goes only after its jobs', async () => {
  await using nats = await startJetStream();
  await reconcileConsumer(nats.jsm, fn, jobSettings);
  await reconcileConsumer(nats.jsm, fn, jobSettings);
  await reconcileConsumer(nats.jsm, { ...fn, isOrdered: true }, jobSettings);
  const { config } = await nats.jsm.consumers.info(JOBS_STREAM, consumerName(cart));
  assert.equal(config.max_ack_pending, 1);

  await nats.js.publish(functionSubject('job', cart), job);
  assert.equal(await removeConsumer(nats.jsm, cart), false, 'a job is left');
  const consumer = await nats.js.consumers.get(JOBS_STREAM, consumerName(cart));
  const message = await consumer.next();
  assert.equal(await removeConsumer(nats.jsm, cart), false, 'a job is running');
  await message?.ackAck();
  assert.equal(await removeConsumer(nats.jsm, cart), true);
  assert.equal(await removeConsumer(nats.jsm, cart), true, 'twice is harmless');
});

test('depths count what is ready and what was delivered, a function each', async () => {
  await using nats = await startJetStream();
  await reconcileConsumer(nats.jsm, fn, jobSettings);
  const other = { namespace: 'shop', name: 'other' };
  for (let i = 0; i < 3; i++) await nats.js.publish(functionSubject('job', cart), job);
  await nats.js.publish(functionSubject('job', other), job);
  const consumer = await nats.js.consumers.get(JOBS_STREAM, consumerName(cart));
  const running = await consumer.next();

  const depths = await readJobDepths(nats.jsm);
  assert.deepEqual([...depths.keys()].toSorted(), ['shop/cart.v2', 'shop/other']);
  assert.partialDeepStrictEqual(depths.get('shop/cart.v2'), { id: cart, total: 3, ready: 2, delivered: 1 });
  assert.partialDeepStrictEqual(
    depths.get('shop/other'),
    { total: 1, ready: 1, delivered: 0 },
    'without a consumer',
  );
  running?.nak(60_000);
  await nats.link.connection?.flush();
  assert.equal(
    (await readJobDepths(nats.jsm)).get('shop/cart.v2')?.delivered,
    1,
    'a job that waits for its retry',
  );
});

test('each stream gets its share of the volume; a smaller server gives smaller ones, and none at last', async () => {
  const boundsIn = async (nats: TestJetStream) => {
    const bounds: Record<string, number> = {};
    for await (const { config } of nats.jsm.streams.list()) bounds[config.name] = config.max_bytes;
    return bounds;
  };
  const MIB = 1024 * 1024;
  for (const [maxFileStoreBytes, expected] of [
    [1_000 * MIB, 250 * MIB],
    // After 200 for the jobs, 50 for dead letters and 80 for results, half of a quarter fits.
    [500 * MIB, 125 * MIB],
    [10 * MIB, -1],
  ] as const) {
    await using nats = await startJetStream(null, { maxFileStoreBytes });
    const settings = { ...jobSettings, volumeBytes: 1_000 * MIB };
    await reconcileStreams(nats.jsm, settings, silentLog);
    const bounds = await boundsIn(nats);
    assert.equal(bounds[BODIES_STREAM], expected);
    const sum = Object.values(bounds).reduce((all, bound) => all + Math.max(0, bound), 0);
    assert.ok(sum <= maxFileStoreBytes, String(sum));
    await reconcileStreams(nats.jsm, settings, silentLog);
    assert.deepEqual(await boundsIn(nats), bounds, 'and stays');
  }
});

test('a bound that comes later drops nothing: it follows what is there, down to the share', async () => {
  await using nats = await startJetStream();
  for (let i = 0; i < 20; i++) await nats.js.publish(functionSubject('job', cart), Buffer.alloc(200_000));
  const settings = { ...jobSettings, volumeBytes: 10_000_000 };
  await reconcileStreams(nats.jsm, settings, silentLog);
  const full = await nats.jsm.streams.info(JOBS_STREAM);
  assert.deepEqual([full.state.messages, full.config.max_bytes], [20, full.state.bytes]);
  await nats.jsm.streams.purge(JOBS_STREAM);
  await reconcileStreams(nats.jsm, settings, silentLog);
  assert.equal((await nats.jsm.streams.info(JOBS_STREAM)).config.max_bytes, 2_000_000);
});

test('the shares of the streams are less than what JetStream takes of a volume by itself', () => {
  const sum = Object.values(VOLUME_SHARES).reduce((all, share) => all + share, 0);
  assert.ok(sum < 0.69, String(sum));
  assert.deepEqual(
    ['10Gi', '1.5G', '512Mi', '7', '1.073741824e+10', '.5Gi', '1E', '1Ei'].map((text) => bytesOfSize(text)),
    [10 * 2 ** 30, 1.5e9, 512 * 2 ** 20, 7, 10 * 2 ** 30, 2 ** 29, 1e18, 2 ** 60],
  );
  for (const text of ['10gi', '-1', '', 'Gi', '1e2k', '1..5G', '8Ei', '1e999'])
    assert.equal(bytesOfSize(text), undefined, text);
});
