/** Places over the line between real proxies and real sidecars: turns between proxies, readiness, identity. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { test } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { encodeMessage } from '../../common/bus/messages.ts';
import { PLACES_PATH, PLACES_PROTOCOL } from '../../common/places/protocol.ts';
import { proveReady } from '../../common/places/ready-proof.ts';
import { functionSubject } from '../../common/bus/subjects.ts';
import { openPlaceLine, type LineEnd } from '../../proxy/pods/place-line.ts';
import { ownAddress } from '../helpers/addresses.ts';
import { waitFor } from '../helpers/wait.ts';
import { callUrl, rawCallTo, startCall } from './support/calls.ts';
import type { FakeFunction } from './support/fake-pod.ts';
import { startSidecarBeside } from './support/real-sidecar.ts';
import { startTestProxy, type TestProxy } from './support/test-proxy.ts';
import { statusOf } from './support/wakes.ts';

/** Nobody listens there: a pod that the enforcer of a NetworkPolicy does not let out yet. */
const NO_NATS = '--nats=nats://127.0.0.1:9';

test('two proxies at one full pod: a place that comes free goes by turns, and no more run than may', async () => {
  await using t = await startTestProxy();
  const other = await t.another();
  t.addFunction('fib', { 'SlimFaas/NumberParallelRequestPerPod': '2' });
  const app = holdingApp();
  await using pod = await startPod(t, 'p', app.run, ['--parallel-per-pod=2']);
  t.setPod('fib', 'p', pod.ip);
  await t.readyPods('fib', 1);
  await waitFor(async () => (await statusOf(other, 'fib')).NumberReady === 1, { what: 'the other knows it' });
  const over = new AbortController();
  const caller = async (base: string, path: string): Promise<void> => {
    while (!over.signal.aborted) await callUrl(`${base}/function/fib/${path}`);
  };
  const callers = [1, 2, 3, 4].flatMap(() => [caller(t.url, 'a'), caller(other.url, 'b')]);
  await waitFor(
    async () => (await statusOf(t, 'fib')).Waiting > 0 && (await statusOf(other, 'fib')).Waiting > 0,
    {
      what: 'callers wait in both',
    },
  );
  for (let i = 0; i < 80; i++) {
    await waitFor(() => app.held.length > 0, { what: `call ${i} is in the app` });
    app.held.shift()?.end();
  }
  over.abort();
  app.release();
  await Promise.all(callers);
  const [a, b] = ['/a', '/b'].map((path) => app.seen.slice(10, 80).filter((url) => url === path).length);
  assert.ok(a && b && Math.max(a, b) <= 1.2 * Math.min(a, b), `${a} of one proxy, ${b} of the other`);
  assert.equal(app.mostRunning, 2);
});

test('a pod that reaches no NATS is used as soon as it is ready, and the other proxy and the scaler hear of it', async () => {
  await using t = await startTestProxy();
  const other = await t.another();
  t.addFunction('fib');
  const heard: string[] = [];
  t.link.subscribe(functionSubject('ready', { namespace: 'default', name: 'fib' }), (_subject, data) => {
    heard.push(Buffer.from(data).toString());
  });
  const call = callUrl(`${t.url}/function/fib/hello`);
  await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 1, { what: 'it waits' });
  await using pod = await startPod(t, 'p', (_req, res) => res.end('from zero'), [NO_NATS]);
  t.setPod('fib', 'p', pod.ip, { isReady: false });
  assert.equal((await call).text, 'from zero');
  await waitFor(async () => (await statusOf(other, 'fib')).NumberReady === 1, { what: 'the other hears' });
  assert.equal((JSON.parse(heard[0] ?? '{}') as { pod?: string }).pod, 'p');
});

test('a pod whose address Kubernetes has not reported tells a proxy itself, and all believe what it proves', async () => {
  await using t = await startTestProxy();
  const other = await t.another();
  t.addFunction('fib');
  const call = callUrl(`${t.url}/function/fib/hello`);
  await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 1, { what: 'it waits' });
  t.setPod('fib', 'p', '', { isReady: false, token: 'secret' });
  const flags = [NO_NATS, '--drain-token=secret', `--proxy=${other.url}`];
  await using pod = await startPod(t, 'p', (_req, res) => res.end('from zero'), flags);
  assert.equal((await call).text, 'from zero');
  assert.equal((await statusOf(other, 'fib')).NumberReady, 1);
  t.setPod('fib', 'p', pod.ip, { token: 'secret' });
  assert.equal((await callUrl(`${t.url}/function/fib/hello`)).status, 200);
});

