/** Jobs and the scaler: streams and consumers are made, jobs wake and hold awake, counts are exported, and no JetStream harms nothing. */
import { jetStreamUpkeep } from '../../../common/queue/jetstream/upkeep.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DEAD_STREAM, JOBS_STREAM, RESULTS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { functionSubject } from '../../../common/bus/subjects.ts';
import { JobKeeper, RateMeter } from '../../../scaler/jobs/job-keeper.ts';
import { jobSettings } from '../../helpers/jetstream.ts';
import { waitFor } from '../../helpers/wait.ts';
import { TestCluster } from '../support/test-cluster.ts';
import type { JetStreamManager } from '../../../common/queue/jetstream/library.ts';
import { consumerName } from '../../../common/queue/jetstream/names.ts';

const FN = { namespace: 'default', name: 'fn' };
const JOB = functionSubject('job', FN);

async function managerOf(cluster: TestCluster): Promise<JetStreamManager> {
  return (await waitFor(() => cluster.link.connection, { what: 'connected' })).jetstreamManager();
}

async function publish(cluster: TestCluster, jobs: number): Promise<void> {
  const js = (await waitFor(() => cluster.link.connection, { what: 'connected' })).jetstream();
  for (let i = 0; i < jobs; i++) await js.publish(JOB, new TextEncoder().encode(`job ${i}`));
}

async function hasConsumer(jsm: JetStreamManager, name: string): Promise<boolean> {
  return jsm.consumers.info(JOBS_STREAM, name).then(
    () => true,
    () => false,
  );
}

test('the leader makes the streams, and one consumer a function, before any job', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn');
  await cluster.fn('strict', { 'slimfaas.dev/ordered': 'true' });
  await cluster.deploy('not-a-function', {});
  await cluster.scaler({ 'max-jobs': 77 });
  const jsm = await managerOf(cluster);
  const ordered = consumerName({ namespace: 'default', name: 'strict' });
  await waitFor(() => hasConsumer(jsm, consumerName(FN)), { what: 'consumer of fn' });
  await waitFor(() => hasConsumer(jsm, ordered), { what: 'consumer of strict' });
  for (const stream of [JOBS_STREAM, DEAD_STREAM, RESULTS_STREAM]) await jsm.streams.info(stream);
  assert.equal((await jsm.streams.info(JOBS_STREAM)).config.max_msgs_per_subject, 77);
  assert.equal((await jsm.consumers.info(JOBS_STREAM, ordered)).config.max_ack_pending, 1);
  const consumers = await jsm.consumers.list(JOBS_STREAM).next();
  assert.equal(consumers.length, 2);
});

test('a consumer or a stream that somebody deleted is there again within seconds', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn');
  await cluster.scaler();
  const jsm = await managerOf(cluster);
  const isThere = () => hasConsumer(jsm, consumerName(FN));
  await waitFor(isThere, { what: 'consumer of fn' });
  await publish(cluster, 1);
  await jsm.consumers.delete(JOBS_STREAM, consumerName(FN));
  await waitFor(isThere, { what: 'its consumer, while it has a job', timeoutMs: 10_000 }); // the look is a minute
  for (const stream of [JOBS_STREAM, RESULTS_STREAM]) {
    await jsm.streams.delete(stream);
    const again = () => jsm.streams.info(stream).then(isThere, () => false);
    await waitFor(again, { what: `${stream} again, with its consumers`, timeoutMs: 20_000 });
  }
});

test('jobs that its pods cannot run, for want of a sidecar, wake no function', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('bare', { 'slimfaas.dev/inject': 'false' });
  await cluster.fn('fn');
  await cluster.scaler();
  const jsm = await managerOf(cluster);
  await waitFor(() => hasConsumer(jsm, consumerName(FN)), { what: 'consumer of fn' });
  const js = jsm.jetstream();
  await js.publish(functionSubject('job', { namespace: 'default', name: 'bare' }), new Uint8Array(1));
  await publish(cluster, 1); // later, and seen by the same look
  await waitFor(() => cluster.replicasOf('fn') >= 1, { what: 'woken by its job' });
  assert.equal(cluster.replicasOf('bare'), 0);
});

test('a job wakes from zero, many size the wake, and any unfinished one holds it awake', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn', {
    'SlimFaas/NumberParallelRequest': '40',
    'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '0',
  });
  const { url } = await cluster.scaler();
  const jsm = await managerOf(cluster);
  await waitFor(() => hasConsumer(jsm, consumerName(FN)), { what: 'consumer of fn' });
  await publish(cluster, 25);
  await waitFor(() => cluster.replicasOf('fn') >= 1, { what: 'woken by jobs' });
  await cluster.hasReplicas('fn', 3);
  const view = async () => (await (await fetch(`${url}/functions/default/fn`)).json()) as { reason: string };
  await waitFor(async () => /25 jobs/.test((await view()).reason), { what: 'held by 25 jobs' });

  const js = cluster.link.connection?.jetstream();
  const consumer = await js?.consumers.get(JOBS_STREAM, consumerName(FN));
  const taken = await consumer?.fetch({ max_messages: 25, expires: 2_000 });
  const pod = await cluster.pod('fn');
  cluster.report('fn', { pod, runningNow: 10, running: 10, limit: 10 });
  const queue = /slimfaas_function_queue_(\w+)_items\{namespace="default",function="fn"\} (\d+)/g;
  const counts = async () => {
    const text = await (await fetch(`${url}/metrics`)).text();
    return Object.fromEntries([...text.matchAll(queue)].map(([, name, value]) => [name, Number(value)]));
  };
  let seen = 0;
  const messages = [];
  for await (const message of taken ?? []) {
    messages.push(message);
    if (++seen === 25) break;
  }
  // Ten run, as the sidecar says; what else was delivered waits for a retry.
  await waitFor(async () => (await counts())['in_flight'] === 10, { what: '10 in flight' });
  assert.deepEqual(await counts(), { ready: 0, in_flight: 10, retry_pending: 15 });
  for (const message of messages) message.ack();
  cluster.report('fn', { pod, limit: 10 });
  await cluster.hasReplicas('fn', 0);
});

