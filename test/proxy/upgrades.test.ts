import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import type { Duplex } from 'node:stream';
import { test } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { waitFor } from '../helpers/wait.ts';
import { rawCall } from './support/calls.ts';
import type { FakePod } from './support/fake-pod.ts';
import { startTestProxy, type TestProxy } from './support/test-proxy.ts';
import { collectWakes, statusOf } from './support/wakes.ts';

test('behaviour 16: WebSocket to zero replicas: one upgrade after ready, frames both ways', async () => {
  await using t = await startTestProxy();
  t.addFunction('chat');
  const wakes = collectWakes(t, 'chat');
  const client = new WebSocket(`${wsUrl(t)}/function/chat/room%2F1//x?y=%20`);
  client.once('open', () => client.send('first'));
  await waitFor(async () => (await statusOf(t, 'chat')).Waiting === 1, { what: 'the upgrade waits' });
  assert.ok(wakes.length >= 1);
  const pod = await t.addPod('chat', { limit: 1 });
  const server = echo(pod);
  const [message] = (await once(client, 'message')) as [Buffer];
  assert.equal(message.toString(), 'you said first');
  assert.equal(server.upgrades, 1);
  assert.equal(server.path, '/room%2F1//x?y=%20');
  assert.equal((await statusOf(t, 'chat')).Running, 1, 'an open one is counted as running');
  client.close();
  await waitFor(async () => (await statusOf(t, 'chat')).Running === 0, { what: 'its place is free' });
});

test('an upgrade that the sidecar refuses goes back to the line, and is upgraded once', async () => {
  await using t = await startTestProxy();
  t.addFunction('chat');
  const pod = await t.addPod('chat');
  const server = echo(pod);
  await t.readyPods('chat', 1);
  pod.refusing = 'full';
  const client = new WebSocket(`${wsUrl(t)}/function/chat/`);
  await waitFor(() => pod.refusals >= 2, { what: 'refused, and tried again' });
  pod.refusing = undefined;
  await once(client, 'open');
  client.send('hello');
  const [message] = (await once(client, 'message')) as [Buffer];
  assert.equal(message.toString(), 'you said hello');
  assert.equal(server.upgrades, 1);
  client.terminate();
});

test('an upgrade to a pod that refuses connections is tried again elsewhere', async () => {
  await using t = await startTestProxy();
  t.addFunction('chat');
  await t.addPod('chat', { isDeaf: true });
  await t.readyPods('chat', 1);
  const client = new WebSocket(`${wsUrl(t)}/function/chat/`);
  await waitFor(async () => (await statusOf(t, 'chat')).Pods[0]?.Trouble !== undefined, {
    what: 'it is suspect',
  });
  echo(await t.addPod('chat'));
  await once(client, 'open');
  client.terminate();
});