test('POST /pod-ready: what nobody proves is refused, each with its status', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  t.setPod('fib', 'p', '', { isReady: false, token: 'secret' });
  await waitFor(async () => (await statusOf(t, 'fib')).Pods.length === 1, { what: 'the pod is known' });
  const post = async (path: string, body: string) =>
    (await callUrl(`${t.url}/pod-ready/${path}`, { method: 'POST', body })).status;
  const message = JSON.stringify({ pod: 'p', ip: '10.0.0.1', port: 15080, state: 'ready', proof: 'x' });
  assert.equal(await post('default/fib', message), 403);
  assert.equal(await post('default/other', message), 404);
  assert.equal(await post('default/fib', '{}'), 400);
  assert.equal(await post('default/fib', 'not json'), 400);
  assert.equal(await post('default/fib', 'x'.repeat(5_000)), 413);
  assert.equal((await statusOf(t, 'fib')).NumberReady, 0);
});

test('a pod that says that it starts is told how many callers there are, and is not ready by it', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const heard: string[] = [];
  t.link.subscribe(functionSubject('ready', { namespace: 'default', name: 'fib' }), (_subject, data) => {
    heard.push(Buffer.from(data).toString());
  });
  t.setPod('fib', 'p', '', { isReady: false, token: 'secret' });
  await waitFor(async () => (await statusOf(t, 'fib')).Pods.length === 1, { what: 'the pod is known' });
  const post = async (token: string, state: 'starting' | 'ready') => {
    const message = { pod: 'p', ip: '127.0.0.1', port: 9, state };
    const body = JSON.stringify({ ...message, proof: proveReady(token, message) });
    const answer = await callUrl(`${t.url}/pod-ready/default/fib`, { method: 'POST', body });
    return [answer.status, answer.headers['slimfaas-callers']];
  };
  assert.deepEqual(await post('secret', 'starting'), [204, '0']);
  const call = startCall(`${t.url}/function/fib/`);
  await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 1, { what: 'it waits' });
  assert.deepEqual(await post('secret', 'starting'), [204, '1']);
  assert.deepEqual(await post('guess', 'starting'), [403, undefined], 'callers are nobody else’s business');
  assert.equal((await statusOf(t, 'fib')).NumberReady, 0);
  assert.deepEqual(await post('secret', 'ready'), [204, '1'], 'counted before it is sent to the pod');
  await waitFor(() => heard.length > 0, { what: 'its ready is passed on' });
  assert.deepEqual(
    heard.map((text) => (JSON.parse(text) as { state: string }).state),
    ['ready'],
  );
  call.destroy();
});

test('a pod that reaches no NATS gets its share from a proxy that heard it', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib', { 'SlimFaas/NumberParallelRequest': '3' });
  const app = holdingApp();
  await using pod = await startPod(t, 'p', app.run, [NO_NATS, '--parallel-limit=3', '--parallel-per-pod=3']);
  t.setPod('fib', 'p', pod.ip);
  await t.readyPods('fib', 1);
  const calls = [1, 2, 3, 4].map(() => startCall(`${t.url}/function/fib/`));
  await waitFor(() => app.held.length === 1, { what: 'one runs until a share is heard' });
  const share = encodeMessage({ limit: 3, shares: { p: 3 } });
  t.link.publish(functionSubject('share', { namespace: 'default', name: 'fib' }), share);
  await waitFor(() => app.held.length === 3, { what: 'three run' });
  assert.equal(app.mostRunning, 3);
  for (const call of calls) call.destroy();
  app.release();
});

test('an address that is another pod’s by now: its app never sees the call, which waits for its own', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const seen: string[] = [];
  const run: FakeFunction = (req, res) => {
    seen.push(req.url ?? '');
    res.end('the wrong one');
  };
  await using stranger = await startPod(t, 'of-another-function', run);
  t.setPod('fib', 'gone', stranger.ip);
  await t.readyPods('fib', 1);
  const call = callUrl(`${t.url}/function/fib/mine`, { body: 'with a body' });
  await waitFor(async () => (await statusOf(t, 'fib')).NumberReady === 0, { what: 'the pod counts as gone' });
  await using pod = await startPod(t, 'p', (_req, res) => res.end('mine'));
  t.setPod('fib', 'p', pod.ip);
  assert.equal((await call).text, 'mine');
  assert.deepEqual(seen, []);
});

