/** `X-Callback-Url` from the post of a job to its result at the receiver, through real proxies and sidecars. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  callbacksConsumerConfig,
  CALLBACKS_CONSUMER,
  CALLBACKS_STREAM,
  streamConfigs,
} from '../../../common/queue/jetstream/streams.ts';
import type { JobView } from '../../../proxy/jobs/query.ts';
import type { Resolve } from '../../../common/outbound/resolve.ts';
import { jobSettings } from '../../helpers/jetstream.ts';
import { waitFor } from '../../helpers/wait.ts';
import { App, APP_HOST } from '../../sidecar/support/app.ts';
import { policy } from '../../sidecar/support/job-world.ts';
import { Recorder, type Recorded } from '../../sidecar/support/recorder.ts';
import { elementIdOf, startJobProxy, type JobProxy } from '../support/job-proxy.ts';

const ALLOW = `--callback-allow=hooks.test,${APP_HOST}`;
const resolve: Resolve = async (host) => {
  if (host === 'hooks.test') return [APP_HOST];
  throw new Error(`${host} does not resolve`);
};

const start = (flags = [ALLOW]): Promise<JobProxy> => startJobProxy(flags, {}, { resolve });
const postWith = (t: JobProxy, url: string) => t.post('fib', '/', { headers: { 'X-Callback-Url': url } });
const viewIn = (request: Recorded | undefined) => JSON.parse(String(request?.body)) as JobView;

/** Results that no proxy has delivered or given up. */
async function waiting(t: JobProxy): Promise<number> {
  return (await t.jsm.streams.info(CALLBACKS_STREAM)).state.messages;
}

test('the result of a job is posted to its URL, and the function hears nothing of that', async () => {
  await using t = await start();
  await using receiver = await new Recorder((_req, res) => res.end()).listen();
  await using app = await new Recorder((_req, res) => res.writeHead(201).end('an answer')).listen();
  await t.addFunction('fib');
  await t.sidecar('fib', app.port);
  const id = elementIdOf(await postWith(t, `http://hooks.test:${receiver.port}/here`));
  await waitFor(() => receiver.requests.length === 1, { what: 'the result came' });
  const [request] = receiver.requests;
  assert.equal(request?.line, 'POST /here');
  assert.equal(request?.header('slimfaas-element-id'), id);
  assert.deepEqual(viewIn(request), await t.ended('fib', id), 'what GET answers');
  assert.equal(viewIn(request).result?.status, 201);
  assert.equal(app.requests[0]?.header('x-callback-url'), undefined);
  await waitFor(async () => (await waiting(t)) === 0, { what: 'nothing is left to post' });
  const metrics = await (await fetch(`${t.proxy.url}/metrics`)).text();
  assert.match(metrics, /slimfaas_proxy_job_callbacks_total\{outcome="delivered"\} 1/);
});

test('a job that is given up tells its URL so; a job without a URL tells nobody', async () => {
  await using t = await start();
  await using receiver = await new Recorder((_req, res) => res.end()).listen();
  await using app = await new App((_req, res) => void res.writeHead(500).end()).listen();
  await t.addFunction('fib');
  await t.sidecar('fib', app.port, { 'async-policy': policy([0.05]) });
  const silent = elementIdOf(await t.post('fib', '/'));
  await t.ended('fib', silent, 'dead');
  const id = elementIdOf(await postWith(t, `http://${APP_HOST}:${receiver.port}/`));
  await waitFor(() => receiver.requests.length > 0, { what: 'the result came' });
  const view = viewIn(receiver.requests[0]);
  assert.deepEqual([view.id, view.state, view.tries.length, view.why], [id, 'dead', 2, 'status 500']);
  assert.equal(receiver.requests.length, 1);
});