test('a client who leaves while its upgrade waits leaves the line, however it leaves', async () => {
  await using t = await startTestProxy();
  t.addFunction('chat');
  for (const leave of ['end', 'resetAndDestroy'] as const) {
    const socket = connect(t.port, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    socket.write(UPGRADE);
    await waitFor(async () => (await statusOf(t, 'chat')).Waiting === 1, { what: 'it waits' });
    socket[leave]();
    await waitFor(async () => (await statusOf(t, 'chat')).Waiting === 0, { what: `it left by ${leave}` });
    socket.destroy();
  }
});

test('what the function answers instead of upgrading reaches the client as it is', async () => {
  await using t = await startTestProxy();
  t.addFunction('chat');
  const pod = await t.addPod('chat');
  pod.onUpgrade((_req, socket) => {
    socket.end(
      'HTTP/1.1 403 Go Away\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nslimfaas-load: 1/10\r\nContent-Length: 2\r\n\r\nno',
    );
  });
  await t.readyPods('chat', 1);
  const client = new WebSocket(`${wsUrl(t)}/function/chat/`);
  client.on('error', () => undefined);
  const [, response] = (await once(client, 'unexpected-response')) as [
    unknown,
    import('node:http').IncomingMessage,
  ];
  assert.equal(response.statusCode, 403);
  assert.deepEqual(response.headers['set-cookie'], ['a=1', 'b=2']);
  assert.equal(response.headers['slimfaas-load'], undefined);
  client.terminate();
  await waitFor(async () => (await statusOf(t, 'chat')).Running === 0, { what: 'its place is free' });
});

test('an upgrade to an unknown function, or to no function, is answered with a reason', async () => {
  await using t = await startTestProxy();
  for (const path of ['/function/nope/', '/status-functions']) {
    const client = new WebSocket(`${wsUrl(t)}${path}`);
    client.on('error', () => undefined);
    const [, response] = (await once(client, 'unexpected-response')) as [
      unknown,
      import('node:http').IncomingMessage,
    ];
    assert.equal(response.statusCode, 404);
    assert.equal(response.headers['slimfaas-reason'], 'unknown-function');
  }
});

test('when the function ends, so does the client’s connection, with the function’s close frame', async () => {
  await using t = await startTestProxy();
  t.addFunction('chat');
  const pod = await t.addPod('chat');
  const server = echo(pod);
  await t.readyPods('chat', 1);
  const client = new WebSocket(`${wsUrl(t)}/function/chat/`);
  await once(client, 'open');
  for (const each of server.clients) each.close(4001, 'bye');
  const [code] = (await once(client, 'close')) as [number];
  assert.equal(code, 4001);
});

test('an ending proxy closes open WebSockets with a close frame: going away', async () => {
  const t = await startTestProxy();
  t.addFunction('chat');
  echo(await t.addPod('chat'));
  await t.readyPods('chat', 1);
  const client = new WebSocket(`${wsUrl(t)}/function/chat/`);
  await once(client, 'open');
  const closed = once(client, 'close') as Promise<[number]>;
  await t[Symbol.asyncDispose]();
  assert.equal((await closed)[0], 1001);
});

test('plain HTTP that offers an upgrade to HTTP/2, as Java does, is served as plain HTTP, body and all', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  await t.addPod('fib', { run: (req, res) => req.pipe(res) });
  await t.readyPods('fib', 1);
  const offer = 'Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk';
  const call = `POST /function/fib/ HTTP/1.1\r\nHost: h\r\n${offer}\r\nContent-Length: 5\r\n\r\nhello`;
  const answer = await rawCall(t.port, call, 'hello');
  assert.match(answer, /^HTTP\/1.1 200 .*keep-alive.*hello/s);
});

test('a POST that offers an upgrade, and a GET that offers HTTP/2 among others, are plain requests', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const pod = await t.addPod('fib', { run: (req, res) => req.pipe(res) });
  let upgrades = 0;
  pod.onUpgrade((_req, socket) => void (upgrades++, socket.destroy()));
  await t.readyPods('fib', 1);
  const post = 'POST /function/fib/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n';
  assert.match(await rawCall(t.port, `${post}Content-Length: 5\r\n\r\nhello`, 'hello'), /^HTTP\/1.1 200 /);
  const get =
    'GET /function/fib/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket, h2c\r\n\r\n';
  assert.match(await rawCall(t.port, get, '\r\n\r\n'), /^HTTP\/1.1 200 /);
  assert.equal(upgrades, 0);
});

test('a client who leaves before the function has agreed takes the connection to the pod along', async () => {
  await using t = await startTestProxy();
  t.addFunction('chat');
  const pod = await t.addPod('chat');
  const asked = Promise.withResolvers<Duplex>();
  pod.onUpgrade((_req, socket) => asked.resolve(socket));
  await t.readyPods('chat', 1);
  const client = connect(t.port, '127.0.0.1');
  client.write(UPGRADE);
  const atPod = await asked.promise;
  followEnd(atPod);
  client.resetAndDestroy();
  await once(atPod, 'close', { signal: AbortSignal.timeout(20_000) });
  await waitFor(async () => (await statusOf(t, 'chat')).Running === 0, { what: 'its place is free' });
});

test('a client who leaves after a refusal leaves the line', async () => {
  await using t = await startTestProxy();
  t.addFunction('chat');
  const pod = await t.addPod('chat');
  echo(pod);
  pod.refusing = 'full';
  await t.readyPods('chat', 1);
  const client = connect(t.port, '127.0.0.1');
  client.write(UPGRADE);
  await waitFor(() => pod.refusals >= 1, { what: 'it was refused' });
  client.end();
  await waitFor(
    async () => {
      const { Waiting, Running } = await statusOf(t, 'chat');
      return Waiting === 0 && Running === 0;
    },
    { what: 'it has left' },
  );
  client.destroy();
});