test('a WebSocket for another pod is refused alike', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  await using stranger = await startPod(t, 'of-another-function', () => undefined);
  let strangers = 0;
  stranger.app.on('upgrade', (_req, socket) => {
    strangers++;
    socket.destroy();
  });
  t.setPod('fib', 'gone', stranger.ip);
  await t.readyPods('fib', 1);
  const client = new WebSocket(`${t.url.replace('http', 'ws')}/function/fib/`);
  await waitFor(async () => (await statusOf(t, 'fib')).NumberReady === 0, { what: 'the pod counts as gone' });
  await using pod = await startPod(t, 'p', () => undefined);
  const sockets = new WebSocketServer({ noServer: true });
  pod.app.on('upgrade', (req, socket, head) => sockets.handleUpgrade(req, socket, head, () => undefined));
  t.setPod('fib', 'p', pod.ip);
  await once(client, 'open');
  client.terminate();
  assert.equal(strangers, 0);
});

test('a proxy of the version before, beside one that waits by turns, gets its turns too', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib', { 'SlimFaas/NumberParallelRequestPerPod': '1' });
  const app = holdingApp();
  await using pod = await startPod(t, 'p', app.run, ['--parallel-per-pod=1']);
  t.setPod('fib', 'p', pod.ip);
  await t.readyPods('fib', 1);
  const calls = [1, 2, 3].map(() => startCall(`${t.url}/function/fib/new`));
  await waitFor(() => app.held.length === 1, { what: 'one runs' });
  await waitFor(async () => (await linesOf(pod)) === 1, { what: 'its proxy has a line' });
  const old = rawCallTo(
    pod.ip,
    15_080,
    'GET /old HTTP/1.1\r\nHost: p\r\nslimfaas-queue: none\r\n\r\n',
    'old answer',
  );
  const end = setInterval(() => app.held.shift()?.end('old answer'), 10);
  assert.match(await old, /^HTTP\/1.1 200 /);
  clearInterval(end);
  for (const call of calls) call.destroy();
  app.release();
});

test('an app that has crashed: its pod’s calls are answered by another pod, and wait where there is none', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  await using crashed = await startPod(t, 'a', (_req, res) => res.end('a'));
  await using well = await startPod(t, 'b', (_req, res) => res.end('b'));
  t.setPod('fib', 'a', crashed.ip);
  await t.readyPods('fib', 1);
  assert.equal((await callUrl(`${t.url}/function/fib/`)).text, 'a');
  const { port } = crashed.app.address() as AddressInfo;
  crashed.app.close();
  crashed.app.closeAllConnections();
  const waiting = callUrl(`${t.url}/function/fib/`, { body: 'a POST, which must not run twice' });
  await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 1, { what: 'it waits for a pod' });
  crashed.app.listen(port, crashed.ip);
  assert.equal((await waiting).text, 'a');
  t.setPod('fib', 'b', well.ip);
  await t.readyPods('fib', 2);
  crashed.app.close();
  crashed.app.closeAllConnections();
  const answers = await Promise.all(Array.from({ length: 20 }, () => callUrl(`${t.url}/function/fib/`)));
  assert.deepEqual([...new Set(answers.map(({ status, text }) => `${status} ${text}`))], ['200 b']);
});

