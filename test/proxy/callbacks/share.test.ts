/** What one function's undelivered results may take of their store. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { NatsError } from '../../../common/bus/nats-library.ts';
import { functionSubject } from '../../../common/bus/subjects.ts';
import { encodeCallback } from '../../../common/queue/callback.ts';
import { jetStreamQueue } from '../../../common/queue/jetstream/link.ts';
import { callbacksConsumerConfig, CALLBACKS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import type { Queue } from '../../../common/queue/queue.ts';
import type { CallbackRoom } from '../../../common/queue/room.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { UrlAllow } from '../../../common/outbound/allow.ts';
import { CallbackDeliverer } from '../../../proxy/callbacks/deliverer.ts';
import { CallbackShare } from '../../../proxy/callbacks/callback-share.ts';
import { jobSettings, startJetStream } from '../../helpers/jetstream.ts';
import { waitFor } from '../../helpers/wait.ts';
import { APP_HOST } from '../../sidecar/support/app.ts';
import { Recorder } from '../../sidecar/support/recorder.ts';

const GREEDY = { namespace: 'default', name: 'greedy' };
const OTHER = { namespace: 'default', name: 'other' };

function resultFor(port: number, bytes: number): Uint8Array {
  const result = { status: 200, headers: [], body: 'A'.repeat(bytes), bodyTruncated: false };
  const state = { state: 'done', secret: 'ab'.repeat(16), acceptedAtMs: 1, tries: [], result } as const;
  const elementId = `${state.secret}1`;
  return encodeCallback({ url: `http://${APP_HOST}:${port}/`, elementId, endedAtMs: Date.now(), state });
}

test('results of one function that nobody takes leave room for those of others, which are delivered', async () => {
  // Of it 800 KB are for results on their way.
  const settings = { ...jobSettings, volumeBytes: 40_000_000 };
  await using nats = await startJetStream(settings, { maxFileStoreBytes: 60_000_000 });
  await nats.jsm.consumers.add(CALLBACKS_STREAM, callbacksConsumerConfig());
  await using receiver = await new Recorder((_req, res) => res.end()).listen();
  await using failing = await new Recorder((_req, res) => void res.writeHead(500).end()).listen();
  const dead = resultFor(failing.port, 60_000);
  const offer = (of: typeof GREEDY, payload: Uint8Array) =>
    nats.js.publish(functionSubject('callback', of), payload);
  let stored = 0;
  const isStored = (of: typeof GREEDY, payload: Uint8Array) =>
    offer(of, payload).then(
      () => true,
      () => false,
    );
  while (await isStored(GREEDY, dead)) stored += 1;
  const other = resultFor(receiver.port, 60_000);
  await assert.rejects(offer(OTHER, other), NatsError);
  const ends: string[] = [];
  const deliverer = new CallbackDeliverer({
    queue: jetStreamQueue(nats.link),
    allow: new UrlAllow([APP_HOST]),
    resolve: async () => [],
    timeoutMs: 2_000,
    ended: (how) => ends.push(how),
    now: () => Date.now() + 60_000,
    log: silentLog,
  });
  try {
    await waitFor(() => isStored(OTHER, other), { what: 'another finds room' });
    await waitFor(() => receiver.requests.length === 1, { what: 'its result is delivered' });
    const left = (await nats.jsm.streams.info(CALLBACKS_STREAM)).state.messages;
    assert.ok(left >= stored / 2, `${left} of ${stored} stay, to be tried again`);
    assert.equal(ends.filter((end) => end === 'given-up').length, stored - left);
  } finally {
    await deliverer.stop();
  }
});

function shareOf(room: Omit<CallbackRoom, 'results'> & { results: Record<string, number> }) {
  let nowMs = 0;
  let reads = 0;
  const live = {
    callbackRoom: async () => {
      reads += 1;
      return { ...room, results: new Map(Object.entries(room.results)) };
    },
  } as unknown as Queue;
  const share = new CallbackShare({ queue: { live }, now: () => nowMs });
  return {
    share,
    pass: (ms: number) => (nowMs += ms),
    get reads() {
      return reads;
    },
  };
}

/** How many results of that size are given up in a row. */
async function givenUp(share: CallbackShare, id: typeof GREEDY, bytes: number): Promise<number> {
  const asked = await Promise.all(Array.from({ length: 200 }, () => share.givesUp(id, bytes)));
  return asked.filter(Boolean).length;
}

test('a function may hold three times what is free, by the size of the result at hand', async () => {
  const { share } = shareOf({
    all: { results: 100, bytes: 80_000 },
    bounds: { results: 1_000, bytes: 100_000 },
    results: { 'default/greedy': 90, 'default/other': 10 },
  });
  assert.equal(await givenUp(share, GREEDY, 600), 0);
  assert.equal(await givenUp(share, OTHER, 1_000), 0);
  assert.equal(await givenUp(share, GREEDY, 1_000), 5, '75,000 bytes are left, and 25,000 free');
});

test('and by their number, however small they are', async () => {
  const { share } = shareOf({
    all: { results: 990, bytes: 9_900 },
    bounds: { results: 1_000, bytes: undefined },
    results: { 'default/greedy': 100 },
  });
  assert.equal(await givenUp(share, GREEDY, 10), 18, '82 are left, and 28 free');
  assert.equal(await givenUp(share, OTHER, 10), 0);
});

test('many results are one reading every two seconds', async () => {
  const world = shareOf({
    all: { results: 1, bytes: 1 },
    bounds: { results: undefined, bytes: undefined },
    results: { 'default/greedy': 1 },
  });
  for (let i = 0; i < 10; i++) assert.equal(await world.share.givesUp(GREEDY, 1_000), false);
  assert.equal(world.reads, 1);
  world.pass(2_000);
  await Promise.all(Array.from({ length: 10 }, () => world.share.givesUp(GREEDY, 1)));
  assert.equal(world.reads, 2);
});

test('a function that holds little loses nothing, also where others have left no room', async () => {
  const room = { all: { results: 1_000, bytes: 50_000_000 }, bounds: { results: 1_000, bytes: 50_000_000 } };
  const { share } = shareOf({ ...room, results: { 'default/greedy': 991, 'default/other': 9 } });
  assert.equal(await givenUp(share, OTHER, 1_000), 0);
  assert.ok((await givenUp(share, GREEDY, 50_000)) > 0);
  const { share: bytes } = shareOf({ ...room, results: { 'default/greedy': 991, 'default/other': 9 } });
  assert.ok((await givenUp(bytes, OTHER, 200_000)) > 0, 'more than 1 MiB');
  const { share: many } = shareOf({ ...room, results: { 'default/greedy': 990, 'default/other': 10 } });
  assert.ok((await givenUp(many, OTHER, 1_000)) > 0, 'a hundredth of all results');
});
