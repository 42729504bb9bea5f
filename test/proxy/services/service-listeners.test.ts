/** Connections by a Service of a sleeping function, at a real proxy: held, piped, or refused with a reason. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request, type IncomingMessage } from 'node:http';
import { connect as connectHttp2, createServer as createHttp2Server } from 'node:http2';
import { connect, createServer as createTcpServer, type Server } from 'node:net';
import type { Readable } from 'node:stream';
import { test } from 'node:test';
import { decodeServicePorts, SERVICE_PORTS_SUBJECT } from '../../../common/bus/service-ports.ts';
import { streamConfigs } from '../../../common/queue/jetstream/streams.ts';
import { ownAddress } from '../../helpers/addresses.ts';
import { jobSettings } from '../../helpers/jetstream.ts';
import { waitFor } from '../../helpers/wait.ts';
import { startTestProxy, type TestProxy } from '../support/test-proxy.ts';
import { callUrl } from '../support/calls.ts';
import { collectWakes, statusOf } from '../support/wakes.ts';

const PORT = 20_000;
const APP_PORT = 8_080;
const WAKE = { 'slimfaas.dev/services': 'wake' };

interface ServiceListener extends AsyncDisposable {
  readonly t: TestProxy;
  readonly host: string;
  readonly url: string;
  /** As SIGTERM does it. */
  readonly stop: () => Promise<void>;
  /** Ports that the proxy has last said to listen on. */
  ports(): readonly number[] | undefined;
}

/** A second proxy with a loopback address of its own, where ports of Services are free. */
async function openListener(
  target = String(APP_PORT),
  flags: readonly string[] = [],
): Promise<ServiceListener> {
  const host = ownAddress();
  const t = await startTestProxy(flags);
  let said: readonly number[] | undefined;
  t.link.subscribe(SERVICE_PORTS_SUBJECT, (_, data) => {
    const { pod, ports } = decodeServicePorts(data);
    if (pod === 'second') said = ports;
  });
  t.addFunction('shop', WAKE);
  const { url, stop } = await t.another([`--host=${host}`, '--pod-name=second']);
  setSlice(t, target);
  await waitFor(() => said?.includes(PORT), { what: 'the proxy says that the port is open' });
  return { t, host, url, stop, ports: () => said, [Symbol.asyncDispose]: () => t[Symbol.asyncDispose]() };
}

function setSlice(t: TestProxy, target: string, name = 'shop-slimfaas', port = PORT): void {
  t.kube.set({
    kind: 'EndpointSlice',
    metadata: {
      name,
      namespace: 'default',
      labels: {
        'kubernetes.io/service-name': 'shop',
        'endpointslice.kubernetes.io/managed-by': 'slimfaas.dev',
        'slimfaas.dev/installation': 'default',
      },
      annotations: {
        'slimfaas.dev/wakes': 'shop',
        'slimfaas.dev/target-ports': JSON.stringify({ '': target }),
      },
    },
    addressType: 'IPv4',
    ports: [{ name: '', port, protocol: 'TCP' }],
    endpoints: [],
  });
}

function isRefused(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(PORT, host, () => resolve(false));
    socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code === 'ECONNREFUSED'));
    socket.unref().setTimeout(1_000, () => socket.destroy());
  });
}

/** The app of a pod, on the address that the pod has. */
async function listenAt(server: Server, host: string): Promise<AsyncDisposable> {
  server.listen(APP_PORT, host);
  await once(server, 'listening');
  return {
    [Symbol.asyncDispose]: async () => {
      server.close();
      await once(server, 'close');
    },
  };
}

async function read(socket: Readable): Promise<string> {
  let text = '';
  for await (const chunk of socket) text += String(chunk);
  return text;
}

