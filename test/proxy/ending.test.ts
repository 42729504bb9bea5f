import assert from 'node:assert/strict';
import { Agent } from 'node:http';
import { connect } from 'node:net';
import { test } from 'node:test';
import { longestEndMs } from '../../proxy/edge/ending.ts';
import { isFasterThan, staysTrue, waitFor } from '../helpers/wait.ts';
import { callUrl, startCall } from './support/calls.ts';
import type { FakeFunction } from './support/fake-pod.ts';
import { startTestProxy } from './support/test-proxy.ts';
import { statusOf } from './support/wakes.ts';

test('behaviour 25: the proxy is rolled under load: 100 % answered', async () => {
  await using t = await startTestProxy(['--lame-duck=1']);
  t.addFunction('fib');
  const pods = [await t.addPod('fib', { run: answerIn30Ms }), await t.addPod('fib', { run: answerIn30Ms })];
  await t.readyPods('fib', 2);
  const next = await t.another();
  await waitFor(async () => (await statusOf(next, 'fib')).NumberReady === 2, { what: 'the next one knows' });
  // What a Service does: new connections go to endpoints that are ready, and it learns late.
  let target = t.url;
  const agent = new Agent({ keepAlive: true, maxSockets: 20 });
  const statuses: number[] = [];
  const load = { isRunning: true };
  const client = async (i: number): Promise<void> => {
    while (load.isRunning) statuses.push((await callUrl(`${target}/function/fib/${i}`, { agent })).status);
  };
  const clients = Array.from({ length: 20 }, (_, i) => client(i));
  await waitFor(() => statuses.length > 200, { what: 'load runs' });
  const stopped = t.proxy.stop();
  const ready = await callUrl(`${t.metricsUrl}/ready`);
  assert.equal(ready.status, 503);
  assert.match(ready.text, /the proxy is ending/);
  await new Promise((resolve) => setTimeout(resolve, 500));
  target = next.url;
  await stopped;
  const served = statuses.length;
  await waitFor(() => statuses.length > served + 200, { what: 'load goes on with the next one' });
  load.isRunning = false;
  await Promise.all(clients);
  agent.destroy();
  assert.deepEqual([...new Set(statuses)], [200]);
  assert.ok(pods.every((pod) => pod.running === 0));
});

test('a proxy that ends while no other is ready serves on, also new connections and its probe, until one is', async () => {
  await using t = await startTestProxy(['--pod-name=proxy-1', '--lame-duck=0.2', '--lame-duck-alone=60']);
  t.addFunction('fib');
  await t.addPod('fib');
  await t.readyPods('fib', 1);
  const setProxy = (name: string, isReady: boolean): void => {
    t.setPod('proxy', name, '', { isReady, annotations: {}, status: { podIP: '10.9.9.9' } });
  };
  setProxy('proxy-1', true);
  setProxy('proxy-2', false); // being started
  t.addFunction('later');
  await waitFor(async () => (await statusOf(t, 'later')) !== undefined, { what: 'the watch is that far' });
  const stopped = t.proxy.stop();
  await staysTrue(async () => (await callUrl(`${t.url}/function/fib/`)).status === 200, {
    what: 'new connections are served',
    forMs: 1_000,
  });
  assert.equal((await callUrl(`${t.metricsUrl}/ready-for-calls`)).status, 200);
  setProxy('proxy-2', true);
  await waitFor(async () => (await callUrl(`${t.metricsUrl}/ready-for-calls`)).status === 503, {
    what: 'its probe fails once another is ready',
  });
  await stopped;
});

test('an ending proxy answers what it holds: running calls, and waiting ones that still get a pod', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  t.addFunction('cold');
  const pod = await t.addPod('fib', { limit: 1, run: (_req, res) => void setTimeout(() => res.end(), 300) });
  await t.readyPods('fib', 1);
  const calls = [1, 2, 3].map((i) => callUrl(`${t.url}/function/fib/${i}`));
  const cold = callUrl(`${t.url}/function/cold/`);
  await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 2, { what: 'two wait' });
  await waitFor(async () => (await statusOf(t, 'cold')).Waiting === 1, {
    what: 'one waits for its first pod',
  });
  const stopped = t.proxy.stop();
  await t.addPod('cold');
  const answers = await Promise.all([...calls, cold]);
  assert.deepEqual(
    answers.map((answer) => answer.status),
    [200, 200, 200, 200],
  );
  assert.deepEqual(new Set(answers.map((answer) => answer.headers.connection)), new Set(['close']));
  await stopped;
  assert.deepEqual(pod.seen, ['/1', '/2', '/3']);
});

test('who still waits when the drain is over is told so: 503 shutting-down', async () => {
  await using t = await startTestProxy(['--drain-timeout=1']);
  t.addFunction('cold');
  const call = callUrl(`${t.url}/function/cold/`);
  await waitFor(async () => (await statusOf(t, 'cold')).Waiting === 1, { what: 'it waits' });
  await t.proxy.stop();
  const answer = await call;
  assert.deepEqual([answer.status, answer.headers['slimfaas-reason']], [503, 'shutting-down']);
  assert.equal(answer.headers['retry-after'], '1');
});

test('the drain is bounded: a call that does not end is cut, and the proxy goes', async () => {
  await using t = await startTestProxy(['--drain-timeout=1']);
  t.addFunction('fib');
  const pod = await t.addPod('fib', { run: () => undefined });
  await t.readyPods('fib', 1);
  const call = startCall(`${t.url}/function/fib/`);
  const cut = new Promise((resolve) => call.once('close', resolve));
  await waitFor(() => pod.running === 1, { what: 'it runs' });
  const before = performance.now();
  await t.proxy.stop();
  assert.ok(performance.now() - before < 15_000, 'the call itself would run for 120 s');
  await cut;
});

test('an idle proxy stops at once, idle connections and all', async () => {
  const measure = async (): Promise<number> => {
    await using t = await startTestProxy();
    const socket = connect(t.port, '127.0.0.1');
    const closed = new Promise((resolve) => socket.once('close', resolve));
    socket.resume();
    socket.write('GET /health HTTP/1.1\r\nHost: h\r\n\r\n');
    await new Promise((resolve) => socket.once('data', resolve));
    const before = performance.now();
    await t.proxy.stop();
    const took = performance.now() - before;
    await closed;
    return took;
  };
  await isFasterThan(1_000, measure, { what: 'stopping' });
});

test('the longest ending is that of a proxy that is alone, with all its steps', () => {
  const times = { lameDuckMs: 3_000, aloneMs: 20_000, drainMs: 120_000 };
  assert.equal(longestEndMs(times, 10_000), 10_000 + 20_000 + 3_000 + 120_000 + 500);
  assert.equal(longestEndMs(times, 1_000), 3_000 + 20_000 + 3_000 + 120_000 + 500);
});

const answerIn30Ms: FakeFunction = (_req, res) => void setTimeout(() => res.end('ok'), 30);
