import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
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
  const head = 'GET /function/chat/ HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n';
  for (const leave of ['end', 'resetAndDestroy'] as const) {
    const socket = connect(t.port, '127.0.0.1');
    socket.on('error', () => undefined);
    await once(socket, 'connect');
    socket.write(head);
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
