/** What a stranger may cost over HTTP/2, and how he is stopped. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import type { ServerResponse } from 'node:http';
import { constants } from 'node:http2';
import { test } from 'node:test';
import { waitFor } from '../../helpers/wait.ts';
import { callUrl } from '../support/calls.ts';
import type { FakeFunction } from '../support/fake-pod.ts';
import { startTestProxy, type TestProxy } from '../support/test-proxy.ts';
import { statusOf } from '../support/wakes.ts';
import {
  answerOf,
  EMPTY_SETTINGS,
  frame,
  h2Client,
  headersFrame,
  PREFACE,
  rawConnection,
} from './h2-client.ts';

const GREETING = Buffer.concat([PREFACE, EMPTY_SETTINGS]);
const REQUEST = { ':method': 'GET', ':scheme': 'http', ':path': '/function/fib/', ':authority': 'a' };

async function start(run: FakeFunction, flags: readonly string[] = []): Promise<TestProxy> {
  const t = await startTestProxy(flags);
  t.addFunction('fib');
  await t.addPod('fib', { run, limit: 5_000 });
  await t.readyPods('fib', 1);
  return t;
}

async function metric(t: TestProxy, name: string): Promise<number> {
  const text = await (await fetch(`${t.url}/metrics`)).text();
  const line = text.split('\n').find((each) => each.startsWith(name));
  return Number(line?.slice(line.lastIndexOf(' ')) ?? Number.NaN);
}

/** Calls that came to the function's pod. */
async function callsSeen(t: TestProxy): Promise<number> {
  const text = await (await fetch(`${t.url}/metrics`)).text();
  const lines = text.split('\n').filter((each) => each.startsWith('slimfaas_proxy_requests_total'));
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

/** Cut, and everybody else is served. */
async function isCut(t: TestProxy, closed: Promise<void>): Promise<void> {
  await closed;
  assert.equal((await callUrl(`${t.url}/health`)).status, 200);
  using client = h2Client(t.url);
  assert.equal((await client.call('/health')).status, 200);
}

test('beyond what idle connections may hold the longest idle are closed, and none with a stream', async () => {
  const held: ServerResponse[] = [];
  const run: FakeFunction = (req, res) => (req.url === '/slow' ? void held.push(res) : void res.end('ok'));
  await using t = await start(run, ['--idle-bytes=1048576']);
  using busy = h2Client(t.url);
  const slow = busy.start('/function/fib/slow');
  await waitFor(() => held.length === 1, { what: 'it runs' });
  const clients = [];
  for (let i = 0; i < 60; i++) {
    const client = h2Client(t.url);
    clients.push(client);
    assert.equal((await client.call('/function/fib/')).status, 200);
  }
  await waitFor(async () => (await metric(t, 'slimfaas_proxy_http2_connections')) <= 33, {
    what: 'the oldest are closed',
  });
  assert.ok((await metric(t, 'slimfaas_proxy_limited_total{limit="idle-bytes"}')) >= 28);
  held[0]?.end('done');
  assert.equal((await answerOf(slow)).text, 'done');
  assert.equal(clients.at(-1)?.session.destroyed, false, 'the newest stays');
  for (const client of clients) client[Symbol.dispose]();
});

test('a connection that says nothing, or only its preface, is closed in the header timeout', async () => {
  await using t = await start((_req, res) => res.end(), ['--header-timeout=1']);
  for (const first of [PREFACE.subarray(0, 10), GREETING]) {
    using connection = await rawConnection(t.port, first);
    await connection.closed;
  }
});

test('PINGs keep nobody alive, and half a header block does not either', async () => {
  await using t = await start((_req, res) => res.end(), ['--header-timeout=1']);
  using pinging = await rawConnection(t.port, GREETING);
  const timer = setInterval(() => pinging.socket.write(frame(6, 0, 0, Buffer.alloc(8))), 100);
  await pinging.closed.finally(() => clearInterval(timer));
  const half = headersFrame(1, REQUEST, 0x1); // END_STREAM without END_HEADERS
  using waiting = await rawConnection(t.port, Buffer.concat([GREETING, half]));
  await waiting.closed;
});

test('an idle connection gets GOAWAY after the keep-alive timeout, a busy one does not', async () => {
  await using t = await start(
    (req, res) => req.url === '/quick' && res.end('quick'),
    ['--keep-alive-timeout=1'],
  );
  using busy = h2Client(t.url);
  using idle = h2Client(t.url);
  busy.start('/function/fib/slow');
  await idle.call('/function/fib/quick');
  await once(idle.session, 'goaway');
  assert.equal(busy.session.closed, false);
  assert.equal((await busy.call('/function/fib/quick')).text, 'quick');
});

test('requests-per-connection holds: the last one is answered, then GOAWAY', async () => {
  await using t = await start((_req, res) => res.end('ok'), ['--requests-per-connection=2']);
  using client = h2Client(t.url);
  const goaway = once(client.session, 'goaway');
  assert.equal((await client.call('/function/fib/')).text, 'ok');
  assert.equal((await client.call('/function/fib/')).text, 'ok');
  await goaway;
});

test('further streams than http2-streams wait in the client', async () => {
  const held: ServerResponse[] = [];
  await using t = await start((_req, res) => void held.push(res), ['--http2-streams=2']);
  using client = h2Client(t.url);
  await once(client.session, 'remoteSettings');
  const calls = [1, 2, 3].map(() => client.call('/function/fib/'));
  await waitFor(() => held.length === 2, { what: 'two run' });
  assert.equal(await metric(t, 'slimfaas_proxy_http2_requests_total'), 2);
  held[0]?.end();
  await waitFor(() => held.length === 3, { what: 'the third runs' });
  for (const res of held) res.end();
  await Promise.all(calls);
});

test('headers beyond max-header-bytes cost the stream and nothing else, SETTINGS acknowledged or not', async () => {
  await using t = await start((_req, res) => res.end());
  const tooMuch = [
    ...Object.entries(REQUEST),
    ...Array.from({ length: 150 }, () => ['x'.repeat(100), 'y'.repeat(120)] as const),
  ];
  const first = headersFrame(1, tooMuch.slice(0, 50), 0x1); // END_STREAM; the rest in CONTINUATION frames
  const rest = [tooMuch.slice(50, 100), tooMuch.slice(100)].map((some) => headersFrame(1, some).subarray(9));
  const request = Buffer.concat([
    first,
    frame(9, 0, 1, rest[0] as Buffer),
    frame(9, 4, 1, rest[1] as Buffer),
  ]);
  const acknowledge = frame(4, 1, 0, Buffer.alloc(0));
  for (const more of [Buffer.alloc(0), acknowledge]) {
    using connection = await rawConnection(t.port, GREETING);
    await waitFor(() => connection.types.includes(4), { what: 'SETTINGS' });
    connection.socket.write(Buffer.concat([more, request, headersFrame(3, REQUEST)]));
    const answers = (): number => connection.types.filter((type) => type === 1).length;
    // Acknowledged: Node resets the stream. If not: it is ours to refuse.
    const expected = more.length > 0 ? 1 : 2;
    await waitFor(() => answers() === expected, { what: 'the next one is answered' });
    assert.equal(connection.types.includes(3), more.length > 0);
  }
  assert.equal(await callsSeen(t), 2);
});

test('more headers than max-headers cost the stream and nothing else', async () => {
  await using t = await start((_req, res) => res.end(), ['--max-headers=20']);
  const withHeaders = (count: number) => [
    ...Object.entries(REQUEST),
    ...Array.from({ length: count }, () => ['x-a', 'y'] as const),
  ];
  using connection = await rawConnection(t.port, GREETING);
  connection.socket.write(
    Buffer.concat([headersFrame(1, withHeaders(21)), headersFrame(3, withHeaders(20))]),
  );
  await waitFor(() => connection.types.includes(3), { what: 'the first is reset' });
  await waitFor(() => connection.types.includes(1), { what: 'the second is answered' });
  assert.equal(await callsSeen(t), 1);
});

test('rapid reset: whoever cancels all he begins is cut', async () => {
  await using t = await start(() => undefined);
  using flood = await rawConnection(t.port, GREETING);
  const cancel = Buffer.alloc(4);
  cancel.writeUInt32BE(constants.NGHTTP2_CANCEL);
  let id = 1;
  const timer = setInterval(() => {
    const frames: Buffer[] = [];
    for (let i = 0; i < 200; i++, id += 2) frames.push(headersFrame(id, REQUEST), frame(3, 0, id, cancel));
    flood.socket.write(Buffer.concat(frames));
  }, 5);
  await isCut(t, flood.closed).finally(() => clearInterval(timer));
  assert.ok(id > 2_000, 'a thousand cancelled calls at once are in order');
  await waitFor(async () => (await metric(t, 'slimfaas_proxy_http2_errors_total')) >= 1, { what: 'counted' });
  await waitFor(async () => (await statusOf(t, 'fib')).Running === 0, { what: 'nothing of it is left' });
});

test('floods of PING and SETTINGS whose answers nobody reads are cut', async () => {
  await using t = await start((_req, res) => res.end());
  const ping = frame(6, 0, 0, Buffer.alloc(8));
  for (const one of [ping, EMPTY_SETTINGS]) {
    using flood = await rawConnection(t.port, GREETING);
    flood.socket.pause();
    const many = Buffer.concat(Array.from({ length: 2_000 }, () => one));
    const timer = setInterval(() => flood.socket.write(many, () => undefined), 2);
    // Paused, a socket does not notice that it was closed; writing to it does.
    await isCut(t, flood.closed).finally(() => clearInterval(timer));
  }
});

test('CONTINUATION without end is cut', async () => {
  await using t = await start((_req, res) => res.end());
  using flood = await rawConnection(t.port, Buffer.concat([GREETING, headersFrame(1, REQUEST, 0x1)]));
  const more = frame(9, 0, 1, headersFrame(1, { 'x-a': 'y'.repeat(100) }).subarray(9));
  const timer = setInterval(() => flood.socket.write(more), 1);
  await isCut(t, flood.closed).finally(() => clearInterval(timer));
});

test('a client who does not read his answer, or owes his body, loses the stream alone', async () => {
  await using t = await start(
    (req, res) => {
      if (req.url === '/quick') return void res.end('quick');
      req.resume();
      if (req.url === '/big') res.end(Buffer.alloc(4 * 1_048_576));
      return undefined;
    },
    ['--body-idle-timeout=1'],
  );
  using client = h2Client(t.url);
  const unread = client.start('/function/fib/big');
  unread.pause();
  const owing = client.start('/function/fib/upload', { body: null });
  owing.write('half');
  await Promise.all([once(unread, 'close'), once(owing, 'close')]);
  assert.deepEqual([unread.rstCode, owing.rstCode], [constants.NGHTTP2_CANCEL, constants.NGHTTP2_CANCEL]);
  assert.equal((await client.call('/function/fib/quick')).text, 'quick');
});

test('an answer before the whole request: the rest is read for a while, then the stream is over', async () => {
  await using t = await start((_req, res) => res.end('early'));
  using client = h2Client(t.url);
  const stream = client.start('/function/fib/', { body: null });
  stream.write('some');
  const answer = answerOf(stream);
  assert.equal((await answer).text, 'early');
});
