/** `slimfaas.dev/fallback`: what callers get where a function cannot be woken. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { describe, it, test } from 'node:test';
import { parseAnnotations } from '../../../common/function/annotations/index.ts';
import { waitFor } from '../../helpers/wait.ts';
import { h2Client } from '../http2/h2-client.ts';
import { callUrl } from '../support/calls.ts';
import { startTestProxy, type TestProxy } from '../support/test-proxy.ts';
import { statusOf } from '../support/wakes.ts';

/** At zero and paused: it fails at once. */
const NEVER = { 'slimfaas.dev/paused': 'true' };
const fallback = (value: object) => ({ 'slimfaas.dev/fallback': JSON.stringify(value) });

describe('the annotation', () => {
  const read = (text: string) => {
    const { spec, faults } = parseAnnotations({ 'SlimFaas/Function': 'true', 'slimfaas.dev/fallback': text });
    return { fallback: spec.fallback, problem: faults.map(({ problem }) => problem).join() };
  };

  it('is another function, or an answer with its status and type', () => {
    assert.deepEqual(read('{"Function": "sorry"}'), {
      fallback: { kind: 'function', name: 'sorry' },
      problem: '',
    });
    assert.deepEqual(read('{"Body": " sorry "}').fallback, {
      kind: 'answer',
      status: 503,
      contentType: 'text/plain; charset=utf-8',
      body: ' sorry ',
    });
    const html = { Body: '<p>', Status: 200, ContentType: 'text/html; charset=utf-8' };
    const { fallback: answer } = read(JSON.stringify(html));
    assert.deepEqual(answer, { kind: 'answer', status: 200, contentType: html.ContentType, body: '<p>' });
  });

  for (const [text, problem] of [
    ['sorry', /not JSON/],
    ['{}', /allowed: either Function or Body/],
    ['{"Function": "a", "Body": "b"}', /allowed: either Function or Body/],
    ['{"Function": "A/b"}', /Function is not allowed; allowed: the name of a function/],
    ['{"Body": 7}', /Body is not allowed; allowed: a text of at most 8192 bytes/],
    [
      JSON.stringify({ Body: 'é'.repeat(4_097) }),
      /Body is not allowed; allowed: a text of at most 8192 bytes/,
    ],
  ] as const)
    it(`is none where it is ${text.slice(0, 40)}`, () => {
      const result = read(text);
      assert.equal(result.fallback, undefined);
      assert.match(result.problem, problem);
    });

  it('keeps its body where status or type cannot be used', () => {
    const result = read('{"Body": "b", "Status": 100, "ContentType": "text/html\\r\\nX: y"}');
    assert.deepEqual(result.fallback, {
      kind: 'answer',
      status: 503,
      contentType: 'text/plain; charset=utf-8',
      body: 'b',
    });
    assert.match(result.problem, /Status .*ContentType/);
    for (const status of [204, 205, 301, 304, 399]) {
      const { fallback: answer, problem } = read(JSON.stringify({ Body: 'b', Status: status }));
      assert.equal(answer?.kind === 'answer' && answer.status, 503, `${status}`);
      assert.match(problem, /Status is not allowed; allowed: a status that has a body/);
    }
  });
});

const counted = async (t: TestProxy, fn: string, kind: string): Promise<number> => {
  const text = await t.registry.metrics();
  const line = new RegExp(
    `^slimfaas_proxy_fallbacks_total\\{[^}]*function="${fn}",kind="${kind}"[^}]*\\} (\\d+)`,
    'm',
  );
  return Number(line.exec(text)?.[1] ?? 0);
};

test('an answer as it is written, with the reason beside it, over HTTP/1.1 and HTTP/2', async () => {
  await using t = await startTestProxy(['--public-port=0', '--public-routes=function']);
  t.addFunction('shop', { ...NEVER, ...fallback({ Body: 'sorry', Status: 200, ContentType: 'text/html' }) });
  const url = `${t.url}/function/shop/`;
  const answer = await callUrl(url);
  assert.deepEqual([answer.status, answer.text, answer.headers['content-type']], [200, 'sorry', 'text/html']);
  assert.equal(answer.headers['slimfaas-reason'], 'cold-start-timeout');
  const outside = await callUrl(`http://127.0.0.1:${t.proxy.publicPort}/function/shop/`);
  assert.equal(outside.text, 'sorry');
  using client = h2Client(t.url);
  const streamed = await client.call('/function/shop/');
  assert.deepEqual([streamed.status, streamed.text], [200, 'sorry']);
  assert.equal(await counted(t, 'shop', 'answer'), 3);
});

