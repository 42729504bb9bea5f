/** Jobs that end while NATS is away, and sidecars that are frozen: nothing runs twice that need not, and order is strict. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import { describe, it } from 'node:test';
import { encodeState } from '../../../common/queue/state.ts';
import { JOBS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { consumerConfig } from '../../../common/queue/jetstream/streams.ts';
import { jobQuestionSubject, resultSubject } from '../../../common/bus/subjects.ts';
import { jobSettings } from '../../helpers/jetstream.ts';
import { waitFor } from '../../helpers/wait.ts';
import { App, holding } from '../support/app.ts';
import { FN, policy, startJobWorld } from '../support/job-world.ts';
import { Recorder } from '../support/recorder.ts';
import { startLine } from '../support/line.ts';
import { startSidecarProcess } from '../support/sidecar-process.ts';
import type { ConsumerConfig } from '../../../common/queue/jetstream/library.ts';
import { consumerName } from '../../../common/queue/jetstream/names.ts';

describe('jobs while NATS is away', () => {
  it('what ends meanwhile is recorded on its return, and runs nowhere again', async () => {
    await using world = await startJobWorld({ ackWaitMs: 1_000 });
    const { handler, held, releaseAll } = holding();
    await using app = await new App(handler).listen();
    const first = await world.sidecar(app.port);
    const jobs = await Promise.all(Array.from({ length: 5 }, () => world.publish()));
    await waitFor(() => held.length === 5, { what: 'all run' });
    await world.sidecar(app.port);
    await world.jetstream.server.kill();
    releaseAll();
    await waitFor(async () => (await first.metric('slimfaas_sidecar_job_ends_untold')) === 5, {
      what: 'all have ended and cannot say so',
      timeoutMs: 30_000,
    });
    await world.jetstream.server.restart();
    for (const job of jobs) assert.equal((await world.ended(job, 'done', 30_000)).tries.length, 1);
    await waitFor(async () => (await world.depth()) === 0, { what: 'all have left', timeoutMs: 30_000 });
    assert.equal(app.count, 5);
    assert.equal(await first.metric('slimfaas_sidecar_job_ends_untold'), 0);
  });

  it('what still runs on its return is given to no other pod, although the ack wait has passed', async () => {
    await using world = await startJobWorld({ ackWaitMs: 1_000 });
    const { handler, held, releaseAll } = holding();
    await using app = await new App(handler).listen();
    await world.sidecar(app.port, { 'async-policy': policy([], 60) });
    const job = await world.publish();
    await waitFor(() => held.length === 1, { what: 'it runs' });
    await world.sidecar(app.port, { 'async-policy': policy([], 60) });
    await world.jetstream.server.restart();
    await waitFor(() => world.jetstream.link.isConnected, { what: 'the test is back' });
    // The next job is behind it: when that runs, the first was offered and left alone.
    await world.publish();
    await waitFor(() => held.length === 2, { what: 'the next one runs', timeoutMs: 30_000 });
    releaseAll();
    await world.ended(job, 'done', 30_000);
    assert.equal(app.count, 2);
  });
});

describe('a job that comes again while it runs in another pod', () => {
  const one = { 'parallel-per-pod': 1, 'async-policy': policy([], 60) };

  it('is left there when its ack wait has passed, also long after NATS came', async () => {
    await using world = await startJobWorld({ ackWaitMs: 1_000 });
    const { handler, held, releaseAll } = holding();
    await using app = await new App(handler).listen();
    await world.sidecar(app.port, one);
    const job = await world.publish();
    await waitFor(() => held.length === 1, { what: 'it runs' });
    await world.sidecar(app.port, one);
    const consumer = async () => world.jetstream.jsm.consumers.info(JOBS_STREAM, consumerName(FN));
    await waitFor(async () => (await consumer()).delivered.consumer_seq >= 5, {
      what: 'it was offered to the other pod again and again',
      timeoutMs: 30_000,
    });
    releaseAll();
    assert.equal((await world.ended(job, 'done', 30_000)).tries.length, 1);
    await waitFor(async () => (await world.depth()) === 0, { what: 'it has left', timeoutMs: 30_000 });
    assert.equal(app.count, 1);
  });

  it('is left there when its consumer was made again, which counts it as new', async () => {
    await using world = await startJobWorld();
    const { handler, held, releaseAll } = holding();
    await using app = await new App(handler).listen();
    await world.sidecar(app.port, one);
    const job = await world.publish();
    await waitFor(() => held.length === 1, { what: 'it runs' });
    await world.sidecar(app.port, one);
    const { jsm } = world.jetstream;
    const asks = async () => (await jsm.consumers.info(JOBS_STREAM, consumerName(FN))).num_waiting > 0;
    await waitFor(asks, { what: 'the other pod asks for jobs' });
    await jsm.consumers.delete(JOBS_STREAM, consumerName(FN));
    await jsm.consumers.add(JOBS_STREAM, consumerConfig(FN, jobSettings, false) as ConsumerConfig);
    // The next job is behind it: when that runs, the first was offered and left alone.
    const next = await world.publish();
    await waitFor(() => held.length === 2, { what: 'the next one runs', timeoutMs: 30_000 });
    releaseAll();
    for (const each of [job, next]) assert.equal((await world.ended(each, 'done', 30_000)).tries.length, 1);
    assert.equal(app.count, 2);
  });

  it('runs when nobody says that he has it, whatever else is said', async () => {
    await using world = await startJobWorld({ ackWaitMs: 1_000 });
    const { js, link } = world.jetstream;
    let asked = 0;
    link.serve(jobQuestionSubject(FN), () => Buffer.from(`[${++asked}]`));
    const job = await world.publish();
    await js.publish(resultSubject(FN, job.seq), '{"no":"record"}');
    const lost = await js.consumers.get(JOBS_STREAM, consumerName(FN));
    assert.ok(await lost.next({ expires: 5_000 }), 'a pod that dies gets it');
    await using app = await new App().listen();
    await world.sidecar(app.port, one);
    assert.equal((await world.ended(job, 'done', 30_000)).tries.length, 1);
    assert.equal(app.count, 1);
    assert.ok(asked > 0);
    assert.deepEqual(await world.deadLetters(), []);
  });
});

describe('a consumer that is made again', () => {
  it('a failed try still counts, and waits for its time', async () => {
    await using world = await startJobWorld();
    await using app = await new Recorder(
      (_req, res, nth) => void res.writeHead(nth === 1 ? 500 : 200).end(),
    ).listen();
    await world.sidecar(app.port, { 'async-policy': policy([3]) });
    const job = await world.publish();
    await world.ended(job, 'retrying');
    const { jsm } = world.jetstream;
    await jsm.consumers.delete(JOBS_STREAM, consumerName(FN));
    await jsm.consumers.add(JOBS_STREAM, consumerConfig(FN, jobSettings, false) as ConsumerConfig);
    const state = await world.ended(job, 'done', 30_000);
    assert.deepEqual(
      app.requests.map((request) => request.header('slimfaas-try-number')),
      ['0', '1'],
    );
    assert.equal(state.tries.length, 2);
    assert.ok((app.requests[1]?.atMs ?? 0) - (app.requests[0]?.atMs ?? 0) >= 2_900);
  });

  it('a pod that was there, and one that starts later, ask for jobs again within seconds', async () => {
    await using world = await startJobWorld();
    await using app = await new App().listen();
    await world.sidecar(app.port);
    await world.ended(await world.publish());
    const { jsm } = world.jetstream;
    await jsm.consumers.delete(JOBS_STREAM, consumerName(FN));
    const job = await world.publish();
    await jsm.consumers.add(JOBS_STREAM, consumerConfig(FN, jobSettings, false) as ConsumerConfig);
    await world.ended(job, 'done', 8_000); // a request lives for 20 s
  });
});

describe('strict order while a sidecar is frozen', () => {
  const flags = { ordered: 'true', 'parallel-per-pod': 1, 'async-policy': policy([], 60) };

  it('its job is not run again, and the next one waits, until it has ended', async () => {
    await using world = await startJobWorld({ isOrdered: true, ackWaitMs: 1_000 });
    const events: string[] = [];
    let first: ServerResponse | undefined;
    await using app = await new App((req, res) => {
      events.push(`start ${req.url}`);
      if (req.url === '/first') first = res;
      else res.end();
    }).listen();
    const { url } = world.jetstream.server;
    await using frozen = startSidecarProcess({
      nats: url,
      'app-port': app.port,
      'pod-name': 'fn-frozen',
      ...flags,
    });
    const job = await world.publish({ path: '/first' });
    await waitFor(() => first, { what: 'the first runs' });
    const next = await world.publish({ path: '/next' });
    frozen.child.kill('SIGSTOP');
    await world.sidecar(app.port, flags);
    const consumer = async () => world.jetstream.jsm.consumers.info(JOBS_STREAM, consumerName(FN));
    await waitFor(async () => (await consumer()).delivered.consumer_seq >= 4, {
      what: 'it was offered to the other pod more than once',
      timeoutMs: 30_000,
    });
    assert.equal(app.count, 1);
    frozen.child.kill('SIGCONT');
    events.push('end /first');
    first?.end();
    await world.ended(next, 'done', 30_000);
    assert.equal((await world.ended(job)).tries.length, 1);
    assert.deepEqual(events, ['start /first', 'end /first', 'start /next']);
  });

  it('nor while that sidecar is well but cut off from NATS', async () => {
    await using world = await startJobWorld({ isOrdered: true, ackWaitMs: 1_000 });
    const { handler, held, releaseAll } = holding();
    await using app = await new App(handler).listen();
    await using line = await startLine(world.jetstream.server);
    const its = { 'app-port': app.port, 'pod-name': 'fn-cut', ...flags };
    await using cut = startSidecarProcess({ nats: line.url, ...its });
    const job = await world.publish();
    await waitFor(() => held.length === 1, { what: 'the first runs' });
    line.cut();
    const next = await world.publish();
    await world.sidecar(app.port, flags);
    const consumer = async () => world.jetstream.jsm.consumers.info(JOBS_STREAM, consumerName(FN));
    await waitFor(async () => (await consumer()).delivered.consumer_seq >= 5, {
      what: 'it was offered to the other pod after all others were back',
      timeoutMs: 30_000,
    });
    assert.equal(app.count, 1);
    assert.equal(cut.child.exitCode, null);
    line.mend();
    releaseAll();
    for (const each of [job, next]) assert.equal((await world.ended(each, 'done', 30_000)).tries.length, 1);
    assert.equal(app.count, 2);
  });

  it('nor when the server has forgotten who got it: that is on record', async () => {
    await using world = await startJobWorld({ isOrdered: true });
    const frozen = createServer().listen(0, '127.0.0.1').unref(); // takes connections and says nothing
    await once(frozen, 'listening');
    const { port } = frozen.address() as AddressInfo;
    await using app = await new App().listen();
    await world.sidecar(app.port, flags);
    const former = await world.publish();
    await world.ended(former);
    const secret = 'ab'.repeat(16);
    const run = { pod: 'fn-frozen', host: '127.0.0.1', port, startedAtMs: Date.now() };
    const record = encodeState({ secret, acceptedAtMs: Date.now(), tries: [], state: 'running', run });
    await world.jetstream.js.publish(resultSubject(FN, former.seq + 1), record);
    const job = await world.publish({ secret });
    const consumer = async () => world.jetstream.jsm.consumers.info(JOBS_STREAM, consumerName(FN));
    await waitFor(async () => (await consumer()).delivered.consumer_seq >= 3, {
      what: 'it was given back, and offered again',
      timeoutMs: 30_000,
    });
    assert.equal(app.count, 1);
    frozen.close(); // its process is gone
    await world.ended(job, 'done', 30_000);
    assert.equal(app.count, 2);
  });

  it('a sidecar that was killed holds up nobody: its job is run by another pod', async () => {
    await using world = await startJobWorld({ isOrdered: true, ackWaitMs: 1_000 });
    await using app = await new Recorder((_req, res, nth) => {
      if (nth > 1) res.end();
    }).listen();
    const { url } = world.jetstream.server;
    await using killed = startSidecarProcess({
      nats: url,
      'app-port': app.port,
      'pod-name': 'fn-killed',
      ...flags,
    });
    const job = await world.publish();
    await waitFor(() => app.requests.length === 1, { what: 'it runs' });
    await killed.kill();
    await world.sidecar(app.port, flags);
    assert.equal((await world.ended(job, 'done', 30_000)).tries.length, 1);
    assert.equal(app.requests.length, 2);
  });

  it('a sidecar that came back and whose app is not ready says so: its job is run by another pod', async () => {
    await using world = await startJobWorld({ isOrdered: true, ackWaitMs: 1_000 });
    await using app = await new Recorder((_req, res, nth) => {
      if (nth > 1) res.end();
    }).listen();
    const pod = { nats: world.jetstream.server.url, 'pod-name': 'fn-back', 'admin-port': await freePort() };
    await using killed = startSidecarProcess({ ...pod, 'app-port': app.port, ...flags });
    const job = await world.publish();
    await waitFor(() => app.requests.length === 1, { what: 'it runs' });
    await killed.kill();
    await using back = startSidecarProcess({ ...pod, 'app-port': await freePort(), ...flags });
    await back.hasLogged('NATS connected');
    await world.sidecar(app.port, flags);
    // HttpTimeout is 60 s, and without an answer the job would wait for that.
    assert.equal((await world.ended(job, 'done', 20_000)).tries.length, 1);
    assert.equal(app.requests.length, 2);
  });
});

/** One where nobody listens at this moment. */
async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}
