/** Calls and jobs in one pod: one limit, a fair split, strict order where asked for. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { encodeMessage } from '../../../common/bus/messages.ts';
import { sleep } from '../../../common/runtime/lifecycle.ts';
import { JOBS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { functionSubject } from '../../../common/bus/subjects.ts';
import { waitFor } from '../../helpers/wait.ts';
import { App, holding } from '../support/app.ts';
import { FN, policy, startJobWorld, type JobWorld } from '../support/job-world.ts';
import { Recorder } from '../support/recorder.ts';
import type { TestSidecar } from '../support/sidecar.ts';
import { consumerName } from '../../../common/queue/jetstream/names.ts';

/** Calls from a proxy that tries again soon after each refusal, until stopped; returns how many were answered. */
function keepCalling(sidecar: TestSidecar, callers: number): { stop(): Promise<number> } {
  const stopping = new AbortController();
  let answered = 0;
  const run = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      const { headers } = await sidecar.proxyCall('/call');
      if (headers['slimfaas-refused'] === undefined) answered += 1;
      else await sleep(5);
    }
  };
  const all = Array.from({ length: callers }, run);
  return {
    async stop() {
      stopping.abort();
      await Promise.all(all);
      return answered;
    },
  };
}

async function flood(world: JobWorld, count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, () => world.publish({ path: '/job' })));
}

const countOf = (app: App, url: string): number =>
  app.arrivals.filter((arrival) => arrival.url === url).length;

