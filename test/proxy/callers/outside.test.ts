/** Callers from outside the cluster: what they reach, that they are never trusted, and what they are told. */
import { jobForOutside } from '../../../proxy/jobs/job-routes.ts';
import type { JobView } from '../../../proxy/jobs/query.ts';
import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { test } from 'node:test';
import { UsageError } from '../../../common/runtime/errors.ts';
import { PublishedRoutes } from '../../../proxy/edge/outside.ts';
import { waitFor } from '../../helpers/wait.ts';
import { h2Client } from '../http2/h2-client.ts';
import { callUrl, rawCall } from '../support/calls.ts';
import { startTestProxy, type TestProxy } from '../support/test-proxy.ts';

const PUBLIC = ['--public-port=0', '--public-routes=function,async-function,publish-event'];
const PRIVATE = { 'SlimFaas/DefaultVisibility': 'Private' };
const UPGRADE = 'Host: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n';

/** A public and a private function, and a trusted pod with the address from which the test calls. */
async function world(t: TestProxy): Promise<void> {
  t.addFunction('open');
  t.addFunction('secret', PRIVATE);
  for (const name of ['open', 'secret']) await t.addPod(name, { name: `${name}-pod-1` });
  t.setPod('open', 'caller', '127.0.0.1', { isReady: false });
  await t.readyPods('open', 1);
  await waitFor(async () => (await callUrl(`${t.url}/function/secret/`)).status === 200, {
    what: 'by the plain port the test is a trusted pod',
  });
}

test('the public port has the routes that are named and no other, over HTTP/1.1 and HTTP/2', async () => {
  await using t = await startTestProxy(PUBLIC);
  await world(t);
  const url = `http://127.0.0.1:${t.proxy.publicPort}`;
  assert.equal((await callUrl(`${url}/function/open/`)).text, 'hello');
  assert.equal((await callUrl(`${url}/health`)).status, 200);
  assert.equal((await callUrl(`${url}/ready-for-calls`)).text, '{"ready":true,"missing":[]}');
  // No job can be stored here, but the route is there.
  assert.notEqual(
    (await callUrl(`${url}/async-function/open/`, { method: 'POST' })).headers['slimfaas-reason'],
    'unknown-route',
  );
  assert.equal((await callUrl(`${url}/publish-event/none/`)).headers['slimfaas-reason'], 'unknown-event');
  using h2 = h2Client(url);
  assert.equal((await h2.call('/function/open/')).text, 'hello');
  const closed = [
    '/',
    '/status-functions',
    '/status-functions?x=/function/',
    '/status-function/open',
    '/status-functions-stream',
    '/status-page/status.js',
    '/wake-function/open',
    '/wake-functions',
    '/metrics',
    '/ready',
    '/pod-ready/default/open',
    '/async-function-job/open/1',
    '/async-function-callback/open/1/success',
    '/function',
    '//status-functions',
    '/function/../status-functions',
    '/%73tatus-functions',
    '/nothing',
  ];
  for (const path of closed) {
    for (const method of ['GET', 'POST']) {
      const { status, headers } = await callUrl(`${url}${path}`, { method });
      assert.equal(`${status} ${headers['slimfaas-reason']}`, '404 unknown-route', `${method} ${path}`);
    }
    const over2 = await h2.call(path);
    assert.equal(over2.status, 404, path);
  }
  const dotted = await rawCall(
    t.proxy.publicPort,
    'GET /function/../status-functions HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n',
  );
  assert.match(dotted, /^HTTP\/1.1 404 [\s\S]*unknown-function/);
  // The plain port is as it was.
  for (const path of ['/status-functions', '/metrics', '/ready', '/wake-function/open'])
    assert.ok((await callUrl(`${t.url}${path}`)).status < 300, path);
});