test('a request waits for the first pod, wakes it, and is its own: path, Host and headers', async () => {
  await using listener = await openListener();
  const { t, host } = listener;
  const wakes = collectWakes(t, 'shop');
  const heads: string[][] = [];
  const app = createServer((req, res) => {
    heads.push([req.url ?? '', ...req.rawHeaders]);
    req.pipe(res);
  });
  const headers = { Host: 'shop.default', 'X-Mine': 'a', 'Content-Length': 4 };
  const req = request({ host, port: PORT, path: '/a%2Fb//c?x=1', method: 'POST', headers });
  req.end('body');
  const answer = once(req, 'response');
  await waitFor(() => wakes.some(({ waiting }) => waiting === 1), { what: 'a wake for one that waits' });
  const ip = ownAddress();
  await using _ = await listenAt(app, ip);
  t.setPod('shop', 'shop-abc-1', ip);
  const [res] = (await answer) as [IncomingMessage];
  assert.equal(res.statusCode, 200);
  assert.equal(res.headers.connection, 'close', 'the client comes back by the Service');
  assert.equal(await read(res), 'body');
  assert.deepEqual(heads, [
    ['/a%2Fb//c?x=1', 'Host', 'shop.default', 'X-Mine', 'a', 'Content-Length', '4', 'Connection', 'close'],
  ]);
});

test('a client of HTTP/2 is asked to connect again, and loses no call', async () => {
  await using listener = await openListener();
  const { t, host } = listener;
  const app = createHttp2Server((req, res) => void req.pipe(res));
  const session = connectHttp2(`http://${host}:${PORT}`);
  const ask = async (body: string): Promise<string> => read(session.request({ ':method': 'POST' }).end(body));
  const first = ask('first');
  const slow = session.request({ ':method': 'POST' });
  slow.write('begun ');
  const ip = ownAddress();
  await using _ = await listenAt(app, ip);
  t.setPod('shop', 'shop-abc-1', ip);
  assert.equal(await first, 'first');
  const [code, last] = (await once(session, 'goaway')) as [number, number];
  assert.deepEqual([code, last], [0, 0x7fff_ffff]);
  slow.end('and ended');
  assert.equal(await read(slow), 'begun and ended');
  await once(session, 'close');
});

test('a server that speaks first is heard, and bytes are passed on as they are', async () => {
  await using listener = await openListener('db');
  const { t, host } = listener;
  const app = createTcpServer((socket) => {
    socket.write('ready ');
    socket.pipe(socket);
  });
  const ip = ownAddress();
  await using _ = await listenAt(app, ip);
  const client = connect(PORT, host);
  await once(client, 'connect');
  t.kube.set({
    kind: 'Pod',
    metadata: {
      name: 'shop-abc-1',
      namespace: 'default',
      labels: { 'pod-template-hash': 'abc' },
      annotations: { 'SlimFaas/Function': 'true', ...WAKE },
      ownerReferences: [
        { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'shop-abc', uid: 'owner', controller: true },
      ],
    },
    spec: { containers: [{ name: 'app', ports: [{ name: 'db', containerPort: APP_PORT }] }] },
    status: { phase: 'Running', podIP: ip, conditions: [{ type: 'Ready', status: 'True' }] },
  });
  const [first] = (await once(client, 'data')) as [Buffer];
  assert.equal(String(first), 'ready ');
  client.end('\x16\x03\x01 not HTTP');
  assert.equal(await read(client), '\x16\x03\x01 not HTTP');
});

test('an open connection keeps the function in use; its end gives it free', async () => {
  await using listener = await openListener();
  const { t, host } = listener;
  const app = createTcpServer((socket) => void socket.pipe(socket));
  const ip = ownAddress();
  await using _ = await listenAt(app, ip);
  t.setPod('shop', 'shop-abc-1', ip);
  await waitFor(async () => (await statusOf(listener, 'shop')).NumberReady === 1, {
    what: 'it knows the pod',
  });
  const client = connect(PORT, host);
  client.write('\x00');
  await once(client, 'data');
  const running = async () => (await statusOf(listener, 'shop')).Running;
  await waitFor(async () => (await running()) === 1, { what: 'it runs' });
  client.end();
  await waitFor(async () => (await running()) === 0, { what: 'it has ended' });
});

