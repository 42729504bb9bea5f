/** The proxy's half of the contract with the sidecar, against the real one. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { Agent, createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import type { RunningSidecar } from '../../sidecar/start.ts';
import { ownAddress } from '../helpers/addresses.ts';
import { waitFor } from '../helpers/wait.ts';
import { callUrl, startCall } from './support/calls.ts';
import type { FakeFunction } from './support/fake-pod.ts';
import { startSidecarBeside } from './support/real-sidecar.ts';
import { startTestProxy, type TestProxy } from './support/test-proxy.ts';
import { statusOf } from './support/wakes.ts';

test('a waiting call leaves when the real sidecar says ready, seconds before Kubernetes would', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const call = callUrl(`${t.url}/function/fib/hello?x=%20`);
  await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 1, { what: 'it waits' });
  await using pod = await startPod(t, 'p', (req, res) => res.end(`app saw ${req.url}`));
  t.setPod('fib', 'p', pod.ip, { isReady: false });
  const answer = await call;
  assert.deepEqual([answer.status, answer.text], [200, 'app saw /hello?x=%20']);
  assert.equal(answer.headers['slimfaas-load'], undefined);
});

test('an app that does not listen is named with its port, and its pod is not called ready', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib', { 'slimfaas.dev/cold-start-timeout': '3' });
  const ip = ownAddress();
  const sidecar = await startSidecarBeside(t, { name: 'p', ip, port: 8_123 });
  try {
    for (const isReady of [false, true]) {
      t.setPod('fib', 'p', ip, { isReady }); // without a readinessProbe Kubernetes calls it ready
      const call = callUrl(`${t.url}/function/fib/`);
      await waitFor(
        async () => {
          const { Pods, NumberReady } = await statusOf(t, 'fib');
          assert.deepEqual([NumberReady, Pods[0]?.State], [0, 'starting']);
          return Pods[0]?.Trouble?.includes('port 8123 refuses connections: ECONNREFUSED');
        },
        { what: `the page says why, ${isReady}` },
      );
      const answer = await call;
      assert.equal(answer.status, 504);
      assert.match(
        answer.text,
        /pod p .*its app takes no calls: port 8123 refuses connections: ECONNREFUSED/,
      );
      assert.doesNotMatch(answer.text, /readiness probe/);
    }
  } finally {
    await sidecar.stop();
  }
});

test('two proxies and direct callers at one sidecar: its limit holds, and everybody is answered', async () => {
  await using t = await startTestProxy();
  const other = await t.another();
  t.addFunction('fib', { 'SlimFaas/NumberParallelRequestPerPod': '3' });
  const app = { running: 0, most: 0 };
  const run: FakeFunction = (_req, res) => {
    app.most = Math.max(app.most, ++app.running);
    setTimeout(() => res.end(), 5);
    res.once('close', () => app.running--);
  };
  await using pod = await startPod(t, 'p', run, ['--parallel-per-pod=3', '--queue-limit=500']);
  t.setPod('fib', 'p', pod.ip);
  await t.readyPods('fib', 1);
  const agent = new Agent({ maxSockets: 100 });
  const bases = [`${t.url}/function/fib`, `${other.url}/function/fib`, `http://${pod.ip}:15080`];
  const calls = Array.from({ length: 300 }, (_, i) =>
    callUrl(`${bases[i % 3]}/${i}`, { agent, ...(i % 2 && { body: `body ${i}` }) }),
  );
  const statuses = (await Promise.all(calls)).map((answer) => answer.status);
  agent.destroy();
  assert.deepEqual([...new Set(statuses)], [200]);
  assert.equal(app.most, 3);
});

test('a draining sidecar refuses, and its calls go to another pod', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  await using a = await startPod(t, 'a', (_req, res) => void setTimeout(() => res.end('a'), 200));
  await using b = await startPod(t, 'b', (_req, res) => res.end('b'));
  t.setPod('fib', 'a', a.ip);
  await t.readyPods('fib', 1);
  const running = callUrl(`${t.url}/function/fib/`);
  await waitFor(async () => (await statusOf(t, 'fib')).Running === 1, { what: 'one runs in a' });
  t.setPod('fib', 'b', b.ip);
  await t.readyPods('fib', 2);
  const stopped = a.sidecar.stop();
  const later = await Promise.all(Array.from({ length: 20 }, () => callUrl(`${t.url}/function/fib/`)));
  assert.deepEqual([...new Set(later.map((answer) => answer.text))], ['b']);
  assert.equal((await running).text, 'a', 'what ran in it is answered');
  await stopped;
});

test('HttpTimeout is the sidecar’s: 504 function-timeout comes through as it is', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const policy = JSON.stringify({
    httpTimeoutSeconds: 1,
    timeoutRetriesSeconds: [],
    httpStatusRetries: [],
    retriesSetByUser: false,
  });
  await using pod = await startPod(t, 'p', () => undefined, [`--sync-policy=${policy}`]);
  t.setPod('fib', 'p', pod.ip);
  await t.readyPods('fib', 1);
  const answer = await callUrl(`${t.url}/function/fib/`);
  assert.deepEqual([answer.status, answer.headers['slimfaas-reason']], [504, 'function-timeout']);
});

test('a WebSocket through both hops, and the place it holds', async () => {
  await using t = await startTestProxy();
  t.addFunction('chat');
  const sockets = new WebSocketServer({ noServer: true });
  await using pod = await startPod(t, 'p', () => undefined, ['--function=chat', '--parallel-per-pod=1']);
  pod.app.on('upgrade', (req, socket, head) => {
    sockets.handleUpgrade(req, socket, head, (client) => {
      client.on('message', (data: Buffer) => client.send(`echo ${data.toString()}`));
    });
  });
  t.setPod('chat', 'p', pod.ip);
  await t.readyPods('chat', 1);
  const client = new WebSocket(`${t.url.replace('http', 'ws')}/function/chat/`);
  await once(client, 'open');
  client.send('hi');
  const [message] = (await once(client, 'message')) as [Buffer];
  assert.equal(message.toString(), 'echo hi');
  const second = startCall(`${t.url}/function/chat/`);
  await waitFor(async () => (await statusOf(t, 'chat')).Waiting === 1, { what: 'no place beside it' });
  second.destroy();
  client.terminate();
  await waitFor(async () => (await statusOf(t, 'chat')).Running === 0, { what: 'its place is free' });
});

interface RealPod extends AsyncDisposable {
  readonly ip: string;
  readonly app: Server;
  readonly sidecar: RunningSidecar;
}

/** A function on a loopback address of its own with its sidecar beside it, as the kubelet would start them. */
async function startPod(
  t: TestProxy,
  name: string,
  run: FakeFunction,
  flags: readonly string[] = [],
): Promise<RealPod> {
  const ip = ownAddress();
  const app = createServer(run);
  app.listen(0, ip);
  await once(app, 'listening');
  const { port } = app.address() as AddressInfo;
  const sidecar = await startSidecarBeside(t, { name, ip, port, flags });
  return {
    ip,
    app,
    sidecar,
    async [Symbol.asyncDispose]() {
      await sidecar.stop();
      app.close();
      app.closeAllConnections();
    },
  };
}