test('how a line ends: nobody there, an older sidecar, another pod, one that says another name, lost', async () => {
  const ip = ownAddress();
  const dial = (): Promise<LineEnd | 'opened'> =>
    new Promise((resolve) => {
      const ignored = { place: () => undefined, state: () => undefined, trouble: () => undefined };
      const events = { ...ignored, opened: () => resolve('opened') };
      openPlaceLine({ host: ip, identity: 'ns/p' }, { ...events, ended: resolve });
    });
  assert.equal(await dial(), 'unreached');
  let status = 404;
  const server: Server = createServer((_req, res) => res.writeHead(status).end());
  server.listen(15_081, ip);
  await once(server, 'listening');
  assert.equal(await dial(), 'unsupported');
  status = 421;
  assert.equal(await dial(), 'elsewhere');
  server.on('upgrade', (_req, socket) => {
    const head = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${PLACES_PROTOCOL}\r\n`;
    socket.write(`${head}slimfaas-for: ns/other\r\n\r\n`);
    socket.on('error', () => undefined);
  });
  assert.equal(await dial(), 'elsewhere');
  server.removeAllListeners('upgrade');
  server.on('upgrade', (_req, socket) => socket.destroy());
  assert.equal(await dial(), 'unreached');
  server.close();
});

test('a pod that grants without end and reads nothing loses its line', async (t) => {
  const ip = ownAddress();
  const server: Server = createServer();
  server.on('upgrade', (_req, socket) => {
    const head = `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${PLACES_PROTOCOL}\r\n`;
    socket.on('error', () => undefined);
    socket.write(`${head}slimfaas-for: ns/p\r\n\r\n`);
    const grant = (): void => {
      while (!socket.destroyed && socket.write('place 1\n'.repeat(1_000)));
    };
    socket.on('drain', grant);
    grant();
  });
  server.listen(15_081, ip);
  await once(server, 'listening');
  t.after(() => server.close());
  const ignored = { opened: () => undefined, state: () => undefined, trouble: () => undefined };
  const how = await new Promise<LineEnd>((ended) => {
    const line = openPlaceLine(
      { host: ip, identity: 'ns/p' },
      { ...ignored, place: (id) => line.send(`back ${id}`), ended },
    );
  });
  assert.equal(how, 'lost');
});

test('the sidecar’s end of a line: wrong path, wrong pod, too many, nonsense', async () => {
  await using t = await startTestProxy();
  await using pod = await startPod(t, 'p', (_req, res) => res.end());
  const ask = (path: string, identity: string, protocol = PLACES_PROTOCOL): Promise<string> =>
    rawCallTo(pod.ip, 15_081, upgradeHead(path, identity, protocol), '\r\n\r\n');
  assert.match(await ask('/other', 'default/p'), /^HTTP\/1.1 404 /);
  assert.match(await ask(PLACES_PATH, 'default/p', 'websocket'), /^HTTP\/1.1 404 /);
  assert.match(await ask(PLACES_PATH, 'default/q'), /^HTTP\/1.1 421 [^]*slimfaas-for: default\/p/);
  assert.match(await ask(PLACES_PATH, 'default/p'), /^HTTP\/1.1 101 [^]*slimfaas-for: default\/p/);
  await waitFor(async () => (await linesOf(pod)) === 0, { what: 'the line closes with its connection' });
  const open = await Promise.all(Array.from({ length: 64 }, () => openRaw(pod.ip)));
  await waitFor(async () => (await linesOf(pod)) === 64, { what: 'all are open' });
  assert.match(await ask(PLACES_PATH, 'default/p'), /^HTTP\/1.1 503 /);
  for (const socket of open.slice(1)) socket.destroy();
  open[0]?.write('waiting -1\nwaiting 99999999999\nback nothing\nshare {}\nunknown word\n\n');
  await waitFor(async () => (await linesOf(pod)) === 1, { what: 'nonsense is ignored' });
  open[0]?.write('x'.repeat(10_000));
  await waitFor(async () => (await linesOf(pod)) === 0, { what: 'a line without end is cut' });
  assert.equal((await callUrl(`http://${pod.ip}:15080/`)).status, 200);
});

function upgradeHead(path: string, identity: string, protocol: string = PLACES_PROTOCOL): string {
  const head = `GET ${path} HTTP/1.1\r\nHost: p\r\nConnection: Upgrade\r\nUpgrade: ${protocol}\r\n`;
  return `${head}slimfaas-for: ${identity}\r\n\r\n`;
}

async function openRaw(ip: string) {
  const socket = connect(15_081, ip);
  socket.on('error', () => undefined);
  await once(socket, 'connect');
  socket.write(upgradeHead(PLACES_PATH, 'default/p'));
  await once(socket, 'data');
  return socket;
}

async function linesOf({ ip }: { ip: string }): Promise<number> {
  const text = await (await fetch(`http://${ip}:15081/metrics`)).text();
  return Number(/^slimfaas_sidecar_place_lines\{.*\} (\d+)$/m.exec(text)?.[1]);
}

/** An app that answers when the test says so. */
function holdingApp() {
  const held: ServerResponse[] = [];
  const seen: string[] = [];
  let running = 0;
  let isReleased = false;
  const app = {
    held,
    seen,
    mostRunning: 0,
    run: ((req, res) => {
      seen.push(req.url ?? '');
      app.mostRunning = Math.max(app.mostRunning, ++running);
      res.once('close', () => running--);
      if (isReleased) res.end();
      else held.push(res);
    }) satisfies FakeFunction,
    release() {
      isReleased = true;
      for (const res of held.splice(0)) res.end();
    },
  };
  return app;
}

interface RealPod extends AsyncDisposable {
  readonly ip: string;
  readonly app: Server;
}

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
  await sidecar.appReady;
  return {
    ip,
    app,
    async [Symbol.asyncDispose]() {
      await sidecar.stop();
      app.close();
      app.closeAllConnections();
    },
  };
}
