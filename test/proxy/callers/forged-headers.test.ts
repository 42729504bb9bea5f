/**
 * Names that a CGI-like server folds into ours (`SlimFaas_Element_Id`) never reach a function, whichever way a request
 * takes.
 */
import assert from 'node:assert/strict';
import { request, type IncomingMessage } from 'node:http';
import { test } from 'node:test';
import { once } from 'node:events';
import { waitFor } from '../../helpers/wait.ts';
import { Recorder } from '../../sidecar/support/recorder.ts';
import { rawCall, textOf } from '../support/calls.ts';
import { startEventWorld } from '../support/event-world.ts';
import { startTestProxy } from '../support/test-proxy.ts';
import { h2Client } from '../http2/h2-client.ts';
import { HEADER } from '../../../common/function/names.ts';
import { foldField, isOwnField } from '../../../common/relay/wire/own-fields.ts';

const SEPARATORS = ['_', '.', '!', '#', '$', '%', '&', "'", '*', '+', '^', '`', '|', '~'];
const ORIGIN = ['X-Forwarded-For', 'X-Forwarded-Proto', 'X-Forwarded-Host', 'X-Request-Id'];
/** Each of our names in each spelling that is folded into it. */
const SPELLINGS = [...Object.values(HEADER), ...ORIGIN].flatMap((name) =>
  SEPARATORS.map((separator) => name.replaceAll('-', separator)),
);
const FORGED = SPELLINGS.map((name) => [name, 'forged'] as const);

/** What a server of CGI's kind calls each header; only what has our names and no value of ours is wrong. */
function forgedIn(names: readonly string[], values: readonly string[]): string[] {
  return names.filter((_, i) => values[i] === 'forged');
}

test('the spellings are ours, and names that only begin alike are not', () => {
  for (const name of Object.values(HEADER)) assert.ok(isOwnField(name), name);
  for (const name of ['SlimFaas', 'SlimFaaster', 'SlimFaas2-X', 'SlimFax-A', 'X-SlimFaas-A']) {
    assert.equal(isOwnField(name), false, name);
  }
  assert.equal(foldField('X_Forwarded.For'), 'x-forwarded-for');
});

test('a call, over HTTP/1.1, HTTP/2 and as an upgrade', async () => {
  await using t = await startTestProxy(['--max-headers=2000', '--max-header-bytes=200000']);
  t.addFunction('fib');
  const seen: string[][] = [];
  const pod = await t.addPod('fib', {
    run(req, res) {
      seen.push(req.rawHeaders);
      res.end();
    },
  });
  pod.onUpgrade((req, socket) => {
    seen.push(req.rawHeaders);
    socket.end('HTTP/1.1 403 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n');
  });
  await t.readyPods('fib', 1);
  for (const part of parts(FORGED, 60)) {
    const lines = part.map(([name, value]) => `${name}: ${value}\r\n`).join('');
    const head = `GET /function/fib/ HTTP/1.1\r\nHost: h\r\nX-Mine_Too: kept\r\n${lines}`;
    await rawCall(t.port, `${head}Connection: close\r\n\r\n`);
    await rawCall(t.port, `${head}Connection: Upgrade\r\nUpgrade: x\r\n\r\n`);
    using h2 = h2Client(t.url);
    const lower = Object.fromEntries(part.map(([name, value]) => [name.toLowerCase(), value]));
    await h2.call('/function/fib/', { headers: { 'x-mine_too': 'kept', ...lower } });
  }
  assert.equal(seen.length, parts(FORGED, 60).length * 3);
  for (const raw of seen) {
    const names = raw.filter((_, i) => i % 2 === 0);
    const values = raw.filter((_, i) => i % 2 === 1);
    assert.deepEqual(forgedIn(names, values), []);
    assert.ok(
      names.some((name) => name.toLowerCase() === 'x-mine_too'),
      'other names with "_" pass',
    );
  }
});

test('a job and an event', async () => {
  await using t = await startEventWorld();
  await using app = await new Recorder((_req, res) => res.end()).listen();
  await t.addFunction('warm', { SubscribeEvents: 'paid' });
  await t.addPod('warm', app.port, 'paid');
  const names = ['SlimFaas_Element_Id', 'slimfaas.try.number', 'SlimFaas~Last~Try', 'X_Forwarded_For'];
  const lines = names.map((name) => `${name}: forged\r\n`).join('');
  for (const path of ['/async-function/warm/a', '/publish-event/paid/b']) {
    const head = `POST ${path} HTTP/1.1\r\nHost: h\r\n${lines}`;
    const raw = await rawCall(t.proxy.port, `${head}Content-Length: 0\r\nConnection: close\r\n\r\n`);
    assert.match(raw, /^HTTP\/1.1 20[14] /, raw);
  }
  await waitFor(() => app.requests.length === 2, { what: 'both arrive' });
  for (const { headers } of app.requests) assert.ok(!headers.includes('forged'), headers.join());
});

test('trailers are no way in either', async () => {
  await using t = await startTestProxy();
  t.addFunction('fib');
  let trailers: IncomingMessage['trailers'] = {};
  await t.addPod('fib', {
    run(req, res) {
      req.resume().on('end', () => {
        trailers = req.trailers;
        res.end();
      });
    },
  });
  await t.readyPods('fib', 1);
  const call = request(`${t.url}/function/fib/`, { method: 'POST' });
  call.write('data');
  call.addTrailers({ 'SlimFaas-Element-Id': 'forged', SlimFaas_Try_Number: 'forged', 'X-Sum': '42' });
  call.end();
  const [response] = (await once(call, 'response')) as [IncomingMessage];
  await textOf(response);
  assert.deepEqual({ ...trailers }, { 'x-sum': '42' });
});

function parts<T>(all: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(all.length / size) }, (_, i) => all.slice(i * size, (i + 1) * size));
}
