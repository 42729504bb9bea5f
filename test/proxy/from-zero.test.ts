import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { request, Agent, type ClientRequest, type IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { isFasterThan, settled, waitFor } from '../helpers/wait.ts';
import type { FakeFunction } from './support/fake-pod.ts';
import { startTestProxy, type TestProxy } from './support/test-proxy.ts';
import { collectWakes, statusOf } from './support/wakes.ts';

test('a call to a ready pod is answered by it', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const pod = await t.addPod('fib', { run: (req, res) => res.end(`you asked for ${req.url}`) });
  await t.readyPods('fib', 1);
  const response = await fetch(`${t.url}/function/fib/a%2Fb//c?x=1&y=%20`);
  assert.equal(response.status, 200);
  assert.equal(await response.text(), 'you asked for /a%2Fb//c?x=1&y=%20');
  assert.equal(response.headers.get('slimfaas-load'), null);
  assert.equal(pod.seen.length, 1);
});

test('behaviour 10: zero replicas, 1,000 callers at once: all 200, in order of arrival, one wake sized by them', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib', { 'SlimFaas/NumberParallelRequestPerPod': '5' });
  const wakes = collectWakes(t, 'fib');
  const agent = new Agent({ maxSockets: Infinity });
  // One after the other into the proxy, so that the order of arrival is known.
  const answers: Promise<number>[] = [];
  for (let i = 0; i < 1_000; i++) {
    answers.push(statusOfCall(t, `/function/fib/${i}`, agent));
    if (i % 50 === 49)
      await waitFor(async () => (await statusOf(t, 'fib')).Waiting === i + 1, { what: `${i + 1} wait` });
  }
  await waitFor(() => wakes.some((wake) => wake.waiting >= 512), { what: 'the wake tells how many wait' });
  const pod = await t.addPod('fib', { limit: 5, run: answerIn2Ms });
  const statuses = await Promise.all(answers);
  agent.destroy();
  assert.deepEqual([...new Set(statuses)], [200]);
  const order = pod.seen.map((path) => Math.floor(Number(path.slice(1)) / 50));
  assert.deepEqual(
    order,
    order.toSorted((a, b) => a - b),
    'batches come in order of arrival',
  );
  assert.equal(pod.mostRunning, 5);
  assert.equal(pod.refusals, 0, 'a limit that is known is never overrun by a single proxy');
  assert.equal((await statusOf(t, 'fib')).Waiting, 0);
});

test('a wake goes out at once, again each second while a call waits, and no more when it has left', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  t.addFunction('other');
  const wakes = collectWakes(t, 'fib');
  const call = startCall(t, '/function/fib/');
  await waitFor(() => wakes.length >= 3, { what: 'a first wake and two repeats' });
  assert.deepEqual(wakes[0], { from: 'proxy', waiting: 1 });
  call.destroy();
  await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 0, { what: 'the caller left the queue' });
  await settled(() => wakes.length, { what: 'no more wakes', forMs: 1_500 });
  const measure = async (): Promise<number> => {
    const others = collectWakes(t, 'other');
    await t.link.connection?.flush();
    const begun = performance.now();
    const other = startCall(t, '/function/other/');
    await waitFor(() => others.length > 0, { what: 'a first wake', intervalMs: 1 });
    const took = performance.now() - begun;
    other.destroy();
    await waitFor(async () => (await statusOf(t, 'other')).Waiting === 0, { what: 'it left' });
    await settled(() => others.length, { what: 'no more wakes', forMs: 200 });
    return took;
  };
  await isFasterThan(500, measure, { what: 'the first wake, which is not the one of the next second,' });
});

test("the sidecar's own ready is believed before Kubernetes looked, only of a pod that the watch knows", async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const pod = await t.addPod('fib', { name: 'p', isReady: false });
  const call = statusOfCall(t, '/function/fib/');
  await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 1, { what: 'the call waits' });
  t.sayReady('fib', 'p', '10.9.9.9');
  t.sayReady('other', 'p', pod.ip);
  t.sayReady('fib', 'q', pod.ip);
  await t.link.connection?.flush();
  assert.equal((await statusOf(t, 'fib')).NumberReady, 0, 'another address, function or pod');
  t.sayReady('fib', 'p', pod.ip);
  assert.equal(await call, 200);
  // Kubernetes said Ready once, and then no more: from then on it decides.
  t.setPod('fib', 'p', pod.ip, { isReady: true });
  t.setPod('fib', 'p', pod.ip, { isReady: false });
  await t.readyPods('fib', 0);
  t.sayReady('fib', 'p', pod.ip);
  await t.link.connection?.flush();
  assert.equal((await statusOf(t, 'fib')).NumberReady, 0);
});