test('where no pod comes, HTTP is told why; others are closed', async () => {
  await using listener = await openListener(String(APP_PORT), ['--cold-start-timeout=1']);
  const { host } = listener;
  const silent = connect(PORT, host);
  await once(silent, 'connect');
  const req = request({ host, port: PORT, path: '/' }).end();
  const [res] = (await once(req, 'response')) as [IncomingMessage];
  assert.equal(res.statusCode, 504);
  assert.match(await read(res), /cold-start-timeout.*its operators see why/);
  assert.equal(await read(silent), '');
});

test('a client that gives up waits no longer, whether it has asked or not', async () => {
  await using listener = await openListener();
  const waiting = async () => (await statusOf(listener, 'shop')).Waiting;
  const silent = connect(PORT, listener.host);
  const asking = connect(PORT, listener.host);
  asking.write('GET / HTTP/1.1\r\n');
  await waitFor(async () => (await waiting()) === 2, { what: 'two wait' });
  silent.end();
  asking.end();
  await waitFor(async () => (await waiting()) === 0, { what: 'nobody waits' });
});

test('bounds: as many connections as are allowed, and no more', async () => {
  await using listener = await openListener(String(APP_PORT), ['--services-connections=2']);
  const { t, host } = listener;
  const wakes = collectWakes(t, 'shop');
  const held = [connect(PORT, host), connect(PORT, host)];
  await waitFor(() => wakes.some(({ waiting }) => waiting === 2), { what: 'two wait' });
  assert.equal(await read(connect(PORT, host)), '');
  for (const socket of held) socket.destroy();
  const last = wakes.length;
  await waitFor(async () => (await statusOf(listener, 'shop')).Waiting === 0, { what: 'nobody waits' });
  const again = connect(PORT, host);
  await waitFor(() => wakes.slice(last).some(({ waiting }) => waiting === 1), {
    what: 'there is room again',
  });
  again.destroy();
});

test('whoever wakes while connections wait tells how many wait', async () => {
  await using listener = await openListener();
  const { t, host, url } = listener;
  const jsm = await t.link.connection?.jetstreamManager();
  for (const config of streamConfigs(jobSettings)) await jsm?.streams.add(config);
  const wakes = collectWakes(t, 'shop');
  const first = connect(PORT, host);
  await waitFor(() => wakes.some(({ waiting }) => waiting === 1), { what: 'one waits' });
  assert.equal((await fetch(`${url}/wake-function/shop`, { method: 'POST' })).status, 204);
  assert.equal((await fetch(`${url}/wake-functions`, { method: 'POST' })).status, 204);
  assert.equal((await fetch(`${url}/async-function/shop/`, { method: 'POST' })).status, 201);
  // Said at once, behind the others.
  const second = connect(PORT, host);
  await waitFor(() => wakes.some(({ waiting }) => waiting === 2), { what: 'two wait' });
  assert.deepEqual(
    wakes.filter(({ waiting }) => waiting === 0),
    [],
  );
  assert.ok(wakes.length >= 5, `${wakes.length} wakes`);
  first.destroy();
  second.destroy();
});

test('a port closes with its slice, and a second slice cannot take it', async () => {
  await using listener = await openListener();
  const { t, host } = listener;
  setSlice(t, '1', 'thief');
  setSlice(t, '1', 'other', PORT + 1);
  await waitFor(() => listener.ports()?.includes(PORT + 1), { what: 'the other port is open' });
  t.kube.delete('EndpointSlice', 'default', 'thief');
  t.kube.delete('EndpointSlice', 'default', 'other');
  await waitFor(() => !listener.ports()?.includes(PORT + 1), { what: 'the other port is closed' });
  assert.deepEqual(listener.ports(), [PORT]);
  t.kube.delete('EndpointSlice', 'default', 'shop-slimfaas');
  await waitFor(() => listener.ports()?.length === 0, { what: 'no port is open' });
  await waitFor(() => isRefused(host), { what: 'it refuses' });
});

