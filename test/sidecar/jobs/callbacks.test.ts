/** Jobs that the function answers with 202: open until it calls back, or HttpTimeout. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { waitFor } from '../../helpers/wait.ts';
import { App, holding } from '../support/app.ts';
import { policy, startJobWorld } from '../support/job-world.ts';

const accepting = (): App =>
  new App((_req, res) => {
    res.statusCode = 202;
    res.end();
  });

describe('callbacks', () => {
  it('behaviour 33: 202, then a callback: closed then, once', async () => {
    await using world = await startJobWorld();
    await using app = await accepting().listen();
    const sidecar = await world.sidecar(app.port);
    const job = await world.publish();
    const open = await world.ended(job, 'waiting-for-callback');
    assert.ok(open.state === 'waiting-for-callback' && open.deadlineMs > Date.now());
    assert.equal(await world.ask({ kind: 'where', elementId: job.id }), 'waiting-for-callback');
    assert.equal(
      await sidecar.metric('slimfaas_sidecar_running'),
      1,
      'it still works, so its place is taken',
    );
    const callback = { kind: 'callback', elementId: job.id, outcome: 'success' } as const;
    assert.equal(await world.ask(callback), 'closed');
    assert.equal(await world.ask(callback), undefined, 'a second one finds nothing open');
    const state = await world.ended(job);
    assert.equal(state.tries.length, 1);
    assert.equal(state.tries[0]?.error, undefined);
    await waitFor(async () => (await world.depth()) === 0, { what: 'it has left the queue' });
  });

  it('behaviour 33: never calls back: a failed try at HttpTimeout, retried', async () => {
    await using world = await startJobWorld();
    await using app = await accepting().listen();
    await world.sidecar(app.port, { 'async-policy': policy([0.05], 1) });
    const state = await world.ended(await world.publish(), 'dead');
    assert.equal(app.count, 2);
    for (const tried of state.tries) {
      assert.match(tried.error ?? '', /no callback within 1 s/);
      assert.ok(tried.endedAtMs - tried.startedAtMs >= 990);
    }
  });

  it('a callback of an error is a failed try', async () => {
    await using world = await startJobWorld();
    await using app = await accepting().listen();
    await world.sidecar(app.port, { 'async-policy': policy([]) });
    const job = await world.publish();
    await world.ended(job, 'waiting-for-callback');
    await world.ask({ kind: 'callback', elementId: job.id, outcome: 'error' });
    const state = await world.ended(job, 'dead');
    assert.match(state.tries[0]?.error ?? '', /called back with an error/);
  });

  it('a callback for a job that the function has not answered yet, or that nobody knows, closes nothing', async () => {
    await using world = await startJobWorld();
    const { handler, held, releaseAll } = holding();
    await using app = await new App(handler).listen();
    await world.sidecar(app.port);
    const job = await world.publish();
    await waitFor(() => held.length === 1, { what: 'it runs' });
    const outcome = 'success';
    assert.equal(await world.ask({ kind: 'callback', elementId: job.id, outcome }), 'running');
    const other = `${'0'.repeat(32)}1`;
    assert.equal(await world.ask({ kind: 'callback', elementId: other, outcome }), undefined);
    releaseAll();
    await world.ended(job);
  });

  it('the pod ends while a job waits for its callback: given back, no try charged', async () => {
    await using world = await startJobWorld();
    await using app = await accepting().listen();
    const first = await world.sidecar(app.port, { 'drain-seconds': 0.4 });
    const job = await world.publish();
    await world.ended(job, 'waiting-for-callback');
    await first.stop();
    await world.sidecar(app.port);
    await waitFor(() => app.count === 2, { what: 'another pod has it', timeoutMs: 5_000 });
    await waitFor(
      async () => (await world.ask({ kind: 'where', elementId: job.id })) === 'waiting-for-callback',
      {
        what: 'it is open there',
      },
    );
    await world.ask({ kind: 'callback', elementId: job.id, outcome: 'success' });
    assert.equal((await world.ended(job)).tries.length, 1);
  });
});
