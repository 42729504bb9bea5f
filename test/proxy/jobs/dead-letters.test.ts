/** Dead letters over HTTP, on the port that is not published. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BODIES_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { functionSubject } from '../../../common/bus/subjects.ts';
import type { DeadSummary, DeadView } from '../../../proxy/jobs/dead-letters.ts';
import { waitFor } from '../../helpers/wait.ts';
import { App } from '../../sidecar/support/app.ts';
import { policy } from '../../sidecar/support/job-world.ts';
import { Recorder } from '../../sidecar/support/recorder.ts';
import { callUrl } from '../support/calls.ts';
import { elementIdOf, startJobProxy, type JobProxy } from '../support/job-proxy.ts';

async function list(t: JobProxy, query = ''): Promise<DeadSummary[]> {
  return JSON.parse((await t.admin(`/dead-jobs${query}`)).text) as DeadSummary[];
}

/** A function that fails until `isWell`, and a job of it that died. */
async function died(t: JobProxy, body: Buffer | string = 'the body') {
  const health = { isWell: false };
  const app = await new Recorder((_req, res) => {
    res.statusCode = health.isWell ? 200 : 500;
    res.end();
  }).listen();
  await t.addFunction('fib');
  await t.sidecar('fib', app.port, { 'async-policy': policy([0.05, 0.05, 0.05]) });
  const id = elementIdOf(await t.post('fib', '/p?q', { body, headers: { 'X-Mine': 'yes' } }));
  await t.ended('fib', id, 'dead');
  return { app, health, id };
}

test('behaviour 29: 500 for ever: a dead letter with the history of four tries; replay puts it back', async () => {
  await using t = await startJobProxy();
  const { app, health, id } = await died(t);
  const [letter, ...more] = await list(t);
  assert.ok(letter && more.length === 0);
  assert.deepEqual(
    [letter.id, letter.function, letter.namespace, letter.method, letter.path, letter.bodyBytes, letter.why],
    [id, 'fib', 'default', 'POST', '/p?q', 8, 'status 500'],
  );
  assert.deepEqual(
    letter.tries.map(({ status, pod, error }) => [status, pod, error]),
    Array.from({ length: 4 }, () => [500, 'fib-1', 'status 500']),
  );
  const shown = JSON.parse((await t.admin(`/dead-jobs/${letter.seq}`)).text) as DeadView;
  assert.equal(Buffer.from(shown.body ?? '', 'base64').toString(), 'the body');
  assert.ok(shown.headers?.includes('X-Mine'));
  health.isWell = true;
  const answer = await t.admin(`/dead-jobs/${letter.seq}/replay`, { method: 'POST' });
  assert.equal(answer.status, 201);
  const replayed = JSON.parse(answer.text) as { id: string; function: string };
  assert.notEqual(replayed.id, id);
  await t.ended('fib', replayed.id);
  assert.deepEqual(await list(t), []);
  const last = app.requests.at(-1);
  assert.deepEqual(
    [last?.line, last?.header('x-mine'), String(last?.body)],
    ['POST /p?q', 'yes', 'the body'],
  );
  assert.equal(last?.header('slimfaas-try-number'), '0');
  assert.equal((await t.admin(`/dead-jobs/${letter.seq}/replay`, { method: 'POST' })).status, 404);
  await app.close();
});

test('two operators replay one letter: one job', async () => {
  await using t = await startJobProxy();
  const { app } = await died(t);
  const [letter] = await list(t);
  const answers = await Promise.all(
    Array.from({ length: 3 }, () => t.admin(`/dead-jobs/${letter?.seq}/replay`, { method: 'POST' })),
  );
  const ids = answers
    .filter(({ status }) => status === 201)
    .map(({ text }) => (JSON.parse(text) as { id: string }).id);
  assert.equal(new Set(ids).size, 1);
  await waitFor(() => app.requests.length === 8, { what: 'four tries more' });
  const [again] = await waitFor(async () => ((await list(t)).length === 1 ? list(t) : undefined), {
    what: 'it died again',
  });
  assert.ok(again?.replayOf);
  await app.close();
});