test('a port serves on for a while when its slice has gone: callers come until kube-proxy has heard of it', async () => {
  await using listener = await openListener(String(APP_PORT), ['--services-lame-duck=5']);
  const { t, host } = listener;
  const app = createServer((_, res) => void res.end('served'));
  const ip = ownAddress();
  await using _ = await listenAt(app, ip);
  t.setPod('shop', 'shop-abc-1', ip);
  await waitFor(async () => (await statusOf(listener, 'shop')).NumberReady === 1, {
    what: 'it knows the pod',
  });
  t.kube.delete('EndpointSlice', 'default', 'shop-slimfaas');
  await waitFor(() => listener.ports()?.length === 0, { what: 'it says the port no longer' });
  assert.equal((await callUrl(`http://${host}:${PORT}/`)).text, 'served');
  setSlice(t, String(APP_PORT));
  await waitFor(() => listener.ports()?.includes(PORT), { what: 'it says the port again' });
  t.kube.delete('EndpointSlice', 'default', 'shop-slimfaas');
  await waitFor(() => listener.ports()?.length === 0, { what: 'it says the port no longer' });
  setSlice(t, '1', 'other');
  await waitFor(() => listener.ports()?.includes(PORT), { what: 'another slice has the port at once' });
  t.kube.delete('EndpointSlice', 'default', 'other');
  setSlice(t, String(APP_PORT), 'last', PORT + 1);
  await waitFor(() => listener.ports()?.includes(PORT + 1), { what: 'all of it is heard' });
});

test('a slice that came second gets the port when the first has gone, and not when it has gone itself', async () => {
  await using listener = await openListener('1');
  const { t, host } = listener;
  const app = createTcpServer((socket) => socket.resume().end('second'));
  const ip = ownAddress();
  await using _ = await listenAt(app, ip);
  t.setPod('shop', 'shop-abc-1', ip);
  await waitFor(async () => (await statusOf(listener, 'shop')).NumberReady === 1, {
    what: 'it knows the pod',
  });
  setSlice(t, '2', 'gone');
  setSlice(t, String(APP_PORT), 'second');
  t.kube.delete('EndpointSlice', 'default', 'gone');
  setSlice(t, '1', 'other', PORT + 1);
  await waitFor(() => listener.ports()?.includes(PORT + 1), { what: 'all of it is heard' });
  // The first one wants another port now.
  setSlice(t, '1', 'shop-slimfaas', PORT + 2);
  await waitFor(() => listener.ports()?.includes(PORT + 2), { what: 'the first one has its new port' });
  await waitFor(() => listener.ports()?.includes(PORT), { what: 'the second one has its port' });
  const client = connect(PORT, host);
  client.write('\x00');
  assert.equal(await read(client), 'second');
  t.kube.delete('EndpointSlice', 'default', 'second');
  await waitFor(() => !listener.ports()?.includes(PORT), { what: 'the port is closed' });
});

test('a proxy that ends takes connections of Services for longer than others', async () => {
  await using listener = await openListener(String(APP_PORT), ['--services-lame-duck=3']);
  const { t, host } = listener;
  const app = createServer((_, res) => void res.end('served'));
  const ip = ownAddress();
  await using _ = await listenAt(app, ip);
  t.setPod('shop', 'shop-abc-1', ip);
  await waitFor(async () => (await statusOf(listener, 'shop')).NumberReady === 1, {
    what: 'it knows the pod',
  });
  const stopped = listener.stop();
  // The lame-duck time of others is 0 here: it would be over when this is answered.
  assert.equal((await callUrl(`${listener.url}/status-functions`)).status, 200);
  assert.equal((await callUrl(`http://${host}:${PORT}/`)).text, 'served');
  await stopped;
  const [error] = (await once(connect(PORT, host), 'error')) as [NodeJS.ErrnoException];
  assert.equal(error.code, 'ECONNREFUSED');
});