test('whoever comes over the public port or from --outside-cidrs is no trusted pod, whatever its address', async () => {
  await using t = await startTestProxy(PUBLIC);
  await world(t);
  // A balancer that has the address of a trusted pod.
  const BALANCER = { localAddress: '127.0.0.2' };
  t.setPod('open', 'balancer', BALANCER.localAddress, { isReady: false });
  const agent = new Agent(BALANCER);
  const from = (url: string) => callUrl(url, { agent });
  const secret = '/function/secret/';
  await waitFor(async () => (await from(`${t.url}${secret}`)).status === 200, { what: 'it is trusted' });
  const other = await t.another(['--outside-cidrs=10.0.0.0/8,127.0.0.2']);
  await waitFor(async () => (await callUrl(`${other.url}${secret}`)).status === 200, {
    what: 'others are trusted',
  });
  for (const url of [`http://127.0.0.1:${t.proxy.publicPort}`, other.url]) {
    assert.equal((await from(`${url}/function/open/`)).status, 200);
    for (const path of [secret, '/async-function/secret/', '/function/secret.default/'])
      assert.equal((await from(`${url}${path}`)).status, 404, `${url}${path}`);
    using h2 = h2Client(url, { ...BALANCER } as object);
    assert.equal((await h2.call(secret)).status, 404);
    const grpc = { 'content-type': 'application/grpc', 'slimfaas-function': 'secret', te: 'trailers' };
    assert.equal((await h2.call('/a.B/C', { headers: grpc, body: 'x' })).headers['grpc-status'], '12');
    assert.equal((await h2.call('/status-functions')).status, 404);
    assert.equal((await from(`${url}/status-functions`)).headers['slimfaas-reason'], 'unknown-route');
  }
  const upgrade = await rawCall(t.proxy.publicPort, `GET ${secret} HTTP/1.1\r\n${UPGRADE}`);
  assert.match(upgrade, /^HTTP\/1.1 404 /);
});

test('names of pods and addresses stay inside: status, reasons of calls, upgrades and HTTP/2', async () => {
  await using t = await startTestProxy([
    '--public-port=0',
    '--public-routes=function,status',
    '--cold-start-timeout=1',
  ]);
  await world(t);
  const url = `http://127.0.0.1:${t.proxy.publicPort}`;
  t.addFunction('cold', {}, { replicas: 1 });
  t.setPod('cold', 'cold-pod-1', '', {
    isReady: false,
    hasSidecar: false,
    status: { phase: 'Pending', conditions: [] },
  });
  const known = async () => (await callUrl(`${t.url}/status-function/cold`)).text.includes('cold-pod-1');
  await waitFor(known, { what: 'the function and its pod are known' });
  const failure = await callUrl(`${t.url}/function/cold/`);
  assert.equal(failure.status, 504);
  assert.match(failure.text, /pod cold-pod-1 has no sidecar/, 'inside it is told');
  using h2 = h2Client(url);
  const answers = await Promise.all([
    callUrl(`${url}/function/cold/`),
    h2.call('/function/cold/'),
    rawCall(t.proxy.publicPort, `GET /function/cold/ HTTP/1.1\r\n${UPGRADE}`).then((text) => ({
      text,
      status: 504,
      headers: {},
    })),
    callUrl(`${url}/status-functions`),
    callUrl(`${url}/status-function/open`),
  ]);
  for (const { text, headers } of answers) {
    assert.doesNotMatch(text + JSON.stringify(headers), /-pod-1|caller|127\.\d/);
    assert.match(text, /no pod of the function was ready in time|"NumberReady":1/);
  }
  assert.match(answers[4].text, /"Pods":\[\{"State":"ready"\},\{"State":"starting"\}\]/);
  assert.doesNotMatch(answers[3].text, /secret/);
  assert.match((await callUrl(`${t.url}/status-function/open`)).text, /"Name":"open-pod-1"/);
});

test('of a job the state and its times are told outside, no pod and no error', () => {
  const tried = {
    startedAt: 'a',
    endedAt: 'b',
    pod: 'fib-1',
    status: 502,
    error: 'connect ECONNREFUSED 10.0.0.1',
  };
  const view = {
    id: 'x',
    state: 'dead',
    acceptedAt: 'c',
    tries: [tried],
    why: 'fib-1 broke',
  } as unknown as JobView;
  assert.deepEqual(jobForOutside(view), {
    id: 'x',
    state: 'dead',
    acceptedAt: 'c',
    tries: [{ startedAt: 'a', endedAt: 'b' }],
  });
});

test('--public-routes that there are not are an error that names those there are', () => {
  assert.throws(
    () => new PublishedRoutes(['function', 'metrics']),
    (error) =>
      error instanceof UsageError &&
      /"metrics" is not allowed; use function, async-function, publish-event, jobs/.test(error.message),
  );
});
