import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type AddressInfo, type Socket } from 'node:net';
import { Agent, request, type IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { waitFor } from '../helpers/wait.ts';
import { callUrl, rawCall, startCall, textOf } from './support/calls.ts';
import type { FakeFunction } from './support/fake-pod.ts';
import { startTestProxy, type TestProxy } from './support/test-proxy.ts';
import { statusOf } from './support/wakes.ts';

test('headers reach the function in order, case and number; hop-by-hop and forged internal ones do not', async () => {
  await using t = await startTestProxy();
  const raw = await seenBy(t, [
    'GET /function/fib/p HTTP/1.1',
    'Host: example.org:8080',
    'X-b: 1',
    'x-A: 2',
    'X-B: 3',
    'Connection: close, X-Drop',
    'X-Drop: 1',
    'Keep-Alive: timeout=5',
    'SlimFaas-Element-Id: forged',
    'slimfaas-refused: full',
    'Cookie: a=b',
  ]);
  const kept = raw.slice(0, raw.indexOf('X-Forwarded-For'));
  assert.deepEqual(kept, ['Host', 'example.org:8080', 'X-b', '1', 'x-A', '2', 'X-B', '3', 'Cookie', 'a=b']);
  const added = raw.slice(kept.length).filter((_, i) => i % 2 === 0);
  assert.deepEqual(added.slice(0, 6), [
    'X-Forwarded-For',
    'X-Forwarded-Prefix',
    'X-Forwarded-Proto',
    'X-Forwarded-Host',
    'X-Request-Id',
    'slimfaas-queue',
  ]);
  assert.equal(valueOf(raw, 'traceparent'), undefined, 'no trace is begun here');
  assert.equal(valueOf(raw, 'X-Forwarded-Host'), 'example.org:8080');
  assert.equal(valueOf(raw, 'X-Forwarded-For'), '127.0.0.1');
});

test('what a proxy in front has said about the caller is kept, and our peer is added to it', async () => {
  await using t = await startTestProxy();
  const raw = await seenBy(t, [
    'GET /function/fib/p HTTP/1.1',
    'Host: h',
    'X-Forwarded-For: 1.1.1.1, 2.2.2.2',
    'X-Forwarded-Proto: https',
    'X-Forwarded-Host: shop.example',
    'traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
    'X-Request-Id: mine',
    'Connection: close',
  ]);
  assert.equal(valueOf(raw, 'X-Forwarded-For'), '1.1.1.1, 2.2.2.2, 127.0.0.1');
  assert.equal(valueOf(raw, 'X-Forwarded-Proto'), 'https');
  assert.equal(valueOf(raw, 'X-Forwarded-Host'), 'shop.example');
  assert.equal(valueOf(raw, 'X-Request-Id'), 'mine');
  const traceparent = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';
  assert.equal(valueOf(raw, 'traceparent'), traceparent);
});

test('paths and queries reach the function byte for byte', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  await t.addPod('fib', { run: (req, res) => res.end(req.url) });
  await t.readyPods('fib', 1);
  const cases = [
    ['/function/fib', '/'],
    ['/function/fib/', '/'],
    ['/function/fib?q', '/?q'],
    ['/function/fib//a//', '//a//'],
    ['/function/fib/%2e%2E/%61?%20=+&&', '/%2e%2E/%61?%20=+&&'],
    ["/function/fib/a;b=c,d@e:f!$'()*~", "/a;b=c,d@e:f!$'()*~"],
    ['/function/fib/../x', '/../x'],
  ];
  for (const [given, expected] of cases) {
    const answer = await rawCall(t.port, `GET ${given} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n`);
    assert.equal(
      answer
        .split('\r\n\r\n')[1]
        ?.replaceAll(/^[0-9a-f]+\r\n|\r\n0$/g, '')
        .trim(),
      expected,
    );
  }
});

test('Expect: 100-continue: the body is asked for only when a pod has the call', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const call = request(`${t.url}/function/fib/`, {
    method: 'POST',
    headers: { Expect: '100-continue', 'Content-Length': '5' },
  });
  call.flushHeaders();
  let continued = false;
  call.on('continue', () => {
    continued = true;
    call.end('hello');
  });
  await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 1, { what: 'it waits' });
  assert.equal(continued, false);
  await t.addPod('fib', {
    run(req, res) {
      res.writeContinue();
      req.pipe(res);
    },
  });
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  assert.equal(await textOf(response), 'hello');
  assert.equal(continued, true);
});

