import assert from 'node:assert/strict';
import { Agent, request } from 'node:http';
import { test } from 'node:test';
import { encodeMessage, type ActivityMessage } from '../../common/bus/messages.ts';
import { functionSubject } from '../../common/bus/subjects.ts';
import { waitFor } from '../helpers/wait.ts';
import { callUrl, startCall } from './support/calls.ts';
import type { FakeFunction } from './support/fake-pod.ts';
import { startTestProxy } from './support/test-proxy.ts';
import { statusOf } from './support/wakes.ts';

const FIB = { namespace: 'default', name: 'fib' };

test('a full function: the queue is bounded, and beyond it 429 queue-full with Retry-After', async () => {
  await using t = await startTestProxy(['--queue-limit=2']);
  t.addFunction('fib');
  t.addFunction('tiny', { 'slimfaas.dev/queue-limit': '1' });
  const waiting = ['fib', 'fib', 'tiny'].map((fn) => startCall(`${t.url}/function/${fn}/`));
  await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 2, { what: 'two wait' });
  await waitFor(async () => (await statusOf(t, 'tiny')).Waiting === 1, { what: 'one waits' });
  for (const fn of ['fib', 'tiny']) {
    const refused = await callUrl(`${t.url}/function/${fn}/`);
    assert.equal(refused.status, 429);
    assert.equal(refused.headers['slimfaas-reason'], 'queue-full');
    assert.equal(refused.headers['retry-after'], '1');
    assert.equal((JSON.parse(refused.text) as { error: string }).error, 'queue-full');
  }
  for (const call of waiting) call.destroy();
});

test("the proxy's own bound over all functions holds too, in calls and in bytes", async () => {
  await using t = await startTestProxy(['--queue-total=2', '--queue-bytes=150000']);
  for (const name of ['a', 'b', 'c']) t.addFunction(name);
  const big = startCall(`${t.url}/function/a/`, { method: 'POST', headers: { 'Content-Length': '70000' } });
  await waitFor(async () => (await statusOf(t, 'a')).Waiting === 1, { what: 'the upload waits' });
  const bytes = await callUrl(`${t.url}/function/b/`, { body: 'x'.repeat(60_000) });
  assert.equal(bytes.status, 429);
  assert.match(bytes.text, /bytes/);
  const small = startCall(`${t.url}/function/b/`);
  await waitFor(async () => (await statusOf(t, 'b')).Waiting === 1, { what: 'a small one still fits' });
  const calls = await callUrl(`${t.url}/function/c/`);
  assert.equal(calls.status, 429);
  assert.match(calls.text, /2 calls are waiting in this proxy/);
  big.destroy();
  small.destroy();
});

test('one function’s chunked callers do not use up what others may hold', async () => {
  await using t = await startTestProxy(['--queue-bytes=4000000']);
  for (const name of ['stuck', 'asleep']) t.addFunction(name);
  const chunked = { method: 'POST', headers: { 'Transfer-Encoding': 'chunked' } };
  const statuses: number[] = [];
  const calls = Array.from({ length: 50 }, () => {
    const call = request(`${t.url}/function/stuck/`, chunked);
    call.on('error', () => undefined);
    call.on('response', (answer) => void statuses.push(answer.statusCode ?? 0));
    call.flushHeaders();
    return call;
  });
  await waitFor(async () => statuses.length + (await statusOf(t, 'stuck')).Waiting === 50, {
    what: 'all wait or are refused',
  });
  assert.deepEqual([...new Set(statuses)], [429]);
  const other = startCall(`${t.url}/function/asleep/`, {
    headers: { 'Content-Length': '70000' },
    method: 'POST',
  });
  await waitFor(async () => (await statusOf(t, 'asleep')).Waiting === 1, {
    what: 'another function’s caller waits',
  });
  for (const call of [...calls, other]) call.destroy();
});

