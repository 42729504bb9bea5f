/** Work that a rate limit refuses: 429 on every way, and nothing is woken, stored or counted as activity. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitFor } from '../../helpers/wait.ts';
import { callUrl, rawCall } from '../support/calls.ts';
import { startJobProxy, type JobProxy } from '../support/job-proxy.ts';
import { startTestProxy } from '../support/test-proxy.ts';
import { collectWakes } from '../support/wakes.ts';
import { h2Client } from '../http2/h2-client.ts';

const ONCE = 'slimfaas.dev/rate-limit';
const UPGRADE = 'Connection: Upgrade\r\nUpgrade: websocket\r\n';

/** A function at zero whose only token is spent by a wake. */
async function spent(t: JobProxy): Promise<void> {
  t.proxy.addFunction('fib', {
    'SlimFaas/SubscribeEvents': 'paid',
    [ONCE]: '{"PerCaller": {"Rate": 0.01, "Burst": 1}}',
  });
  t.proxy.addFunction('other');
  for (const name of ['fib', 'other']) {
    await waitFor(async () => (await callUrl(`${t.proxy.url}/status-function/${name}`)).status === 200, {
      what: `the proxy knows ${name}`,
    });
  }
}

test('calls, upgrades, HTTP/2, gRPC, jobs, events and wakes are refused alike, and wake nothing', async () => {
  await using t = await startJobProxy();
  await spent(t);
  const { url, port } = t.proxy;
  const wakes = collectWakes(t.proxy, 'fib');
  const others = collectWakes(t.proxy, 'other');
  assert.equal((await callUrl(`${url}/wake-function/fib`)).status, 204);
  await waitFor(() => wakes.length === 1, { what: 'the token was good for one wake' });
  for (const path of ['function/fib/', 'async-function/fib/', 'publish-event/paid/', 'wake-function/fib']) {
    const answer = await callUrl(`${url}/${path}`, { method: 'POST', body: 'x' });
    assert.equal(answer.status, 429, path);
    assert.equal(answer.headers['slimfaas-reason'], 'rate-limited', path);
    const after = Number(answer.headers['retry-after']);
    assert.ok(after > 90 && after <= 100, `${path}: ${after}`);
    assert.match(answer.text, /0\.01 times a second, and 1 times at once/);
  }
  const upgrade = await rawCall(port, `GET /function/fib/ HTTP/1.1\r\nHost: h\r\n${UPGRADE}\r\n`);
  assert.match(upgrade, /^HTTP\/1.1 429 /);
  using h2 = h2Client(url);
  assert.equal((await h2.call('/function/fib/')).status, 429);
  const grpc = { 'content-type': 'application/grpc', 'slimfaas-function': 'fib', te: 'trailers' };
  const refused = await h2.call('/a.B/C', { headers: grpc, body: '' });
  assert.equal(refused.headers['grpc-status'], '8', 'RESOURCE_EXHAUSTED');
  // One connection to NATS keeps the order: what had been woken before would be here.
  await callUrl(`${url}/wake-function/other`);
  await waitFor(() => others.length === 1, { what: 'the other function is woken' });
  assert.equal(wakes.length, 1);
  assert.equal(await t.depth(), 0, 'no job and no event is stored');
  const metrics = await (await fetch(`${t.proxy.metricsUrl}/metrics`)).text();
  assert.match(metrics, /slimfaas_proxy_errors_total\{[^}]*"fib",reason="rate-limited"\} 7/);
  assert.doesNotMatch(metrics, /slimfaas_proxy_requests_total\{[^}]*"fib"/, 'no activity');
  assert.match(metrics, /slimfaas_proxy_rate_limit_callers 1/);
});

test('PerFunction counts all callers together; the default of the flag, and none', async () => {
  await using t = await startTestProxy(['--rate-limit={"PerFunction":{"Rate":0.01,"Burst":2}}']);
  for (const [name, annotations] of [
    ['usual', {}],
    ['free', { [ONCE]: 'none' }],
    ['own', { [ONCE]: '{"PerFunction":{"Rate":0.01,"Burst":3}}' }],
  ] as const) {
    t.addFunction(name, annotations);
    await t.addPod(name);
    await t.readyPods(name, 1);
    const statuses: number[] = [];
    for (let i = 0; i < 4; i++) statuses.push((await callUrl(`${t.url}/function/${name}/`)).status);
    const passing = { usual: 2, free: 4, own: 3 }[name];
    assert.deepEqual(
      statuses,
      [200, 200, 200, 200].map((ok, i) => (i < passing ? ok : 429)),
      name,
    );
  }
});

test('callers behind a load balancer of ours have a bucket each', async () => {
  await using t = await startTestProxy(['--trusted-proxies=127.0.0.0/8']);
  t.addFunction('fib', { [ONCE]: '{"PerCaller":{"Rate":0.01,"Burst":1}}' });
  await t.addPod('fib');
  await t.readyPods('fib', 1);
  const call = async (from: string) =>
    (await callUrl(`${t.url}/function/fib/`, { headers: { 'X-Forwarded-For': from } })).status;
  assert.equal(await call('1.1.1.1'), 200);
  assert.equal(await call('2.2.2.2'), 200);
  assert.equal(await call('7.7.7.7, 1.1.1.1'), 429, 'what a caller wrote itself does not count');
});