test('a large body lives with its dead letter: replayed whole, or dropped with it', async () => {
  await using t = await startJobProxy();
  const body = Buffer.alloc(900_000, 'large');
  const { app, health, id } = await died(t, body);
  const stored = async (): Promise<number> => (await t.jsm.streams.info(BODIES_STREAM)).state.messages;
  assert.ok((await stored()) > 0);
  const [letter] = await list(t);
  assert.equal(letter?.bodyBytes, 900_000);
  await t.admin(`/dead-jobs/${letter?.seq}/replay`, { method: 'POST' });
  const [second] = await waitFor(async () => ((await list(t))[0]?.replayOf === id ? list(t) : undefined), {
    what: 'it died again',
  });
  assert.ok((await stored()) > 0);
  health.isWell = true;
  const answer = await t.admin(`/dead-jobs/${second?.seq}/replay`, { method: 'POST' });
  await t.ended('fib', (JSON.parse(answer.text) as { id: string }).id);
  assert.ok(app.requests.at(-1)?.body.equals(body));
  await waitFor(async () => (await stored()) === 0, { what: 'the body is gone' });
  health.isWell = false;
  await t.ended('fib', elementIdOf(await t.post('fib', '/', { body })), 'dead');
  const [third] = await list(t);
  assert.equal((await t.admin(`/dead-jobs/${third?.seq}`, { method: 'DELETE' })).status, 204);
  assert.deepEqual([await stored(), (await list(t)).length], [0, 0]);
  await app.close();
});

test('lists are by function, and go on after a number', async () => {
  await using t = await startJobProxy();
  await using app = await new App((_req, res) => void res.writeHead(500).end()).listen();
  for (const name of ['a', 'b']) {
    await t.addFunction(name);
    await t.sidecar(name, app.port, { 'async-policy': policy([]) });
    for (let i = 0; i < 2; i++) await t.ended(name, elementIdOf(await t.post(name, `/${i}`)), 'dead');
  }
  const names = async (query: string) =>
    (await list(t, query)).map((letter) => `${letter.function}${letter.path}`);
  assert.deepEqual(await names(''), ['a/0', 'a/1', 'b/0', 'b/1']);
  assert.deepEqual(await names('?function=b'), ['b/0', 'b/1']);
  assert.deepEqual(await names('?function=b.default'), ['b/0', 'b/1']);
  assert.deepEqual(await names('?function=gone'), []);
  const [, second] = await list(t);
  assert.deepEqual(await names(`?after=${second?.seq}`), ['b/0', 'b/1']);
});

test('a letter that cannot be read is listed, and cannot be replayed', async () => {
  await using t = await startJobProxy();
  const subject = functionSubject('dead', { namespace: 'default', name: 'fib' });
  await t.proxy.link.connection?.jetstream().publish(subject, Buffer.from('nonsense'));
  const [letter] = await list(t);
  assert.deepEqual([letter?.method, letter?.tries, letter?.function], [undefined, [], 'fib']);
  assert.equal((await t.admin(`/dead-jobs/${letter?.seq}`)).status, 200);
  const answer = await t.admin(`/dead-jobs/${letter?.seq}/replay`, { method: 'POST' });
  assert.deepEqual([answer.status, answer.headers['slimfaas-reason']], [409, 'job-conflict']);
  assert.equal((await t.admin(`/dead-jobs/${letter?.seq}`, { method: 'DELETE' })).status, 204);
});

test('the public port knows nothing of dead letters; bad numbers are 400, unknown ones 404', async () => {
  await using t = await startJobProxy();
  assert.equal((await callUrl(`${t.proxy.url}/dead-jobs`)).status, 404);
  for (const seq of ['x', '0', '-1', '1e3'])
    assert.equal((await t.admin(`/dead-jobs/${seq}`)).status, 400, seq);
  assert.equal((await t.admin('/dead-jobs/1')).status, 404);
  assert.equal((await t.admin('/dead-jobs/1', { method: 'DELETE' })).status, 404);
});
