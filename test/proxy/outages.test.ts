import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { waitFor } from '../helpers/wait.ts';
import { callUrl } from './support/calls.ts';
import { startTestProxy } from './support/test-proxy.ts';
import { statusOf } from './support/wakes.ts';

test('the Kubernetes API is away: what was known last serves on, /ready says so, and all is well after', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  await t.addPod('fib', { name: 'old' });
  await t.readyPods('fib', 1);
  t.kube.setAway(true);
  await waitFor(async () => (await callUrl(`${t.url}/ready`)).status === 503, { what: '/ready notices' });
  assert.match((await callUrl(`${t.url}/ready`)).text, /pods/);
  assert.equal((await callUrl(`${t.url}/ready-for-calls`)).status, 200, 'and stays in the Service');
  for (let i = 0; i < 20; i++) assert.equal((await callUrl(`${t.url}/function/fib/`)).status, 200);
  await t.addPod('fib', { name: 'new' });
  t.kube.setAway(false);
  await t.readyPods('fib', 2);
  // Each kind has a watch of its own: that of pods is back, the others follow.
  await waitFor(async () => (await callUrl(`${t.url}/ready`)).status === 200, {
    what: '/ready is well again',
  });
});

test('a pod that went while the watch was blind is gone after the next list', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  await t.addPod('fib', { name: 'stays' });
  await t.addPod('fib', { name: 'goes' });
  await t.readyPods('fib', 2);
  t.kube.deleteUnseen('Pod', 'default', 'goes');
  t.kube.expireWatches();
  await t.readyPods('fib', 1);
});

test('a pod that comes back under its name is another pod: what was said of the old one does not hold', async () => {
  await using t = await startTestProxy();
  t.addFunction('db', {}, { kind: 'StatefulSet' });
  const pod = await t.addPod('db', { name: 'db-0', kind: 'StatefulSet' });
  await t.readyPods('db', 1);
  t.sayReady('db', 'db-0', pod.ip, 'draining');
  await t.readyPods('db', 0);
  t.setPod('db', 'db-0', pod.ip, { kind: 'StatefulSet' });
  await t.link.connection?.flush();
  assert.equal((await statusOf(t, 'db')).NumberReady, 0, 'draining is for good');
  t.kube.delete('Pod', 'default', 'db-0');
  t.setPod('db', 'db-0', pod.ip, { kind: 'StatefulSet', uid: 'another' });
  await t.readyPods('db', 1);
});

test('NATS is gone: warm calls go on, a wake goes to the scaler’s HTTP, and messages work again after', async () => {
  const wakes: string[] = [];
  const scaler = createServer((req, res) => {
    wakes.push(`${req.method} ${req.url}`);
    res.writeHead(202).end();
  });
  scaler.listen(0, '127.0.0.1');
  await once(scaler, 'listening');
  try {
    await using t = await startTestProxy([
      `--scaler-url=http://127.0.0.1:${(scaler.address() as AddressInfo).port}`,
    ]);
    t.addFunction('warm');
    t.addFunction('cold.one');
    await t.addPod('warm');
    await t.readyPods('warm', 1);
    await t.nats.kill();
    await waitFor(async () => (await callUrl(`${t.url}/ready`)).status === 503, { what: '/ready notices' });
    assert.match((await callUrl(`${t.url}/ready`)).text, /NATS/);
    assert.equal((await callUrl(`${t.url}/ready-for-calls`)).status, 200);
    assert.equal((await callUrl(`${t.url}/function/warm/`)).status, 200);
    const call = callUrl(`${t.url}/function/cold.one/`);
    await waitFor(() => wakes.length >= 2, { what: 'the scaler is asked, and again' });
    assert.equal(wakes[0], 'POST /wake/default/cold.one?waiting=1&from=proxy');
    const pod = await t.addPod('cold.one', { name: 'p', isReady: false });
    await t.nats.restart();
    await waitFor(
      async () => {
        t.sayReady('cold.one', 'p', pod.ip);
        return (await statusOf(t, 'cold.one')).NumberReady === 1;
      },
      { what: 'a ready message is heard again' },
    );
    assert.equal((await call).status, 200);
  } finally {
    scaler.close();
  }
});

test('the proxy starts while the Kubernetes API is away, says what it misses, and serves once it is back', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  await t.addPod('fib');
  t.kube.setAway(true);
  const late = t.another();
  await new Promise((resolve) => setTimeout(resolve, 300));
  t.kube.setAway(false);
  const { url } = await late;
  await waitFor(async () => (await callUrl(`${url}/function/fib/`)).status === 200, { what: 'it serves' });
});
