/** What becomes of jobs when a pod, its app or NATS goes away under them. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeState } from '../../../common/queue/state.ts';
import { readDeadHistory } from '../../../common/queue/jetstream/dead-letter.ts';
import { JOBS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { functionSubject, resultSubject } from '../../../common/bus/subjects.ts';
import { waitFor } from '../../helpers/wait.ts';
import { App, holding } from '../support/app.ts';
import { FN, policy, startJobWorld } from '../support/job-world.ts';
import { Recorder } from '../support/recorder.ts';
import { startSidecarProcess } from '../support/sidecar-process.ts';
import { consumerName } from '../../../common/queue/jetstream/names.ts';

describe('jobs when something ends', () => {
  it('behaviour 27: a sidecar is killed in the middle of a job: redelivered, done, and no try charged', async () => {
    await using world = await startJobWorld({ ackWaitMs: 1_500 });
    await using app = await new Recorder((_req, res, nth) => {
      if (nth > 1) res.end('done at last');
    }).listen();
    const { url } = world.jetstream.server;
    await using killed = startSidecarProcess({ nats: url, 'app-port': app.port, 'pod-name': 'fn-killed' });
    const job = await world.publish();
    await waitFor(() => app.requests.length === 1, { what: 'the first pod runs it' });
    await killed.kill();
    await world.sidecar(app.port, { 'async-policy': policy([0.1]) });
    const state = await world.ended(job);
    assert.equal(state.tries.length, 1, 'the try that nobody saw the end of is not charged');
    assert.equal(state.tries[0]?.pod, 'fn-1');
    assert.equal(app.requests[1]?.header('slimfaas-try-number'), '0');
    assert.equal(app.requests[1]?.header('slimfaas-element-id'), job.id);
  });

  it('a job that runs for longer than the ack wait is kept alive: run once', async () => {
    // Well above the 5 s between two signs of life.
    await using world = await startJobWorld({ ackWaitMs: 10_000 });
    const { handler, held, releaseAll } = holding();
    await using app = await new App(handler).listen();
    await world.sidecar(app.port, { 'parallel-per-pod': 1, 'async-policy': policy([], 60) });
    const job = await world.publish();
    await waitFor(() => held.length === 1, { what: 'it runs' });
    // Another one, taken by a consumer that gives no sign: when that comes again, the ack wait has passed for both.
    const other = await world.publish();
    const consumer = await world.jetstream.js.consumers.get(JOBS_STREAM, consumerName(FN));
    const first = await consumer.next({ expires: 10_000 });
    assert.equal(first?.seq, other.seq);
    const again = await consumer.next({ expires: 20_000 });
    assert.deepEqual([again?.seq, again?.redelivered], [other.seq, true]);
    again?.term();
    releaseAll();
    const state = await world.ended(job);
    assert.deepEqual([app.count, state.tries.length], [1, 1]);
  });

  it('a payload that cannot be read has its letter, whatever message ids another function has used before', async () => {
    await using world = await startJobWorld();
    await using app = await new App().listen();
    const { js } = world.jetstream;
    const { seq } = await js.publish(functionSubject('job', FN), Buffer.from('no job'));
    const other = functionSubject('dead', { namespace: 'ns', name: 'other' });
    for (const msgID of [`dead-unread-${seq}`, `dead-unread-ns/fn-${seq}`])
      await js.publish(other, '', { msgID });
    await world.sidecar(app.port);
    await waitFor(async () => (await world.deadLetters()).length > 0, {
      what: 'its letter is there',
    });
  });

  it('a drain finishes what runs and takes nothing new', async () => {
    await using world = await startJobWorld();
    const { handler, held, releaseAll } = holding();
    await using app = await new App(handler).listen();
    const sidecar = await world.sidecar(app.port, { 'parallel-per-pod': 2 });
    const running = [await world.publish(), await world.publish()];
    const waiting = await world.publish();
    await waitFor(() => held.length === 2, { what: 'two run' });
    const drained = sidecar.admin('/drain');
    await waitFor(async () => (await sidecar.admin('/ready')).status === 503, { what: 'it drains' });
    releaseAll();
    await drained;
    for (const job of running) await world.ended(job);
    assert.equal(app.count, 2);
    assert.equal(await world.state(waiting), undefined);
    // The next pod gets the third at once: nothing of it is held by the first.
    await world.sidecar(app.port);
    await world.ended(waiting, 'done', 12_000);
  });

  it('a drain whose time is up gives back what still runs: another pod has it at once, no try charged', async () => {
    await using world = await startJobWorld();
    await using app = await new Recorder((_req, res, nth) => {
      if (nth > 1) res.end();
    }).listen();
    const sidecar = await world.sidecar(app.port, { 'drain-seconds': 0.5 });
    const job = await world.publish();
    await waitFor(() => app.requests.length === 1, { what: 'it runs' });
    await world.sidecar(app.port, { 'async-policy': policy([]) });
    await sidecar.admin('/drain');
    const state = await world.ended(job, 'done', 12_000); // the ack wait alone would take 15 s
    assert.equal(state.tries.length, 1);
    assert.equal(state.tries[0]?.pod, 'fn-2');
  });

  it('NATS is killed while a job runs, and comes back: the job ends, the next ones too', async () => {
    await using world = await startJobWorld({ ackWaitMs: 3_000 });
    const { handler, held, releaseAll } = holding();
    await using app = await new App(handler).listen();
    await world.sidecar(app.port);
    const job = await world.publish();
    await waitFor(() => held.length === 1, { what: 'it runs' });
    await world.jetstream.server.kill();
    releaseAll();
    await world.jetstream.server.restart();
    await world.ended(job, 'done', 20_000);
    await waitFor(() => world.jetstream.link.isConnected, { what: 'the test is connected again' });
    await world.ended(await world.publish());
    await waitFor(async () => (await world.depth()) === 0, { what: 'nothing is left', timeoutMs: 20_000 });
  });

  it('a poison job, under which pods keep dying, becomes a dead letter', async () => {
    await using world = await startJobWorld();
    await using app = await new App().listen();
    const job = await world.publish();
    const { js } = world.jetstream;
    // What ten pods left behind that began it and were never heard of again.
    const consumer = await js.consumers.get(JOBS_STREAM, 'ns__fn');
    (await consumer.next({ expires: 2_000 }))?.nak();
    const base = { secret: job.secret, acceptedAtMs: 1, tries: [] };
    await js.publish(resultSubject(FN, job.seq), encodeState({ ...base, state: 'running', lost: 10 }));
    await world.sidecar(app.port);
    const state = await world.ended(job, 'dead');
    assert.ok(state.state === 'dead' && /ended under it 10 times/.test(state.why));
    assert.equal(app.count, 0);
    const [letter] = await world.deadLetters();
    assert.ok(letter && readDeadHistory(letter).sequence === job.seq);
  });

  it('each start of a job that keeps coming back is written down, and taken back when it was none', async () => {
    await using world = await startJobWorld();
    const { handler, held, releaseAll } = holding();
    await using app = await new App(handler).listen();
    const job = await world.publish();
    const consumer = await world.jetstream.js.consumers.get(JOBS_STREAM, 'ns__fn');
    for (let i = 0; i < 5; i++) (await consumer.next({ expires: 2_000 }))?.nak();
    const first = await world.sidecar(app.port, { 'drain-seconds': 0.4 });
    await waitFor(() => held.length === 1, { what: 'it runs' });
    assert.deepEqual((({ state, lost }) => ({ state, lost }))((await world.state(job)) as never), {
      state: 'running',
      lost: 1,
    });
    await first.stop();
    assert.equal((await world.state(job))?.lost, 0);
    releaseAll();
    await world.sidecar(app.port);
    await world.ended(job);
  });
});
