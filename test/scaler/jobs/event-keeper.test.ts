/** Events of pods that are no more are moved to their function's queue; those of living pods are left alone. */
import { jetStreamUpkeep } from '../../../common/queue/jetstream/upkeep.ts';
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { podConsumerConfig } from '../../../common/queue/jetstream/events/pod-consumer.ts';
import { EVENTS_STREAM, JOBS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import type { NatsConnection } from '../../../common/bus/nats.ts';
import { nanos } from '../../../common/bus/nats-library.ts';
import { eventSubject, functionSubject } from '../../../common/bus/subjects.ts';
import { EventKeeper, type EventKeeperOptions, type PodState } from '../../../scaler/jobs/event-keeper.ts';
import { jobSettings, startJetStream } from '../../helpers/jetstream.ts';
import { waitFor } from '../../helpers/wait.ts';
import { TestCluster } from '../support/test-cluster.ts';
import type { ConsumerConfig, JetStreamManager } from '../../../common/queue/jetstream/library.ts';
import { eventConsumerName } from '../../../common/queue/jetstream/names.ts';

const FN = { namespace: 'default', name: 'fn' };

async function addReader(jsm: JetStreamManager, pod: string): Promise<void> {
  const config = podConsumerConfig({ id: FN, pod, sinceMs: Date.now() - 60_000 }, nanos(600_000));
  // What a dead pod had running is free again after this, which is 15 s in production.
  await jsm.consumers.add(EVENTS_STREAM, { ...config, ack_wait: nanos(500) } as ConsumerConfig);
}

async function readers(jsm: JetStreamManager): Promise<string[]> {
  const names: string[] = [];
  for await (const { name } of jsm.consumers.list(EVENTS_STREAM)) names.push(name);
  return names;
}

async function publish(connection: NatsConnection, events: number): Promise<void> {
  for (let i = 0; i < events; i++)
    await connection.jetstream().publish(eventSubject(FN, 'paid'), new TextEncoder().encode(`event ${i}`));
}

async function queued(jsm: JetStreamManager): Promise<number> {
  const { state } = await jsm.streams.info(JOBS_STREAM, { subjects_filter: functionSubject('job', FN) });
  return state.messages;
}

/** A tick of a keeper whose clock has gone on: by default by what lies between two looks. */
function keeperOf(
  options: Pick<EventKeeperOptions, 'queue' | 'podState'>,
  isLeader = true,
): (afterMs?: number) => Promise<void> {
  let nowMs = 0;
  const readers = { hasLeft: () => false, keepOnly: () => undefined };
  const base = { isLeader: () => isLeader, now: () => nowMs, log: silentLog };
  const keeper = new EventKeeper({ ...options, ...base, readers });
  return (afterMs = 5_000) => {
    nowMs += afterMs;
    return keeper.tick();
  };
}

test('what a pod has not acknowledged is moved, once however many pods leave it, and its consumer goes', async () => {
  await using t = await startJetStream();
  const { link, jsm } = t;
  const connection = link.connection as NatsConnection;
  const states: Record<string, PodState> = {
    a: 'there',
    'b.0': 'gone',
    c: 'gone',
    d: 'unknown',
    e: 'ending',
  };
  for (const pod of Object.keys(states)) await addReader(jsm, pod);
  await publish(connection, 5);
  const dead = await connection.jetstream().consumers.get(EVENTS_STREAM, eventConsumerName('default', 'b.0'));
  const taken = await dead.fetch({ max_messages: 3, expires: 1_000 });
  let nth = 0;
  for await (const message of taken) if (++nth === 2) await message.ackAck(); // it died running two others
  const look = keeperOf({
    queue: jetStreamUpkeep(link),
    podState: (id, pod) => (id.name === FN.name ? (states[pod] ?? 'unknown') : 'unknown'),
  });
  await look(0);
  await look();
  assert.equal((await readers(jsm)).length, 5, 'one look is not enough');
  await waitFor(
    async () => {
      await look();
      return (await readers(jsm)).length === 3;
    },
    { what: 'the consumers of pods that are gone are removed', intervalMs: 300 },
  );
  assert.deepEqual((await readers(jsm)).toSorted(), ['default__a', 'default__d', 'default__e']);
  assert.equal(await queued(jsm), 5, 'the four of b.0 are among the five of c, and each is one job');
  await look(305_000);
  await waitFor(
    async () => {
      await look(); // a round that JetStream answered in part is followed by another
      return (await readers(jsm)).length === 2;
    },
    { what: 'one that ends for ever goes too', intervalMs: 300 },
  );
});

test('what b.0 had acknowledged is not moved', async () => {
  await using t = await startJetStream();
  const { link, jsm } = t;
  const connection = link.connection as NatsConnection;
  await addReader(jsm, 'b');
  await publish(connection, 3);
  const dead = await connection.jetstream().consumers.get(EVENTS_STREAM, eventConsumerName('default', 'b'));
  for await (const message of await dead.fetch({ max_messages: 2, expires: 1_000 })) await message.ackAck();
  const look = keeperOf({ queue: jetStreamUpkeep(link), podState: () => 'gone' });
  await waitFor(
    async () => {
      await look();
      return (await readers(jsm)).length === 0;
    },
    { what: 'the consumer is removed', intervalMs: 200 },
  );
  assert.equal(await queued(jsm), 1);
});

test('a function whose queue is full holds up no other', async () => {
  await using t = await startJetStream({ ...jobSettings, maxJobsPerFunction: 1 });
  const { link, jsm } = t;
  const connection = link.connection as NatsConnection;
  const other = { namespace: 'default', name: 'other' };
  const js = connection.jetstream();
  await js.publish(functionSubject('job', FN), new TextEncoder().encode('the one that it may have'));
  for (const [id, pod] of [
    [FN, 'a'],
    [other, 'b'],
  ] as const) {
    const config = podConsumerConfig({ id, pod, sinceMs: Date.now() - 60_000 }, nanos(600_000));
    await jsm.consumers.add(EVENTS_STREAM, config as ConsumerConfig);
    await js.publish(eventSubject(id, 'paid'), new TextEncoder().encode('event'));
  }
  const look = keeperOf({ queue: jetStreamUpkeep(link), podState: () => 'gone' });
  for (let round = 0; round < 3; round++) await look();
  assert.deepEqual(await readers(jsm), [eventConsumerName('default', 'a')]);
  const { state } = await jsm.streams.info(JOBS_STREAM, { subjects_filter: functionSubject('job', other) });
  assert.deepEqual(state.subjects, { [functionSubject('job', other)]: 1 });
});

test('a follower moves nothing', async () => {
  await using t = await startJetStream();
  await addReader(t.jsm, 'b');
  const look = keeperOf({ queue: jetStreamUpkeep(t.link), podState: () => 'gone' }, false);
  for (let i = 0; i < 3; i++) await look();
  assert.equal((await readers(t.jsm)).length, 1);
});

test('in a scaler: the pod is deleted, its event becomes a job, and that wakes its function', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn', { 'SlimFaas/SubscribeEvents': 'paid' });
  await cluster.scaler();
  const connection = await waitFor(() => cluster.link.connection, { what: 'connected' });
  const jsm = await connection.jetstreamManager();
  await waitFor(() => jsm.streams.info(EVENTS_STREAM).catch(() => undefined), { what: 'the stream is made' });
  const pod = await cluster.pod('fn');
  await addReader(jsm, pod);
  await publish(connection, 1);
  await cluster.api.api.delete('pods', 'default', pod);
  await waitFor(async () => (await readers(jsm)).length === 0, {
    what: 'its consumer goes',
    timeoutMs: 60_000,
  });
  assert.equal(await queued(jsm), 1);
  await cluster.hasReplicas('fn', 1);
});