test('a receiver that fails is asked again, by another proxy if the first has gone', async () => {
  await using t = await start();
  let isWell = false;
  await using receiver = await new Recorder((_req, res) => {
    res.statusCode = isWell ? 200 : 500;
    res.end();
  }).listen();
  await using app = await new App().listen();
  await t.addFunction('fib');
  await t.sidecar('fib', app.port);
  const id = elementIdOf(await postWith(t, `http://${APP_HOST}:${receiver.port}/`));
  await waitFor(() => receiver.requests.length === 1, { what: 'the first try' });
  await t.proxy.another();
  await t.proxy.proxy.stop();
  isWell = true;
  await waitFor(() => receiver.requests.length >= 2, { what: 'a second try' });
  assert.equal(viewIn(receiver.requests.at(-1)).id, id);
  await waitFor(async () => (await waiting(t)) === 0, { what: 'it is over' });
});

test('while its result cannot be handed over a job is not over, and is not run again', async () => {
  await using t = await start();
  await using receiver = await new Recorder((_req, res) => res.end()).listen();
  await using app = await new App().listen();
  await t.addFunction('fib');
  await t.jsm.streams.delete(CALLBACKS_STREAM);
  await t.sidecar('fib', app.port);
  const id = elementIdOf(await postWith(t, `http://${APP_HOST}:${receiver.port}/`));
  await t.ended('fib', id); // the record is there
  assert.equal(await t.depth(), 1, 'the job is kept');
  const config = streamConfigs(jobSettings).find(({ name }) => name === CALLBACKS_STREAM);
  await t.jsm.streams.add(config ?? assert.fail('no such stream'));
  await t.jsm.consumers.add(CALLBACKS_STREAM, callbacksConsumerConfig());
  await waitFor(() => receiver.requests.length > 0, { what: 'the result came', timeoutMs: 30_000 });
  await waitFor(async () => (await t.depth()) === 0, { what: 'the job is over' });
  assert.equal(app.count, 1);
});

test('a receiver that hangs holds few hands: the results of others go by', async () => {
  await using t = await start();
  const hanging = new Set<() => void>();
  await using slow = await new App((_req, res) => void hanging.add(() => res.end())).listen();
  await using receiver = await new Recorder((_req, res) => res.end()).listen();
  await using app = await new App().listen();
  await t.addFunction('fib');
  await t.sidecar('fib', app.port);
  for (let i = 0; i < 20; i++) await postWith(t, `http://${APP_HOST}:${slow.port}/`);
  await waitFor(() => slow.running === 4, { what: 'four are under way' });
  await postWith(t, `http://${APP_HOST}:${receiver.port}/`);
  await waitFor(() => receiver.requests.length === 1, { what: 'the other result came' });
  assert.equal(slow.mostRunning, 4);
  slow.handler = (_req, res) => res.end();
  for (const end of hanging) end();
  await waitFor(async () => (await waiting(t)) === 0, { what: 'all are delivered', timeoutMs: 60_000 });
  assert.equal((await t.jsm.consumers.info(CALLBACKS_STREAM, CALLBACKS_CONSUMER)).num_ack_pending, 0);
});

test('what could never be posted is refused with the job: 400 that says why, and nothing is queued', async () => {
  await using t = await start(['--callback-allow=hooks.test,*.inside.test']);
  await t.addFunction('fib');
  for (const [url, why] of [
    ['http://other.test/', /other\.test is not in --callback-allow/],
    ['http://169.254.169.254/latest', /not in --callback-allow/],
    ['http://hooks.test/', /127\.[\d.]+, which is local/],
    ['ftp://hooks.test/', /http or https/],
    ['', /http or https/],
  ] as const) {
    const answer = await postWith(t, url);
    assert.deepEqual([answer.status, answer.headers['slimfaas-reason']], [400, 'bad-request'], url);
    assert.match(answer.text, why);
  }
  assert.equal(await t.depth(), 0);
  assert.equal((await postWith(t, 'http://not-yet.inside.test/')).status, 201, 'it may resolve later');
});

test('without --callback-allow no URL is taken', async () => {
  await using t = await start([]);
  await t.addFunction('fib');
  const answer = await postWith(t, 'https://hooks.test/');
  assert.equal(answer.status, 400);
  assert.match(answer.text, /--callback-allow is empty/);
  assert.equal((await t.post('fib', '/')).status, 201);
});
