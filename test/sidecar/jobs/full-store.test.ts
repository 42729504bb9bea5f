/** JetStream has no room left: what is done is done once, leaves the queue, and its record follows when there is room. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { DEAD_STREAM, JOBS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { functionSubject } from '../../../common/bus/subjects.ts';
import { readDeadHistory } from '../../../common/queue/jetstream/dead-letter.ts';
import { waitFor } from '../../helpers/wait.ts';
import { holding, App } from '../support/app.ts';
import { FN, policy, startJobWorld, type JobWorld, type PublishedJob } from '../support/job-world.ts';
import { Recorder } from '../support/recorder.ts';

const OTHER = { namespace: 'ns', name: 'another-tenant' };
const ROOM = { maxFileStoreBytes: 4_000_000 };

/** Another function's jobs take all the room, to the last byte that is of use to anybody. */
async function fill({ jetstream: { js } }: JobWorld): Promise<void> {
  for (const size of [200_000, 20_000, 1_000, 1]) {
    const payload = Buffer.alloc(size, 'x');
    while (await isTaken(js.publish(functionSubject('job', OTHER), payload)));
  }
}

function isTaken(published: Promise<unknown>): Promise<boolean> {
  return published.then(
    () => true,
    () => false,
  );
}

/** As JetStream sees it: jobs of this function that are not finished. */
async function left({ jetstream: { jsm } }: JobWorld): Promise<number> {
  const subject = functionSubject('job', FN);
  const { state } = await jsm.streams.info(JOBS_STREAM, { subjects_filter: subject });
  return state.subjects?.[subject] ?? 0;
}

async function allLeft(world: JobWorld): Promise<void> {
  await waitFor(async () => (await left(world)) === 0, {
    what: 'they have left the queue',
    timeoutMs: 20_000,
  });
}

const publishSome = (world: JobWorld, count: number): Promise<PublishedJob[]> =>
  Promise.all(Array.from({ length: count }, (_, i) => world.publish({ path: `/${i}` }, 'body')));

describe('jobs while JetStream is full', () => {
  it('a job that ends is run once and leaves the queue', async () => {
    await using world = await startJobWorld({ nats: ROOM });
    await using app = await new Recorder((_req, res) => res.end('y'.repeat(40_000))).listen();
    const jobs = await publishSome(world, 20);
    await fill(world);
    const sidecar = await world.sidecar(app.port);
    await allLeft(world);
    assert.equal(app.requests.length, jobs.length, 'each is run once');
    assert.equal(await sidecar.metric('slimfaas_sidecar_jobs_total', 'outcome="done"'), jobs.length);
  });

  it('what has no record yet gets it when there is room again', async () => {
    await using world = await startJobWorld({ nats: ROOM });
    const { handler, held, releaseAll } = holding();
    await using app = await new App(handler).listen();
    await world.sidecar(app.port);
    const job = await world.publish();
    await waitFor(() => held.length === 1, { what: 'it runs' });
    await fill(world);
    releaseAll();
    await allLeft(world);
    await world.jetstream.jsm.streams.purge(JOBS_STREAM);
    assert.equal((await world.ended(job)).tries.length, 1);
    assert.equal(app.count, 1);
  });

  it('a failed try counts and waits for its next one, also without a record', async () => {
    await using world = await startJobWorld({ nats: ROOM });
    await using app = await new Recorder((_req, res) => void res.writeHead(500).end()).listen();
    const job = await world.publish({}, 'what was asked');
    await fill(world);
    await world.sidecar(app.port, { 'async-policy': policy([0.3, 0.6]) });
    await allLeft(world);
    assert.deepEqual(
      app.requests.map((request) => request.header('slimfaas-try-number')),
      ['0', '1', '2'],
    );
    await world.jetstream.jsm.streams.purge(JOBS_STREAM);
    const letter = await waitFor(async () => (await world.deadLetters())[0], { what: 'a dead letter' });
    assert.deepEqual(readDeadHistory(letter).sequence, job.seq);
  });

  it('a dead letter for which there is no room comes when there is', async () => {
    await using world = await startJobWorld({ nats: ROOM });
    await using app = await new Recorder((_req, res) => void res.writeHead(500).end()).listen();
    await world.publish({}, 'small');
    await fill(world);
    const sidecar = await world.sidecar(app.port, { 'async-policy': policy([]) });
    await allLeft(world);
    await fill(world);
    await world.jetstream.jsm.streams.purge(JOBS_STREAM);
    await waitFor(async () => (await world.jetstream.jsm.streams.info(DEAD_STREAM)).state.messages === 1, {
      what: 'the letter is there',
    });
    assert.equal(app.requests.length, 1);
    assert.equal(await sidecar.metric('slimfaas_sidecar_jobs_total', 'outcome="dead"'), 1);
  });

  it('a job that is answered 202 waits for its callback, and is not run again', async () => {
    await using world = await startJobWorld({ nats: ROOM });
    await using app = await new Recorder((_req, res) => void res.writeHead(202).end()).listen();
    const job = await world.publish();
    await fill(world);
    await world.sidecar(app.port, { 'async-policy': policy([], 60) });
    const where = { kind: 'where', elementId: job.id } as const;
    await waitFor(async () => (await world.ask(where)) === 'waiting-for-callback', { what: 'it waits' });
    assert.equal(await world.ask({ kind: 'callback', elementId: job.id, outcome: 'success' }), 'closed');
    await allLeft(world);
    assert.equal(app.requests.length, 1);
  });
});