test('the status shows what waits and runs in all proxies, whichever answers', async () => {
  await using t = await startTestProxy(['--pod-name=proxy-1']);
  const other = await t.another(['--pod-name=proxy-2']);
  t.addFunction('fib');
  const pod = await t.addPod('fib', { limit: 1, run: () => undefined });
  await t.readyPods('fib', 1);
  const calls = [t.url, other.url, other.url].map((url) => startCall(`${url}/function/fib/`));
  await waitFor(() => pod.running === 1, { what: 'one runs' });
  for (const proxy of [t, other])
    await waitFor(
      async () => {
        const { Waiting, Running } = await statusOf(proxy, 'fib');
        return Waiting === 2 && Running === 1;
      },
      { what: 'both show two that wait and one that runs' },
    );
  for (const call of calls) call.destroy();
  for (const proxy of [t, other])
    await waitFor(async () => (await statusOf(proxy, 'fib')).Waiting === 0, {
      what: 'both show that none waits',
    });
});

test('all places taken for longer than HttpTimeout: 503 queue-timeout, and the function never hears of the call', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib', { 'SlimFaas/Configuration': '{"DefaultSync":{"HttpTimeout":1}}' });
  const pod = await t.addPod('fib', { limit: 1, run: () => undefined });
  await t.readyPods('fib', 1);
  const holder = startCall(`${t.url}/function/fib/holder`);
  await waitFor(() => pod.running === 1, { what: 'the place is taken' });
  const late = await callUrl(`${t.url}/function/fib/late`);
  assert.equal(late.status, 503);
  assert.equal(late.headers['slimfaas-reason'], 'queue-timeout');
  assert.deepEqual(pod.seen, ['/holder']);
  holder.destroy();
});

test('a call that the sidecar sends back waits before all who came later', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const pod = await t.addPod('fib', { limit: 10 });
  await t.readyPods('fib', 1);
  pod.refusing = 'full'; // somebody else took the places; the proxy cannot know yet
  const first = callUrl(`${t.url}/function/fib/first`, { body: 'kept for replay' });
  await waitFor(async () => pod.refusals > 0 && (await statusOf(t, 'fib')).Waiting === 1, {
    what: 'it is back',
  });
  const second = callUrl(`${t.url}/function/fib/second`);
  await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 2, { what: 'the second is behind it' });
  const asked = pod.refusals;
  await waitFor(() => pod.refusals > asked + 2, { what: 'the pod is asked again by the clock' });
  pod.refusing = undefined;
  assert.deepEqual([(await first).status, (await second).status], [200, 200]);
  assert.deepEqual(pod.seen, ['/first', '/second']);
});

test('a full pod is asked again politely: not in a tight loop', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const pod = await t.addPod('fib');
  await t.readyPods('fib', 1);
  pod.refusing = 'full';
  const calls = Array.from({ length: 200 }, () => startCall(`${t.url}/function/fib/`));
  await waitFor(() => pod.refusals > 0, { what: 'a first refusal' });
  await new Promise((resolve) => setTimeout(resolve, 2_000));
  // 10 calls may be on their way before the first refusal; then 50, 100, 200 … ms: about 8 in two seconds.
  assert.ok(pod.refusals < 40, `${pod.refusals} refusals in 2 s`);
  pod.refusing = undefined;
  await waitFor(() => pod.seen.length === 200, { what: 'all are served' });
  for (const call of calls) call.destroy();
});

test("a sidecar's report of free places moves the line at once", async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const pod = await t.addPod('fib', { name: 'p', limit: 3 });
  await t.readyPods('fib', 1);
  const report = sidecarReport('p', 3, 3);
  t.link.publish(functionSubject('activity', FIB), encodeMessage(report));
  pod.refusing = 'full';
  const call = callUrl(`${t.url}/function/fib/`);
  await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 1, {
    what: 'all places are believed taken',
  });
  pod.refusing = undefined;
  t.link.publish(functionSubject('activity', FIB), encodeMessage({ ...report, runningNow: 0 }));
  assert.equal((await call).status, 200);
});

function sidecarReport(pod: string, runningNow: number, limit: number): ActivityMessage {
  const counts = { waiting: 0, started: 0, finished: 0, failed: 0, windowMs: 1000 };
  return { source: 'sidecar', pod, running: runningNow, runningNow, limit, ...counts };
}