test('server-sent events pass one by one, and a client who leaves cancels the function’s answer', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  let send: ((text: string) => void) | undefined;
  const pod = await t.addPod('fib', {
    run(_req, res) {
      res.writeHead(200, { 'Content-Type': 'text/event-stream' });
      res.flushHeaders();
      send = (text) => void res.write(`data: ${text}\n\n`);
    },
  });
  await t.readyPods('fib', 1);
  const call = startCall(`${t.url}/function/fib/`);
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  for (const text of ['one', 'two']) {
    send?.(text);
    const [chunk] = (await once(response, 'data')) as [Buffer];
    assert.equal(chunk.toString(), `data: ${text}\n\n`);
  }
  response.on('error', () => undefined);
  call.destroy();
  await waitFor(() => pod.running === 0, { what: 'the function’s answer is cancelled' });
  await waitFor(async () => (await statusOf(t, 'fib')).Running === 0, { what: 'its place is free' });
});

test('an answer that has begun and breaks is reset, never ended cleanly', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  await t.addPod('fib', {
    run(_req, res) {
      res.write('half of');
      setTimeout(() => res.destroy(), 20);
    },
  });
  await t.readyPods('fib', 1);
  const call = startCall(`${t.url}/function/fib/`);
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  await assert.rejects(textOf(response), { code: 'ECONNRESET' });
});

test('a pod that dies before its answer begins: GET is tried elsewhere, POST is 502, POST with Idempotency-Key is tried', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const bad: FakeFunction = (req) => void req.socket.destroy();
  const good: FakeFunction = (req, res) => void req.pipe(res);
  const pod = await t.addPod('fib', { run: bad });
  await t.readyPods('fib', 1);
  const post = await callUrl(`${t.url}/function/fib/`, { body: 'x', agent: new Agent() });
  assert.equal(post.status, 502);
  assert.equal(post.headers['slimfaas-reason'], 'upstream-failed');
  assert.equal(pod.seen.length, 1, 'a POST that may have run is not run again');
  let calls = 0;
  pod.run = (req, res) => (++calls % 2 ? bad : good)(req, res);
  assert.equal((await callUrl(`${t.url}/function/fib/`)).status, 200);
  const keyed = await callUrl(`${t.url}/function/fib/`, {
    body: 'again',
    headers: { 'Idempotency-Key': '1' },
  });
  assert.deepEqual([keyed.status, keyed.text], [200, 'again']);
  assert.equal(calls, 4);
});

test('a call that kills every pod it meets is given up after the third', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  const pod = await t.addPod('fib', { run: (req) => void req.socket.destroy() });
  await t.readyPods('fib', 1);
  assert.equal((await callUrl(`${t.url}/function/fib/`)).status, 502);
  assert.ok(pod.seen.length <= 6, `${pod.seen.length} tries`); // three, each perhaps once more on a fresh connection
});

test('an answer that the function made of its own 503 is its own, and passes', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  await t.addPod('fib', { run: (_req, res) => res.writeHead(503, { 'X-Own': 'yes' }).end('mine') });
  await t.readyPods('fib', 1);
  const answer = await callUrl(`${t.url}/function/fib/`);
  assert.deepEqual([answer.status, answer.text, answer.headers['x-own']], [503, 'mine', 'yes']);
});

test('trailers of both directions pass', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  let trailer: string | undefined;
  await t.addPod('fib', {
    run(req, res) {
      req.resume().on('end', () => {
        trailer = req.trailers['x-sum'];
        res.writeHead(200, { Trailer: 'X-Back' });
        res.write('body');
        res.addTrailers({ 'X-Back': 'there' });
        res.end();
      });
    },
  });
  await t.readyPods('fib', 1);
  const call = request(`${t.url}/function/fib/`, { method: 'POST', headers: { Trailer: 'X-Sum' } });
  call.write('data');
  call.addTrailers({ 'X-Sum': '42' });
  call.end();
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  await textOf(response);
  assert.equal(trailer, '42');
  assert.equal(response.trailers['x-back'], 'there');
});

/** Sends a raw head through the proxy to a pod; the header lines as the pod's socket got them. */
async function seenBy(t: TestProxy, lines: readonly string[]): Promise<string[]> {
  const got = Promise.withResolvers<string>();
  const server = createServer((socket: Socket) => {
    let text = '';
    socket.on('error', () => undefined);
    socket.on('data', (data) => {
      text += data.toString('latin1');
      if (!text.includes('\r\n\r\n')) return;
      got.resolve(text);
      socket.end('HTTP/1.1 204 No Content\r\n\r\n');
    });
  });
  t.addFunction('fib');
  const pod = await t.addPod('fib', { isDeaf: true, name: 'raw' });
  server.listen(15_080, pod.ip);
  await once(server, 'listening');
  assert.equal((server.address() as AddressInfo).port, 15_080);
  await t.readyPods('fib', 1);
  await rawCall(t.port, `${lines.join('\r\n')}\r\n\r\n`);
  const head = (await got.promise).split('\r\n\r\n')[0] ?? '';
  server.close();
  return head
    .split('\r\n')
    .slice(1)
    .flatMap((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1).trim()]);
}

function valueOf(raw: readonly string[], name: string): string | undefined {
  const at = raw.findIndex((text, i) => i % 2 === 0 && text === name);
  return at < 0 ? undefined : raw[at + 1];
}