test('the consumer of a deleted function goes when its jobs are done, also if nobody led at the time', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn');
  await cluster.fn('stays');
  const first = await cluster.scaler();
  const jsm = await managerOf(cluster);
  await waitFor(() => hasConsumer(jsm, consumerName(FN)), { what: 'consumer of fn' });
  await publish(cluster, 1);
  await first.scaler.stop();
  await cluster.api.api.delete('deployments', 'default', 'fn');
  await cluster.scaler();
  const stays = consumerName({ namespace: 'default', name: 'stays' });
  await waitFor(() => hasConsumer(jsm, stays), { what: 'consumer of the function that stays' });
  assert.equal(await hasConsumer(jsm, consumerName(FN)), true, 'a job is left');
  await jsm.streams.purge(JOBS_STREAM, { filter: JOB });
  await waitFor(async () => !(await hasConsumer(jsm, consumerName(FN))), { what: 'consumer removed' });
  assert.equal(await hasConsumer(jsm, stays), true);
});

test('streams and consumers come back after NATS lost everything', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn');
  await cluster.scaler();
  const jsm = await managerOf(cluster);
  await waitFor(() => hasConsumer(jsm, consumerName(FN)), { what: 'consumer of fn' });
  await jsm.streams.delete(JOBS_STREAM);
  await waitFor(() => hasConsumer(jsm, consumerName(FN)), { what: 'consumer again', timeoutMs: 20_000 });
});

test('without JetStream the keeper tries again now and then, warns once, and has no jobs to tell of', async () => {
  let nowMs = 0;
  let tries = 0;
  const warnings: unknown[] = [];
  const connection = {
    jetstreamManager() {
      tries++;
      return Promise.reject(new Error('503'));
    },
  };
  const keeper = new JobKeeper({
    queue: jetStreamUpkeep({ connection: connection as never }),
    settings: jobSettings,
    isLeader: () => true,
    functions: () => [],
    isOurs: () => true,
    now: () => nowMs,
    log: {
      ...silentLog,
      info: () => {},
      debug: () => {},
      error: () => {},
      warn: (line: unknown) => warnings.push(line),
    },
  });
  keeper.onChange(() => assert.fail('nothing can have changed'));
  for (; nowMs < 20_000; nowMs += 1_000) await keeper.tick();
  assert.equal(tries, 4, 'every 5 s');
  assert.equal(warnings.length, 1);
  assert.equal(keeper.isFresh, false);
  assert.equal(keeper.depthOf('default/fn'), undefined);
});

test('depths and rates are measures for 10 s; a consumer that somebody removed costs the others nothing', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  let nowMs = 1_000_000;
  const errors: unknown[] = [];
  const named = (name: string) => ({ namespace: 'default', name });
  const keeper = new JobKeeper({
    queue: jetStreamUpkeep(cluster.link),
    settings: jobSettings,
    isLeader: () => true,
    functions: () => ['a', 'b'].map((name) => ({ id: named(name), isOrdered: false, wantsRate: true })),
    isOurs: () => true,
    now: () => nowMs,
    log: { ...silentLog, warn: (line: unknown) => void errors.push(line) },
  });
  const pass = async () => {
    nowMs += 1_000;
    await keeper.tick();
  };
  assert.equal(keeper.isFresh, false);
  await pass();
  await pass();
  assert.deepEqual([keeper.isFresh, keeper.rateOf('default/a'), keeper.rateOf('default/b')], [true, 0, 0]);
  const jsm = await managerOf(cluster);
  await jsm.consumers.delete(JOBS_STREAM, consumerName(named('a')));
  await pass();
  assert.deepEqual([keeper.rateOf('default/a'), keeper.rateOf('default/b')], [undefined, 0]);
  assert.deepEqual(errors, [], 'the round went on');
  await pass();
  assert.ok(await hasConsumer(jsm, consumerName(named('a'))), 'and it is made again');
  nowMs += 11_000;
  assert.deepEqual([keeper.isFresh, keeper.rateOf('default/b')], [false, undefined]);
  await pass();
  assert.equal(keeper.isFresh, true);
  keeper.startAnew();
  assert.equal(keeper.isFresh, false, 'a new term begins without the last one’s');
});

test('a follower asks JetStream nothing', async () => {
  const keeper = new JobKeeper({
    queue: jetStreamUpkeep({ connection: { jetstreamManager: () => assert.fail('asked') } as never }),
    settings: jobSettings,
    isLeader: () => false,
    functions: () => [],
    isOurs: () => true,
    now: () => 0,
    log: silentLog,
  });
  await keeper.tick();
});

test('a rate needs two readings, and begins again where the count falls', () => {
  const meter = new RateMeter();
  meter.read(100, 0);
  assert.equal(meter.perSecond, undefined);
  meter.read(150, 2_000);
  assert.equal(meter.perSecond, 25);
  meter.read(3, 3_000);
  assert.equal(meter.perSecond, undefined, 'a new consumer');
  meter.read(5, 4_000);
  assert.equal(meter.perSecond, 2);
});