test('shares: a pod takes what the scaler gave it, and more as soon as it gets more', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib', { 'SlimFaas/NumberParallelRequest': '4' });
  const pod = await t.addPod('fib', { name: 'p', limit: 10, run: () => undefined });
  await t.readyPods('fib', 1);
  // The sidecar would report its share; this one reports 10, so only messages count before the first answer.
  const calls = Array.from({ length: 6 }, () => startCall(`${t.url}/function/fib/`));
  await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 5, {
    what: 'one runs until a share is heard',
  });
  assert.equal(pod.running, 1);
  t.link.publish(functionSubject('share', FIB), encodeMessage({ limit: 4, shares: { p: 4 } }));
  await waitFor(() => pod.running === 4, { what: 'four run' });
  assert.equal((await statusOf(t, 'fib')).Waiting, 2);
  for (const call of calls) call.destroy();
});

test('two proxies, three pods with two places each: never over a limit, nobody starves, everybody is answered', async () => {
  await using t = await startTestProxy();
  const other = await t.another();
  t.addFunction('fib', { 'SlimFaas/NumberParallelRequestPerPod': '2' });
  const pods = await Promise.all([1, 2, 3].map(() => t.addPod('fib', { limit: 2, run: answerIn5Ms })));
  await t.readyPods('fib', 3);
  await waitFor(async () => (await statusOf(other, 'fib')).NumberReady === 3, {
    what: 'the other knows too',
  });
  const agent = new Agent({ maxSockets: 200 });
  const calls = Array.from({ length: 400 }, (_, i) =>
    callUrl(`${i % 2 ? t.url : other.url}/function/fib/${i}`, { agent }),
  );
  const statuses = (await Promise.all(calls)).map((answer) => answer.status);
  agent.destroy();
  assert.deepEqual([...new Set(statuses)], [200]);
  for (const pod of pods) {
    assert.ok(pod.mostRunning <= 2);
    assert.ok(pod.seen.length > 40, `a pod got only ${pod.seen.length} of 400`);
  }
});

test('pods without a sidecar are called on their own port, within the limit that the proxy keeps', async () => {
  await using t = await startTestProxy();
  t.addFunction('plain', { 'SlimFaas/NumberParallelRequestPerPod': '2' });
  const seen: (string | undefined)[] = [];
  const pod = await t.addPod('plain', {
    hasSidecar: false,
    port: 8099,
    run(req, res) {
      seen.push(req.headers['slimfaas-queue'] as string | undefined);
      setTimeout(() => res.end('plain'), 5);
    },
  });
  await t.readyPods('plain', 1);
  const answers = await Promise.all(Array.from({ length: 10 }, () => callUrl(`${t.url}/function/plain/`)));
  assert.deepEqual([...new Set(answers.map((a) => a.text))], ['plain']);
  assert.equal(pod.mostRunning, 2);
  assert.deepEqual([...new Set(seen)], [undefined], 'internal headers stay between proxy and sidecar');
});

test('a draining pod gets no more calls, whoever says that it drains', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const [a, b, c] = await Promise.all(['a', 'b', 'c'].map((name) => t.addPod('fib', { name })));
  const stays = await t.addPod('fib', { name: 'stays' });
  assert.ok(a && b && c);
  await t.readyPods('fib', 4);
  a.refusing = 'draining';
  t.sayReady('fib', 'b', b.ip, 'draining');
  t.setPod('fib', 'c', c.ip, { isTerminating: true });
  await waitFor(async () => (await statusOf(t, 'fib')).NumberReady <= 2, { what: 'b and c are out' });
  const answers = await Promise.all(Array.from({ length: 40 }, () => callUrl(`${t.url}/function/fib/`)));
  assert.deepEqual([...new Set(answers.map((answer) => answer.status))], [200]);
  assert.equal(stays.seen.length, 40);
  assert.equal(b.seen.length + c.seen.length, 0);
  assert.equal((await statusOf(t, 'fib')).NumberReady, 1);
});

const answerIn5Ms: FakeFunction = (_req, res) => void setTimeout(() => res.end(), 5);