describe('calls and jobs share a pod', () => {
  for (const limit of [1, 4]) {
    it(`limit ${limit}, floods of both: never more than the limit, and neither starves`, async () => {
      await using world = await startJobWorld();
      await using app = await new App((_req, res) => void setTimeout(() => res.end(), 20)).listen();
      await flood(world, 500);
      const sidecar = await world.sidecar(app.port, { 'parallel-per-pod': limit });
      await waitFor(() => app.count > 0, { what: 'jobs run' });
      const calls = keepCalling(sidecar, limit * 3);
      await waitFor(() => countOf(app, '/call') >= limit * 10, { what: 'calls run' });
      const before = { calls: countOf(app, '/call'), jobs: countOf(app, '/job') };
      await waitFor(() => countOf(app, '/job') >= before.jobs + limit * 10, { what: 'jobs run on' });
      const [callsRun, jobsRun] = [countOf(app, '/call') - before.calls, countOf(app, '/job') - before.jobs];
      await calls.stop();
      assert.ok(app.mostRunning <= limit, `${app.mostRunning} ran at once`);
      // Equal shares: with the pauses of refused callers calls get somewhat less, never next to nothing.
      assert.ok(callsRun > jobsRun / 4 && jobsRun > callsRun / 4, `${callsRun} calls, ${jobsRun} jobs`);
    });
  }

  for (const [share, more, fewer] of [
    [10, '/call', '/job'],
    [90, '/job', '/call'],
  ] as const) {
    it(`job-share ${share}: of eight places ${more} has seven while both want in`, async () => {
      await using world = await startJobWorld();
      await using app = await new App((_req, res) => void setTimeout(() => res.end(), 20)).listen();
      await flood(world, 1_500);
      const sidecar = await world.sidecar(app.port, { 'parallel-per-pod': 8, 'job-share': share });
      const calls = keepCalling(sidecar, 24);
      await waitFor(() => countOf(app, '/call') >= 20 && countOf(app, '/job') >= 20, { what: 'both run' });
      const before = { '/call': countOf(app, '/call'), '/job': countOf(app, '/job') };
      await waitFor(() => countOf(app, fewer) >= before[fewer] + 20, { what: 'both run on' });
      const [many, few] = [countOf(app, more) - before[more], countOf(app, fewer) - before[fewer]];
      await calls.stop();
      assert.ok(many > 2 * few, `${many} of ${more}, ${few} of ${fewer}`);
    });
  }

  it('one kind alone may have every place', async () => {
    await using world = await startJobWorld();
    const { handler, held, releaseAll } = holding();
    await using app = await new App(handler).listen();
    const sidecar = await world.sidecar(app.port, { 'parallel-per-pod': 4 });
    const calls = Array.from({ length: 4 }, () => sidecar.proxyCall());
    await waitFor(() => held.length === 4, { what: 'calls have all four' });
    releaseAll();
    await Promise.all(calls);
    const { handler: again, held: jobs, releaseAll: release } = holding();
    app.handler = again;
    await flood(world, 5);
    await waitFor(() => jobs.length === 4, { what: 'jobs have all four' });
    assert.equal((await sidecar.proxyCall()).headers['slimfaas-refused'], 'full');
    release();
    await waitFor(async () => (await world.depth()) === 0, { what: 'all jobs are done' });
  });

  it('direct callers in line do not keep jobs out, nor jobs them', async () => {
    await using world = await startJobWorld();
    await using app = await new App((_req, res) => void setTimeout(() => res.end(), 10)).listen();
    const sidecar = await world.sidecar(app.port, { 'parallel-per-pod': 1 });
    const stopping = new AbortController();
    const callers = Array.from({ length: 5 }, async () => {
      while (!stopping.signal.aborted) await sidecar.call('/call');
    });
    await waitFor(() => countOf(app, '/call') > 5, { what: 'calls run' });
    await flood(world, 3);
    await waitFor(() => countOf(app, '/job') === 3, { what: 'jobs run between them', timeoutMs: 20_000 });
    stopping.abort();
    await Promise.all(callers);
    assert.equal(app.mostRunning, 1);
  });

  it('a share that is not known yet admits no job; the share does', async () => {
    await using world = await startJobWorld();
    await using app = await new App().listen();
    const sidecar = await world.sidecar(app.port, { 'parallel-limit': 5, 'parallel-per-pod': 3 });
    const job = await world.publish();
    assert.equal((await sidecar.proxyCall()).status, 200);
    await sleep(300);
    assert.equal(await world.state(job), undefined);
    world.jetstream.link.publish(
      functionSubject('share', FN),
      encodeMessage({ limit: 5, shares: { 'fn-1': 2 } }),
    );
    await world.ended(job, 'done', 14_000);
  });

  it('a consumer that the scaler makes only after the pod is up is found within a second or so', async () => {
    await using world = await startJobWorld();
    const { jsm } = world.jetstream;
    const { config } = await jsm.consumers.info(JOBS_STREAM, consumerName(FN));
    await jsm.consumers.delete(JOBS_STREAM, consumerName(FN));
    await using app = await new App().listen();
    await world.sidecar(app.port);
    const job = await world.publish();
    await sleep(1_200); // it has asked in vain by now
    await jsm.consumers.add(JOBS_STREAM, config);
    await world.ended(job, 'done', 14_000);
  });

  it('work goes to the pod that has places, and none waits behind a busy one', async () => {
    await using world = await startJobWorld();
    const { handler, held, releaseAll } = holding();
    await using busy = await new App(handler).listen();
    await using idle = await new App().listen();
    await world.sidecar(busy.port, { 'parallel-per-pod': 1 });
    await flood(world, 1);
    await waitFor(() => held.length === 1, { what: 'the first pod is busy' });
    await world.sidecar(idle.port, { 'parallel-per-pod': 1 });
    await flood(world, 10);
    await waitFor(() => idle.count === 10, { what: 'the other one has them all' });
    releaseAll();
  });

  it('ordered: one at a time over all pods, in the order of acceptance, retries included', async () => {
    await using world = await startJobWorld({ isOrdered: true });
    const seen: string[] = [];
    let running = 0;
    await using app = await new Recorder((req, res) => {
      const isFirst = !seen.includes(String(req.url));
      seen.push(String(req.url));
      assert.equal(++running, 1);
      setTimeout(() => {
        running -= 1;
        res.statusCode = req.url === '/3' && isFirst ? 500 : 200;
        res.end();
      }, 5);
    }).listen();
    const flags = { ordered: 'true', 'async-policy': policy([0.2]) };
    await world.sidecar(app.port, flags);
    await world.sidecar(app.port, flags);
    for (let i = 1; i <= 10; i++) await world.publish({ path: `/${i}` });
    await waitFor(async () => (await world.depth()) === 0, { what: 'all are done', timeoutMs: 20_000 });
    assert.deepEqual(seen, ['/1', '/2', '/3', '/3', '/4', '/5', '/6', '/7', '/8', '/9', '/10']);
  });
});