test('a ready message that comes before the watch has seen the pod is kept', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  t.addFunction('other');
  const decoy = await t.addPod('other', { isReady: false, name: 'decoy' });
  t.sayReady('fib', 'early', decoy.ip);
  t.sayReady('other', 'decoy', decoy.ip);
  await t.readyPods('other', 1); // NATS keeps the order, so the early one was heard too
  t.setPod('fib', 'early', decoy.ip, { isReady: false });
  await t.readyPods('fib', 1);
});

test('behaviour 11: zero replicas, a 100 MB chunked upload, a slow function: memory bounded, bytes equal', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const size = 100 * 1024 * 1024;
  const chunk = Buffer.alloc(256 * 1024, 7);
  const call = request(`${t.url}/function/fib/upload`, { method: 'POST' });
  let sent = 0;
  const send = (): void => {
    while (sent < size) {
      sent += chunk.length;
      if (!call.write(chunk)) return void call.once('drain', send);
    }
    call.end();
  };
  send();
  await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 1, { what: 'the upload waits' });
  const sentWaiting = await settled(() => sent, { what: 'the buffers are full', forMs: 200 });
  const hash = createHash('sha256');
  let received = 0;
  let mostOnTheWay = sentWaiting;
  await t.addPod('fib', {
    run(req, res) {
      req.on('data', (data: Buffer) => {
        hash.update(data);
        received += data.length;
        mostOnTheWay = Math.max(mostOnTheWay, sent - received);
        if (received % (4 * 1024 * 1024) >= data.length) return;
        req.pause();
        setTimeout(() => req.resume(), 10);
      });
      req.on('end', () => res.end(hash.digest('hex')));
    },
  });
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  const expected = createHash('sha256');
  for (let i = 0; i < size; i += chunk.length) expected.update(chunk);
  assert.equal(await textOf(response), expected.digest('hex'));
  // Four kernel buffers of up to 6 MB lie between client and function; what the proxy holds is the rest.
  assert.ok(mostOnTheWay < 30 * 1024 * 1024, `${mostOnTheWay} bytes had been sent and not received`);
});

test('behaviour 12: zero replicas, scale-up impossible: 504 with the cause in it', async () => {
  await using t = await startTestProxy(['--cold-start-timeout=1']);
  t.addFunction('fib');
  t.addFunction('shop', { 'slimfaas.dev/cold-start-timeout': '1' }, { replicas: 1 });
  t.addFunction(
    'quota',
    {},
    {
      replicas: 1,
      status: {
        conditions: [{ type: 'ReplicaFailure', status: 'True', message: 'exceeded quota: compute' }],
      },
    },
  );
  await t.addPod('shop', {
    isDeaf: true,
    isReady: false,
    status: {
      containerStatuses: [
        { name: 'app', state: { waiting: { reason: 'ErrImagePull', message: 'no such image: shop:9' } } },
      ],
    },
  });
  const messages = await Promise.all(
    ['fib', 'shop', 'quota'].map(async (name) => {
      const response = await fetch(`${t.url}/function/${name}/`);
      assert.equal(response.status, 504);
      assert.equal(response.headers.get('slimfaas-reason'), 'cold-start-timeout');
      return ((await response.json()) as { message: string }).message;
    }),
  );
  assert.match(messages[0] ?? '', /the scaler did not act/);
  assert.match(messages[1] ?? '', /image pull failed.*no such image: shop:9/);
  assert.match(messages[2] ?? '', /exceeded quota: compute/);
});