test('a function that does not answer an upgrade within HttpTimeout: 504, and its connection is closed', async () => {
  await using t = await startTestProxy();
  t.addFunction('chat', { 'SlimFaas/Configuration': '{"DefaultSync":{"HttpTimeout":1}}' });
  const pod = await t.addPod('chat', { hasSidecar: false, port: 8080 });
  const asked = Promise.withResolvers<Duplex>();
  pod.onUpgrade((_req, socket) => asked.resolve(socket));
  await t.readyPods('chat', 1);
  const answering = rawCall(t.port, UPGRADE);
  const atPod = await asked.promise;
  followEnd(atPod);
  const closed = once(atPod, 'close', { signal: AbortSignal.timeout(20_000) });
  assert.match(await answering, /^HTTP\/1.1 504 .*SlimFaas-Reason: function-timeout/s);
  await closed;
});

test('an upgrade that kills three pods is given up', async () => {
  await using t = await startTestProxy();
  t.addFunction('chat');
  const pod = await t.addPod('chat', { hasSidecar: false, port: 8080 });
  let upgrades = 0;
  pod.onUpgrade((_req, socket) => {
    upgrades++;
    socket.destroy();
  });
  await t.readyPods('chat', 1);
  assert.match(await rawCall(t.port, UPGRADE), /^HTTP\/1.1 502 .*SlimFaas-Reason: upstream-failed/s);
  assert.equal(upgrades, 3);
});

test('an ending proxy puts its close frame behind the frame that is under way', async () => {
  await using t = await startTestProxy();
  t.addFunction('chat');
  const pod = await t.addPod('chat');
  const agreed = Promise.withResolvers<Duplex>();
  pod.onUpgrade((_req, socket) => {
    socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n');
    socket.write(Buffer.from([0x81, 10, ...Buffer.from('first')])); // half of a text frame of 10 bytes
    agreed.resolve(socket);
  });
  await t.readyPods('chat', 1);
  const client = connect(t.port, '127.0.0.1');
  let seen = '';
  client.on('data', (chunk: Buffer) => (seen += chunk.toString('latin1')));
  client.write(UPGRADE);
  await waitFor(() => seen.endsWith('first'), { what: 'half a frame' });
  const stopped = t.proxy.stop();
  await waitFor(() => isRefused(t.port), { what: 'the proxy is ending' });
  const atPod = await agreed.promise;
  atPod.write('-half');
  await waitFor(() => seen.includes('first-half\x88'), { what: 'a close frame behind the whole frame' });
  await waitFor(() => /first-half\x88.{3}/s.test(seen), { what: 'all of it' });
  assert.equal(seen.slice(seen.indexOf('\x88') + 2).slice(0, 2), '\x03\xe9');
  client.destroy();
  await stopped;
});

const UPGRADE =
  'GET /function/chat/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';

/** Node's server leaves a socket half open. */
function followEnd(socket: Duplex): void {
  socket.on('error', () => undefined);
  socket.once('end', () => socket.destroy());
  socket.resume();
}

async function isRefused(port: number): Promise<boolean> {
  const socket = connect(port, '127.0.0.1');
  try {
    await once(socket, 'connect');
    return false;
  } catch {
    return true;
  } finally {
    socket.destroy();
  }
}

function wsUrl(t: TestProxy): string {
  return t.url.replace('http:', 'ws:');
}

/** A function that speaks WebSocket behind the fake sidecar, which counts it as running. */
function echo(pod: FakePod): { upgrades: number; path: string | undefined; clients: Set<WebSocket> } {
  const server = new WebSocketServer({ noServer: true });
  const seen = { upgrades: 0, path: undefined as string | undefined, clients: server.clients };
  pod.onUpgrade((req, socket, head) => {
    seen.upgrades++;
    seen.path = req.url;
    server.handleUpgrade(req, socket, head, (client) => {
      client.on('message', (data: Buffer) => client.send(`you said ${data.toString()}`));
    });
  });
  return seen;
}