test('where the function is up nothing is said in its place, and other failures are told', async () => {
  await using t = await startTestProxy();
  t.addFunction('shop', { 'slimfaas.dev/queue-limit': '0', ...fallback({ Body: 'sorry' }) });
  const url = `${t.url}/function/shop/`;
  const full = await callUrl(url);
  assert.deepEqual([full.status, full.headers['slimfaas-reason']], [429, 'queue-full']);
  await t.addPod('shop', { run: (_req, res) => res.writeHead(500).end('its own') });
  await t.readyPods('shop', 1);
  assert.equal((await callUrl(url)).text, 'its own');
  assert.equal(await counted(t, 'shop', 'answer'), 0);
});

test('another function runs the same call, body included', async () => {
  await using t = await startTestProxy();
  t.addFunction('shop', { ...NEVER, ...fallback({ Function: 'sorry' }) });
  t.addFunction('sorry');
  await t.addPod('sorry', {
    run: (req, res) => {
      res.write(`${req.method} ${req.url} `);
      req.pipe(res);
    },
  });
  await t.readyPods('sorry', 1);
  const answer = await callUrl(`${t.url}/function/shop/a?b`, { method: 'POST', body: 'cart' });
  assert.deepEqual([answer.status, answer.text], [200, 'POST /a?b cart']);
  using client = h2Client(t.url);
  assert.equal((await client.call('/function/shop/c')).text, 'GET /c ');
  assert.equal(await counted(t, 'shop', 'function'), 2);
  const status = await statusOf(t, 'shop');
  assert.deepEqual([status.Waiting, status.Running], [0, 0]);
});

test('a canary of the other function takes its part, and not the one that has failed', async () => {
  await using t = await startTestProxy();
  const all = { 'slimfaas.dev/canary-of': 'sorry', 'slimfaas.dev/weight': '100' };
  t.addFunction('shop', { ...NEVER, ...fallback({ Function: 'sorry' }) });
  t.addFunction('sorry');
  t.addFunction('next', all);
  for (const name of ['sorry', 'next']) {
    await t.addPod(name, { run: (_req, res) => res.end(name) });
    await t.readyPods(name, 1);
  }
  assert.equal((await callUrl(`${t.url}/function/shop/`)).text, 'next');

  await using failed = await startTestProxy();
  failed.addFunction('sorry');
  failed.addFunction('next', { ...all, ...NEVER, ...fallback({ Function: 'sorry' }) });
  await failed.addPod('sorry', { run: (_req, res) => res.end('sorry') });
  await failed.readyPods('sorry', 1);
  assert.equal((await callUrl(`${failed.url}/function/sorry/`)).text, 'sorry');
});

test('functions that name each other, themselves or nobody make no circle: the caller is told', async () => {
  await using t = await startTestProxy();
  t.addFunction('a', { ...NEVER, ...fallback({ Function: 'b' }) });
  t.addFunction('b', { ...NEVER, ...fallback({ Function: 'a' }) });
  t.addFunction('self', { ...NEVER, ...fallback({ Function: 'self' }) });
  t.addFunction('lost', { ...NEVER, ...fallback({ Function: 'nobody' }) });
  for (const name of ['a', 'b', 'self', 'lost']) {
    const answer = await callUrl(`${t.url}/function/${name}/`);
    assert.deepEqual([answer.status, answer.headers['slimfaas-reason']], [504, 'cold-start-timeout'], name);
  }
  assert.deepEqual(
    [
      await counted(t, 'a', 'function'),
      await counted(t, 'self', 'function'),
      await counted(t, 'lost', 'function'),
    ],
    [1, 0, 0],
  );
});

test('a caller that leaves while the other function is waited for waits no longer', async () => {
  await using t = await startTestProxy();
  t.addFunction('shop', { ...NEVER, ...fallback({ Function: 'sorry' }) });
  t.addFunction('sorry');
  const call = request(`${t.url}/function/shop/`).on('error', () => undefined);
  call.end();
  await waitFor(async () => (await statusOf(t, 'sorry')).Waiting === 1, {
    what: 'the other one is waited for',
  });
  call.destroy();
  await waitFor(async () => (await statusOf(t, 'sorry')).Waiting === 0, { what: 'it is not any more' });
});