test('behaviour 13: callers abandon after a moment, 200 a second: no growth, and the function never hears of them', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const pod = await t.addPod('fib', { limit: 1, run: () => undefined });
  await t.readyPods('fib', 1);
  const holder = startCall(t, '/function/fib/holder');
  await waitFor(() => pod.running === 1, { what: 'the only place is taken' });
  const agent = new Agent({ maxSockets: Infinity });
  for (let round = 0; round < 10; round++) {
    const calls = Array.from({ length: 100 }, () => startCall(t, '/function/fib/leaver', agent));
    await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 100, { what: 'they wait' });
    for (const call of calls) call.destroy();
    await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 0, { what: 'they left' });
  }
  agent.destroy();
  const metrics = await (await fetch(`${t.url}/metrics`)).text();
  assert.match(metrics, /slimfaas_proxy_waiting_bytes 0\n/);
  assert.match(metrics, /slimfaas_proxy_waiting_requests\{namespace="default",function="fib"\} 0\n/);
  assert.match(
    metrics,
    /slimfaas_proxy_requests_total\{namespace="default",function="fib",code="cancelled"\} 1000\n/,
  );
  holder.destroy();
  await waitFor(() => pod.running === 0, { what: 'a running call is cancelled in the pod' });
  assert.deepEqual(pod.seen, ['/holder']);
});

test('behaviour 14: the pod is gone between choice and connect: another pod, or the queue, and 200', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  await t.addPod('fib', { isDeaf: true, name: 'gone' });
  await t.readyPods('fib', 1);
  const alone = statusOfCall(t, '/function/fib/alone');
  await waitFor(async () => (await statusOf(t, 'fib')).Pods[0]?.Trouble !== undefined, {
    what: 'it is suspect',
  });
  const pod = await t.addPod('fib');
  assert.equal(await alone, 200);
  const many = await Promise.all(Array.from({ length: 20 }, () => statusOfCall(t, '/function/fib/many')));
  assert.deepEqual([...new Set(many)], [200]);
  assert.equal(pod.seen.length, 21);
});

test('behaviour 14: one of two live pods is closed and nobody says so: all calls are answered by the other', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const gone = await t.addPod('fib');
  const stays = await t.addPod('fib');
  await t.readyPods('fib', 2);
  const calls = (count: number) =>
    Promise.all(Array.from({ length: count }, () => statusOfCall(t, '/function/fib/', undefined, 'a body')));
  while (gone.seen.length === 0 || stays.seen.length === 0) await calls(8);
  await gone[Symbol.asyncDispose]();
  const before = gone.seen.length + stays.seen.length;
  for (let round = 0; round < 5; round++) assert.deepEqual([...new Set(await calls(20))], [200]);
  assert.equal(gone.seen.length + stays.seen.length, before + 100, 'each has run once');
});

test('behaviour 15: a pod is reported ready and refuses connections: tried again, 200', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const pod = await t.addPod('fib', { isDeaf: true });
  await t.readyPods('fib', 1);
  const call = statusOfCall(t, '/function/fib/', undefined, 'a body');
  await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 1, { what: 'it is back in the queue' });
  await pod.listen();
  assert.equal(await call, 200);
});

test('a pod that refuses connections for ever: 504 that says so', async () => {
  await using t = await startTestProxy(['--cold-start-timeout=1']);
  t.addFunction('fib');
  await t.addPod('fib', { isDeaf: true, name: 'deaf' });
  await t.readyPods('fib', 1);
  const response = await fetch(`${t.url}/function/fib/`);
  assert.equal(response.status, 504);
  assert.match(await response.text(), /pod deaf does not take calls.*ECONNREFUSED/);
});

function startCall(t: TestProxy, path: string, agent?: Agent): ClientRequest {
  const call = request(`${t.url}${path}`, { agent });
  call.on('error', () => undefined);
  call.end();
  return call;
}

async function statusOfCall(t: TestProxy, path: string, agent?: Agent, body?: string): Promise<number> {
  const call = request(`${t.url}${path}`, { agent, method: body === undefined ? 'GET' : 'POST' });
  call.end(body);
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  await textOf(response);
  return response.statusCode ?? 0;
}

async function textOf(response: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of response) text += String(chunk);
  return text;
}

const answerIn2Ms: FakeFunction = (_req, res) => void setTimeout(() => res.end(), 2);
