/** A job after its acceptance, as its caller sees it: state, result, waiting, cancelling, calling back. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JobView } from '../../../proxy/jobs/query.ts';
import { waitFor } from '../../helpers/wait.ts';
import { App, holding } from '../../sidecar/support/app.ts';
import { policy } from '../../sidecar/support/job-world.ts';
import { Recorder } from '../../sidecar/support/recorder.ts';
import { callUrl } from '../support/calls.ts';
import { elementIdOf, startJobProxy, type JobProxy } from '../support/job-proxy.ts';

async function viewOf(t: JobProxy, id: string, headers: Record<string, string> = {}): Promise<JobView> {
  const answer = await t.job('fib', id, { headers });
  assert.equal(answer.status, 200, answer.text);
  return JSON.parse(answer.text) as JobView;
}

function callBack(t: JobProxy, id: string, outcome: string) {
  return callUrl(`${t.proxy.url}/async-function-callback/fib/${id}/${outcome}`, { method: 'POST' });
}

test('queued, running, done: with tries, and the result with headers and body', async () => {
  await using t = await startJobProxy();
  const { handler, held } = holding();
  await using app = await new App(handler).listen();
  await t.addFunction('fib');
  const id = elementIdOf(await t.post('fib', '/'));
  assert.deepEqual((({ state, tries }) => ({ state, tries }))(await viewOf(t, id)), {
    state: 'queued',
    tries: [],
  });
  await t.sidecar('fib', app.port);
  await waitFor(() => held.length === 1, { what: 'it runs' });
  assert.equal((await viewOf(t, id)).state, 'running');
  held[0]?.writeHead(201, { 'X-Answer': 'yes' }).end(Buffer.from([0, 255]));
  const view = await t.ended('fib', id);
  assert.equal(view.id, id);
  assert.equal(view.result?.status, 201);
  assert.deepEqual(Buffer.from(view.result?.body ?? '', 'base64'), Buffer.from([0, 255]));
  assert.ok(view.result?.headers.includes('X-Answer'));
  assert.equal(view.result?.bodyTruncated, false);
  assert.ok(Date.parse(view.acceptedAt) <= Date.parse(view.tries[0]?.startedAt ?? ''));
});

test('a result keeps 64 KiB of the body and says that there was more', async () => {
  await using t = await startJobProxy();
  await using app = await new App((_req, res) => res.end(Buffer.alloc(100_000))).listen();
  await t.addFunction('fib');
  await t.sidecar('fib', app.port);
  const { result } = await t.ended('fib', elementIdOf(await t.post('fib', '/')));
  assert.equal(Buffer.from(result?.body ?? '', 'base64').length, 65_536);
  assert.equal(result?.bodyTruncated, true);
});

test('retrying says when; Prefer: wait answers at the end, or when the time is up', async () => {
  await using t = await startJobProxy();
  await using app = await new Recorder((_req, res, nth) => {
    res.statusCode = nth === 1 ? 503 : 200;
    res.end();
  }).listen();
  await t.addFunction('fib');
  const id = elementIdOf(await t.post('fib', '/'));
  const begun = performance.now();
  assert.equal((await viewOf(t, id, { Prefer: 'wait=1' })).state, 'queued');
  assert.ok(performance.now() - begun >= 1_000);
  await t.sidecar('fib', app.port, { 'async-policy': policy([3]) });
  const retrying = await t.ended('fib', id, 'retrying');
  assert.ok(Date.parse(retrying.nextTryAt ?? '') > Date.now());
  assert.equal(retrying.tries[0]?.status, 503);
  const done = await viewOf(t, id, { Prefer: 'respond-async, wait=30' });
  assert.equal(done.state, 'done');
  assert.ok(performance.now() - begun < 15_000, 'it answered at the end and not at 30 s');
});

test('cancel: a queued job never runs; one that runs or has ended is 409; an unknown one 404', async () => {
  await using t = await startJobProxy();
  const { handler, held, releaseAll } = holding();
  await using app = await new App(handler).listen();
  await t.addFunction('fib');
  const queued = elementIdOf(await t.post('fib', '/', { body: Buffer.alloc(700_000) }));
  assert.equal((await t.job('fib', queued, { method: 'DELETE' })).status, 204);
  assert.equal((await viewOf(t, queued)).state, 'cancelled');
  assert.equal((await t.job('fib', queued, { method: 'DELETE' })).status, 409);
  await t.sidecar('fib', app.port);
  const running = elementIdOf(await t.post('fib', '/'));
  await waitFor(() => held.length === 1, { what: 'the second runs' });
  const refused = await t.job('fib', running, { method: 'DELETE' });
  assert.deepEqual([refused.status, refused.headers['slimfaas-reason']], [409, 'job-conflict']);
  releaseAll();
  await t.ended('fib', running);
  assert.equal((await t.job('fib', running, { method: 'DELETE' })).status, 409);
  assert.equal(app.count, 1);
});

test('a job that waits for its retry can be cancelled', async () => {
  await using t = await startJobProxy();
  await using app = await new App((_req, res) => void res.writeHead(500).end()).listen();
  await t.addFunction('fib');
  await t.sidecar('fib', app.port, { 'async-policy': policy([2.5]) });
  const id = elementIdOf(await t.post('fib', '/'));
  await t.ended('fib', id, 'retrying');
  assert.equal((await t.job('fib', id, { method: 'DELETE' })).status, 204);
  const view = await viewOf(t, id);
  assert.deepEqual([view.state, view.tries.length], ['cancelled', 1]);
  const next = elementIdOf(await t.post('fib', '/')); // fails too, and is retried after the first would have been
  await t.ended('fib', next, 'dead');
  assert.equal(app.count, 3);
});

test('an id is a secret: the place of another job, or a job of another function, is unknown', async () => {
  await using t = await startJobProxy();
  await t.addFunction('fib');
  await t.addFunction('other');
  const id = elementIdOf(await t.post('fib', '/'));
  const guess = `${'0'.repeat(32)}${id.slice(32)}`;
  for (const [name, wrong] of [
    ['fib', guess],
    ['other', id],
    ['fib', `${id}0`],
    ['fib', 'nonsense'],
    ['fib', `${id.slice(0, 32)}ffff`],
  ] as const) {
    for (const method of ['GET', 'DELETE']) {
      const answer = await t.job(name, wrong, { method });
      assert.deepEqual([answer.status, answer.headers['slimfaas-reason']], [404, 'unknown-job'], wrong);
    }
  }
  assert.equal((await viewOf(t, id)).state, 'queued');
});

test('behaviour 33: 202, then the callback closes it; late, double and unknown ones are 409 and 404', async () => {
  await using t = await startJobProxy();
  await using app = await new App((_req, res) => void res.writeHead(202).end()).listen();
  await t.addFunction('fib');
  const queued = elementIdOf(await t.post('fib', '/'));
  assert.equal((await callBack(t, queued, 'success')).status, 409, 'it has not begun');
  await t.sidecar('fib', app.port);
  const open = await t.ended('fib', queued, 'waiting-for-callback');
  assert.ok(Date.parse(open.callbackDeadline ?? '') > Date.now());
  assert.equal((await callBack(t, queued, 'maybe')).status, 400);
  assert.equal((await callBack(t, queued, 'success')).status, 204);
  assert.equal((await t.ended('fib', queued)).tries.length, 1);
  assert.equal((await callBack(t, queued, 'success')).status, 409);
  assert.equal((await callBack(t, `${'0'.repeat(32)}1`, 'success')).status, 404);
});

test('a callback while the function still holds its request is 409', async () => {
  await using t = await startJobProxy();
  const { handler, held, releaseAll } = holding();
  await using app = await new App(handler).listen();
  await t.addFunction('fib');
  await t.sidecar('fib', app.port);
  const id = elementIdOf(await t.post('fib', '/'));
  await waitFor(() => held.length === 1, { what: 'it runs' });
  assert.equal((await callBack(t, id, 'success')).status, 409);
  releaseAll();
  await t.ended('fib', id);
});
