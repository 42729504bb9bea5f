/** Events when something ends: the pod, its process, the server. Nothing that was stored is lost. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { podConsumerConfig } from '../../../common/queue/jetstream/events/pod-consumer.ts';
import { nanos } from '../../../common/bus/nats-library.ts';
import { EVENTS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { waitFor } from '../../helpers/wait.ts';
import { App, holding } from '../support/app.ts';
import { startEventWorld, type EventWorld } from '../support/event-world.ts';
import { FN, policy } from '../support/job-world.ts';
import { Recorder } from '../support/recorder.ts';
import type { ConsumerConfig } from '../../../common/queue/jetstream/library.ts';

const recorder = () => new Recorder((_req, res) => res.end()).listen();

describe('events when something ends', () => {
  it('a pod that ends finishes what runs, hands the rest to the queue, and leaves no consumer', async () => {
    await using world = await startEventWorld();
    const { handler, held, releaseAll } = holding();
    await using app = await new App(handler).listen();
    const sidecar = await world.pod(app.port, { 'parallel-per-pod': 1, 'drain-seconds': 20 });
    for (let i = 0; i < 5; i++) await world.send({ path: `/${i}` });
    await waitFor(() => held.length === 1, { what: 'one runs' });
    const stopped = sidecar.stop();
    await waitFor(async () => (await sidecar.admin('/ready')).status === 503, { what: 'it drains' });
    releaseAll();
    await stopped;
    assert.equal(app.count, 1, 'it began no other');
    await waitFor(async () => (await world.depth()) === 4, { what: 'the rest becomes jobs at once' });
    await world.isCleared('fn-1');
    assert.equal(await world.depth(), 4, 'and nothing else');
    await using next = await recorder();
    await world.sidecar(next.port, { 'pod-name': 'fn-2' });
    await waitFor(() => next.requests.length === 4, { what: 'the next pod of the function gets them' });
    assert.deepEqual(
      next.requests.map(({ line }) => line).toSorted(),
      [1, 2, 3, 4].map((i) => `POST /${i}`),
    );
  });

  it('what runs beyond the end, or waits for a next try, is handed over too', async () => {
    await using world = await startEventWorld();
    await using app = await new App((req, res) => {
      if (req.url === '/fails') res.writeHead(500).end();
      if (req.url === '/ends') res.end();
    }).listen();
    const sidecar = await world.pod(app.port, { 'publish-policy': policy([600], 60), 'drain-seconds': 1 });
    await world.send({ path: '/fails' });
    await world.send({ path: '/runs' });
    await world.send({ path: '/runs' });
    await world.send({ path: '/ends' });
    await waitFor(() => app.count === 4, { what: 'all have begun' });
    const retries = () => sidecar.metric('slimfaas_sidecar_events_total', 'outcome="retry"');
    await waitFor(async () => (await retries()) === 1, { what: 'one has failed' });
    const done = () => sidecar.metric('slimfaas_sidecar_events_total', 'outcome="done"');
    await waitFor(async () => (await done()) === 1, { what: 'one is done, behind the others' });
    await sidecar.stop();
    await world.isCleared('fn-1');
    assert.equal(await world.depth(), 3, 'all but the one that is done');
  });

  it('a pod that had none hands over none, whatever the stream holds from before it', async () => {
    await using world = await startEventWorld();
    await using app = await recorder();
    for (let i = 0; i < 3; i++) await world.send({ path: '/before' });
    await makeReader(world, 'fn-1', Date.now() + 1_000); // clocks differ by less than a second here
    const sidecar = await world.pod(app.port);
    await sidecar.stop();
    await world.isCleared('fn-1');
    assert.deepEqual([await world.depth(), app.count], [0, 0]);
  });

  it('a pod that finished none of its own hands over those alone', async () => {
    await using world = await startEventWorld();
    const { handler, held } = holding();
    await using app = await new App(handler).listen();
    for (let i = 0; i < 3; i++) await world.send({ path: '/before' });
    const sinceMs = Date.now() + 100;
    await makeReader(world, 'fn-1', sinceMs);
    const sidecar = await world.pod(app.port, { 'drain-seconds': 1 });
    await waitFor(() => Date.now() > sinceMs + 50, { what: 'its time has begun' });
    await world.send({ path: '/own' });
    await waitFor(() => held.length === 1, { what: 'its own runs' });
    await sidecar.stop();
    await world.isCleared('fn-1');
    assert.deepEqual([await world.depth(), app.arrivals.map(({ url }) => url)], [1, ['/own']]);
  });

  it('a pod that ends before it has its consumer hands over what came since its start', async () => {
    await using world = await startEventWorld();
    await using app = await recorder();
    const sidecar = await world.pod(app.port);
    // As if it had not been made yet; it is looked for again half a minute later.
    await world.jetstream.jsm.consumers.delete(EVENTS_STREAM, 'ns__fn-1');
    await world.send({ path: '/own' });
    await sidecar.stop();
    await world.isCleared('fn-1');
    assert.deepEqual([await world.depth(), app.requests.length], [1, 0]);
  });

  it('of an event that two pods leave behind one job is made', async () => {
    await using world = await startEventWorld();
    const { handler } = holding();
    await using app = await new App(handler).listen();
    const pods = [
      await world.pod(app.port, { 'drain-seconds': 1 }),
      await world.pod(app.port, { 'drain-seconds': 1 }),
    ];
    await world.send();
    await waitFor(() => app.count === 2, { what: 'both run it' });
    await Promise.all(pods.map((pod) => pod.stop()));
    await Promise.all(['fn-1', 'fn-2'].map((pod) => world.isCleared(pod)));
    assert.equal(await world.depth(), 1);
  });

  it('a sidecar that is killed in the middle and comes back gets the event again', async () => {
    await using world = await startEventWorld();
    await using app = await new App((_req, res, nth) => {
      if (nth > 1) res.end();
    }).listen();
    await makeReader(world, 'fn-1');
    const first = await world.pod(app.port, {}, true);
    await world.send({ path: '/again' });
    await waitFor(() => app.count === 1, { what: 'it runs' });
    await first[Symbol.asyncDispose](); // SIGKILL
    await world.pod(app.port, { 'pod-name': 'fn-1' });
    await world.isDone('fn-1');
    assert.deepEqual(
      app.arrivals.map(({ url }) => url),
      ['/again', '/again'],
    );
  });

  it('events that came while a sidecar was away are there when it comes back', async () => {
    await using world = await startEventWorld();
    await using app = await recorder();
    const first = await world.pod(app.port, {}, true);
    await first[Symbol.asyncDispose]();
    await world.send({ path: '/meanwhile' });
    await world.pod(app.port, { 'pod-name': 'fn-1' });
    await world.isDone('fn-1');
    assert.deepEqual(
      app.requests.map(({ line }) => line),
      ['POST /meanwhile'],
    );
  });

  it('a killed nats-server loses no event and repeats none that was run', async () => {
    await using world = await startEventWorld();
    await using app = await recorder();
    await world.pod(app.port);
    for (let i = 0; i < 20; i++) await world.send({ path: `/${i}` });
    await world.isDone('fn-1');
    await world.jetstream.server.restart();
    await waitFor(() => world.jetstream.link.isConnected, { what: 'connected again' });
    const send = () => world.send({ path: '/after' }).catch(() => undefined);
    await waitFor(send, { what: 'JetStream takes events again' });
    await waitFor(() => app.requests.some(({ line }) => line === 'POST /after'), { what: 'it is run' });
    await world.isDone('fn-1');
    const paths = app.requests.map(({ line }) => line).filter((line) => line !== 'POST /after');
    assert.equal(paths.length, 20, paths.join());
  });

  it('what runs while nats-server is killed runs once, although it is delivered again', async () => {
    await using world = await startEventWorld();
    const { handler, held, releaseAll } = holding();
    await using app = await new App(handler).listen();
    await makeReader(world, 'fn-1'); // an ack wait of a second
    await world.pod(app.port, { 'publish-policy': policy([], 60) });
    await world.send({ path: '/runs' });
    await waitFor(() => held.length === 1, { what: 'it runs' });
    await world.jetstream.server.restart();
    const readAgain = async () => ((await world.reader('fn-1'))?.delivered.consumer_seq ?? 0) >= 2;
    await waitFor(readAgain, { what: 'it was delivered again', timeoutMs: 30_000 });
    const send = () => world.send({ path: '/next' }).catch(() => undefined);
    await waitFor(send, { what: 'JetStream takes events again' });
    await waitFor(() => held.length === 2, { what: 'the next one runs', timeoutMs: 30_000 });
    assert.deepEqual(
      app.arrivals.map(({ url }) => url),
      ['/runs', '/next'],
    );
    releaseAll();
    await world.isDone('fn-1');
  });

  it('a consumer that somebody deletes is made again, without the events that were run', async () => {
    await using world = await startEventWorld();
    await using app = await recorder();
    await world.pod(app.port);
    await world.send({ path: '/1' });
    await world.isDone('fn-1');
    await world.jetstream.jsm.consumers.delete(EVENTS_STREAM, 'ns__fn-1');
    await world.jetstream.server.restart(); // a reconnect is when it looks first
    await waitFor(() => world.reader('fn-1'), { what: 'it is there again' });
    await world.send({ path: '/2' });
    await waitFor(() => app.requests.some(({ line }) => line === 'POST /2'), { what: 'the next one is run' });
    await world.isDone('fn-1');
    assert.deepEqual(
      app.requests.map(({ line }) => line),
      ['POST /1', 'POST /2'],
    );
  });
});

/** The production ack wait is 15 s, which a test that kills a pod would wait for. */
async function makeReader({ jetstream }: EventWorld, pod: string, sinceMs = Date.now()): Promise<void> {
  const config = podConsumerConfig({ id: FN, pod, sinceMs }, nanos(600_000));
  const quick = { ...config, ack_wait: nanos(1_000) };
  await jetstream.jsm.consumers.add(EVENTS_STREAM, quick as ConsumerConfig);
}
