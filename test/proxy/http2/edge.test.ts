/** HTTP/2 at the proxy's plain port: everything that HTTP/1.1 does there, beside it. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { constants } from 'node:http2';
import { connect } from 'node:net';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { test } from 'node:test';
import { waitFor } from '../../helpers/wait.ts';
import { App } from '../../sidecar/support/app.ts';
import { callUrl, rawCall } from '../support/calls.ts';
import type { FakeFunction } from '../support/fake-pod.ts';
import { startJobProxy } from '../support/job-proxy.ts';
import { startTestProxy, type TestProxy } from '../support/test-proxy.ts';
import { statusOf } from '../support/wakes.ts';
import { answerOf, EMPTY_SETTINGS, h2Client, headersFrame, PREFACE, rawConnection } from './h2-client.ts';

async function start(run: FakeFunction, flags: readonly string[] = []): Promise<TestProxy> {
  const t = await startTestProxy(flags);
  t.addFunction('fib');
  await t.addPod('fib', { run });
  await t.readyPods('fib', 1);
  return t;
}

const raw = (req: IncomingMessage, name: string): string[] =>
  req.rawHeaders.flatMap((text, i) =>
    i % 2 === 0 && text.toLowerCase() === name ? [req.rawHeaders[i + 1] ?? ''] : [],
  );

async function readAll(req: IncomingMessage): Promise<string> {
  let text = '';
  for await (const chunk of req) text += String(chunk);
  return text;
}

test('HTTP/1.1 and HTTP/2 share the port; a call is the same to its function', async () => {
  const seen: [string, string[], string[]][] = [];
  await using t = await start((req, res) => {
    seen.push([`${req.method} ${req.url}`, raw(req, 'cookie'), raw(req, 'x-forwarded-proto')]);
    res.writeHead(201, ['X-Two', 'a', 'X-Two', 'b']);
    res.end('made');
  });
  using client = h2Client(t.url);
  const headers = { cookie: ['a=1', 'b=2'] };
  const answer = await client.call('/function/fib/x%2Fy?q=%20', { headers });
  assert.deepEqual([answer.status, answer.text, answer.headers['x-two']], [201, 'made', 'a, b']);
  assert.equal(answer.headers['slimfaas-load'], undefined);
  assert.equal(
    (await callUrl(`${t.url}/function/fib/x%2Fy?q=%20`, { headers: { cookie: 'a=1; b=2' } })).status,
    201,
  );
  assert.deepEqual(seen[0], ['GET /x%2Fy?q=%20', ['a=1; b=2'], ['http']]);
  assert.deepEqual(seen[1], seen[0]);
});

test('bodies, trailers and 1xx pass both ways', async () => {
  await using t = await start((req, res) => {
    res.writeEarlyHints({ link: '</style.css>; rel=preload' });
    void readAll(req).then((text) => {
      res.writeHead(200, { Trailer: 'x-sum' });
      res.write(text);
      res.addTrailers({ 'x-sum': `${req.trailers['x-mine']}` });
      res.end('!');
    });
  });
  using client = h2Client(t.url);
  const stream = client.session.request(
    { ':method': 'POST', ':path': '/function/fib/', te: 'trailers' },
    { waitForTrailers: true },
  );
  stream.once('wantTrailers', () => stream.sendTrailers({ 'x-mine': '42' }));
  const hints: unknown[] = [];
  stream.on('headers', (received) => hints.push(received[':status'], received['link']));
  stream.end('hello');
  const answer = await answerOf(stream);
  assert.deepEqual([answer.text, answer.trailers['x-sum']], ['hello!', '42']);
  assert.deepEqual(hints, [103, '</style.css>; rel=preload']);
});

test('a body without a byte, whose end came while the call waited, is a body that has ended', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  using client = h2Client(t.url);
  const stream = client.start('/function/fib/', { body: null });
  stream.end(); // an empty DATA frame
  await waitFor(async () => (await statusOf(t, 'fib')).Waiting === 1, { what: 'it waits' });
  await t.addPod('fib', { run: (req, res) => void readAll(req).then((text) => res.end(`[${text}]`)) });
  assert.equal((await answerOf(stream)).text, '[]');
});

test('HEAD, 204, and an answer with a length of 0 have no body and end', async () => {
  await using t = await start((req, res) => {
    if (req.url === '/204') return void res.writeHead(204).end();
    res.writeHead(200, { 'Content-Length': req.method === 'HEAD' ? 999 : 0 });
    res.end();
  });
  using client = h2Client(t.url);
  const head = await client.call('/function/fib/', { method: 'HEAD' });
  assert.deepEqual([head.status, head.headers['content-length'], head.text], [200, '999', '']);
  assert.equal((await client.call('/function/fib/204')).status, 204);
  assert.equal((await client.call('/function/fib/empty')).headers['content-length'], '0');
});

test('100-continue travels end to end', async () => {
  await using t = await start((req, res) => {
    res.writeContinue();
    void readAll(req).then((text) => res.end(text));
  });
  using client = h2Client(t.url);
  const stream = client.start('/function/fib/', {
    method: 'POST',
    headers: { expect: '100-continue' },
    body: null,
  });
  await once(stream, 'continue');
  stream.end('now');
  assert.equal((await answerOf(stream)).text, 'now');
});

test('the proxy’s other routes: status, health, metrics, events', async () => {
  await using t = await start((_req, res) => res.end());
  using client = h2Client(t.url);
  assert.match((await client.call('/status-functions')).text, /"Name":"fib"/);
  assert.equal((await client.call('/health')).status, 200);
  assert.match((await client.call('/')).headers['content-type'] ?? '', /text\/html/);
  assert.match((await client.call('/metrics')).text, /slimfaas_proxy_http2_connections(\{[^}]*\})? 1/);
  const missing = await client.call('/no-such-route');
  assert.deepEqual([missing.status, missing.headers['slimfaas-reason']], [404, 'unknown-route']);
  const events = client.start('/status-functions-stream');
  const [first] = (await once(events, 'data')) as [Buffer];
  assert.match(first.toString(), /^data: \[/);
  events.close();
});

test('jobs are accepted, with and without a length, and refused without JetStream', async () => {
  const warnings: string[] = [];
  const note = (warning: Error): void => void warnings.push(warning.message);
  process.on('warning', note);
  await using world = await startJobProxy();
  await world.addFunction('fn');
  const seen: string[] = [];
  await using app = await new App((req, res) => {
    void readAll(req).then((text) => seen.push(`${req.url} ${text}`));
    res.end();
  }).listen();
  await world.sidecar('fn', app.port);
  using client = h2Client(world.proxy.url);
  for (const headers of [{}, { 'content-length': '4' }]) {
    const answer = await client.call('/async-function/fn/work', { headers, body: 'body' });
    assert.equal(answer.status, 201);
    await world.ended('fn', String(answer.headers['slimfaas-element-id']));
  }
  assert.deepEqual(seen, ['/work body', '/work body']);
  await world.jsm.streams.delete('SLIMFAAS_JOBS');
  const refused = await client.call('/async-function/fn/work', { body: 'body' });
  assert.deepEqual([refused.status, refused.headers['slimfaas-reason']], [503, 'queue-unavailable']);
  process.off('warning', note);
  assert.deepEqual(warnings, []);
});

test('what does not exist, and what is private, is the same 404', async () => {
  await using t = await start((_req, res) => res.end(), ['--show-private']);
  t.addFunction('secret', { 'SlimFaas/DefaultVisibility': 'Private' });
  using client = h2Client(t.url);
  const isKnown = async () => (await client.call('/status-functions')).text.includes('"secret"');
  await waitFor(isKnown, { what: 'the private function is known' });
  for (const name of ['nope', 'secret']) {
    const { status, headers, text } = await client.call(`/function/${name}/x`, { body: 'unread' });
    assert.deepEqual([status, headers['slimfaas-reason']], [404, 'unknown-function']);
    assert.match(text, new RegExp(`no function \\\\"${name}\\\\"`));
  }
  assert.equal((await client.call('/function/')).status, 404);
});

test('a malformed request is refused alone; its connection goes on', async () => {
  await using t = await start((_req, res) => res.end('fine'));
  using client = h2Client(t.url);
  const bad = await client.call('/function/fib/', { headers: { ':authority': 'a', host: 'b' } });
  assert.deepEqual([bad.status, bad.headers['slimfaas-reason']], [400, 'bad-request']);
  await assert.rejects(client.call('/function/fib/', { headers: { 'x-big': 'x'.repeat(40_000) } }));
  assert.equal((await client.call('/function/fib/')).text, 'fine');
});

test('a caller who leaves ends his call, running or waiting', async () => {
  const left: string[] = [];
  await using t = await start((req, res) => void res.once('close', () => left.push(req.url ?? '')));
  t.addFunction('asleep');
  using client = h2Client(t.url);
  const running = client.start('/function/fib/slow');
  const waiting = client.start('/function/asleep/', { body: 'x' });
  await waitFor(async () => (await statusOf(t, 'fib')).Running === 1, { what: 'one runs' });
  await waitFor(async () => (await statusOf(t, 'asleep')).Waiting === 1, { what: 'one waits' });
  running.close(constants.NGHTTP2_CANCEL);
  waiting.close(constants.NGHTTP2_CANCEL);
  await waitFor(() => left.includes('/slow'), { what: 'the function hears of it' });
  await waitFor(async () => (await statusOf(t, 'asleep')).Waiting === 0, { what: 'the line is empty' });
});

test('a connection that breaks ends all its calls', async () => {
  await using t = await start(() => undefined);
  const client = h2Client(t.url);
  client.start('/function/fib/1');
  client.start('/function/fib/2', { body: null });
  await waitFor(async () => (await statusOf(t, 'fib')).Running === 2, { what: 'both run' });
  client.session.destroy();
  await waitFor(async () => (await statusOf(t, 'fib')).Running === 0, { what: 'none runs' });
});

test('an answer that breaks off is reset, never ended', async () => {
  await using t = await start((req, res) => {
    if (req.url === '/length') res.setHeader('Content-Length', 100);
    res.write('half', () => res.destroy());
  });
  using client = h2Client(t.url);
  for (const path of ['/function/fib/chunked', '/function/fib/length']) {
    await assert.rejects(client.call(path), (error: Error) => {
      assert.deepEqual((error.cause as { code: number }).code, constants.NGHTTP2_INTERNAL_ERROR);
      return true;
    });
  }
});

test('an answer that HTTP/2 cannot say is said as far as it can be', async () => {
  await using t = await start((_req, res) => {
    res.writeHead(999, { 'HTTP2-Settings': 'x', 'Proxy-Authenticate': 'x', 'X-Kept': 'yes' });
    res.end('odd');
  });
  using client = h2Client(t.url);
  const { status, headers, text } = await client.call('/function/fib/');
  assert.deepEqual(
    [status, headers['x-kept'], headers['http2-settings'], text],
    [500, 'yes', undefined, 'odd'],
  );
});

test('large bodies, byte for byte, both ways', async () => {
  await using t = await start((req, res) => void req.pipe(res));
  using client = h2Client(t.url);
  const body = Buffer.from(Array.from({ length: 3 * 1_048_576 }, (_, i) => i % 251));
  const stream = client.start('/function/fib/', { body });
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'end');
  assert.ok(Buffer.concat(chunks).equals(body));
});

test('a caller who does not read stops the function; one who waits is not read', async () => {
  let written = 0;
  const total = 32 * 1_048_576;
  await using t = await start((_req, res: ServerResponse) => {
    const piece = Buffer.alloc(262_144);
    const write = (): void => {
      while (written < total && !res.destroyed) {
        written += piece.length;
        if (!res.write(piece)) return void res.once('drain', write);
      }
      res.end();
    };
    write();
  });
  using client = h2Client(t.url);
  const stream = client.start('/function/fib/');
  stream.pause();
  await once(stream, 'response');
  let before = -1;
  await waitFor(() => before === (before = written), { what: 'the function stands still', intervalMs: 200 });
  assert.ok(written < total, 'not all of it was taken off the function');
  let size = 0;
  stream.resume();
  stream.on('data', (chunk: Buffer) => (size += chunk.length));
  await once(stream, 'end');
  assert.equal(size, total);
});

test('the preface may come in pieces, and is an error behind a request', async () => {
  await using t = await start((_req, res) => res.end('fine'));
  const request = headersFrame(1, {
    ':method': 'GET',
    ':scheme': 'http',
    ':path': '/health',
    ':authority': 'a',
  });
  const rest = Buffer.concat([PREFACE.subarray(20), EMPTY_SETTINGS, request]);
  using split = await rawConnection(t.port, PREFACE.subarray(0, 3));
  await new Promise((resolve) => setImmediate(resolve));
  split.socket.write(PREFACE.subarray(3, 20));
  await new Promise((resolve) => setTimeout(resolve, 20)); // another packet
  split.socket.write(rest);
  await waitFor(() => split.types.includes(1), { what: 'an answer' });
  const preface = PREFACE.toString('latin1');
  const behind = await rawCall(t.port, `GET /health HTTP/1.1\r\nHost: a\r\n\r\n${preface}`);
  assert.match(behind, /HTTP\/1\.1 400 Bad Request/);
  const kept = connect(t.port, '127.0.0.1');
  kept.write('GET /health HTTP/1.1\r\nHost: a\r\n\r\n');
  await once(kept, 'data');
  kept.write(preface);
  const [refusal] = (await once(kept, 'data')) as [Buffer];
  assert.match(refusal.toString(), /^HTTP\/1\.1 400/);
  kept.destroy();
});
