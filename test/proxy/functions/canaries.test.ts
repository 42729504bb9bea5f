/** `slimfaas.dev/canary-of`: which part of a function takes a call. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { describe, it, test } from 'node:test';
import WebSocket, { WebSocketServer } from 'ws';
import { parseAnnotations } from '../../../common/function/annotations/index.ts';
import { decodeActivity, type ActivityMessage } from '../../../common/bus/messages.ts';
import { functionSubject } from '../../../common/bus/subjects.ts';
import { canaryAt, pointOf } from '../../../common/function/canary.ts';
import { CANARY_END_ANNOTATION } from '../../../common/function/canary-end.ts';
import { CanaryTable } from '../../../proxy/functions/canary-table.ts';
import type { FunctionView } from '../../../proxy/functions/function-view.ts';
import { waitFor } from '../../helpers/wait.ts';
import { h2Client } from '../http2/h2-client.ts';
import { callUrl } from '../support/calls.ts';
import { startTestProxy, type TestProxy } from '../support/test-proxy.ts';
import { statusOf } from '../support/wakes.ts';

describe('the line of weights', () => {
  const canaries = [
    { name: 'a', weightPercent: 10 },
    { name: 'b', weightPercent: 0 },
    { name: 'c', weightPercent: 50 },
  ];
  const at = (point: number) => canaryAt(canaries, point)?.name;
  it('gives each its part, and the function the rest', () =>
    assert.deepEqual([0, 9.99, 10, 59.99, 60, 99.99].map(at), ['a', 'a', 'c', 'c', undefined, undefined]));
  it('gives nothing above 100', () => {
    const many = [...canaries, { name: 'd', weightPercent: 60 }];
    assert.deepEqual(
      [60, 99.99].map((point) => canaryAt(many, point)?.name),
      ['d', 'd'],
    );
  });
});

test('texts are spread evenly, each at its own place: of 10,000 users each tenth has its share', () => {
  const tenths = Array.from({ length: 10 }, () => 0);
  for (let i = 0; i < 10_000; i++) tenths[Math.floor(pointOf(`user-${i}`) / 10)]!++;
  // Six standard deviations of a fair split, over names that never change.
  for (const count of tenths) assert.ok(Math.abs(count - 1_000) < 180, tenths.join());
  assert.equal(pointOf('user-1'), pointOf('user-1'));
});

interface Part {
  readonly id: { namespace: string; name: string };
  view: FunctionView;
}

function part(name: string, annotations: Record<string, string> = {}): Part {
  const { spec } = parseAnnotations({ 'SlimFaas/Function': 'true', ...annotations });
  return { id: { namespace: 'default', name }, view: { spec } as FunctionView };
}

function canary(name: string, of: string, weight: number): Part {
  return part(name, { 'slimfaas.dev/canary-of': of, 'slimfaas.dev/weight': String(weight) });
}

describe('which part is chosen', () => {
  it('follows changes: another weight, another function, gone', () => {
    const table = new CanaryTable<Part>(() => 0.5);
    const [stable, other, next] = [part('shop'), part('other'), canary('next', 'shop', 60)];
    assert.equal(table.choose(stable, []), stable);
    table.set(next);
    assert.equal(table.choose(stable, []), next);
    next.view = canary('next', 'shop', 40).view;
    table.set(next);
    assert.equal(table.choose(stable, []), stable);
    next.view = canary('next', 'other', 60).view;
    table.set(next);
    assert.deepEqual([table.choose(stable, []), table.choose(other, [])], [stable, next]);
    table.remove(next);
    assert.equal(table.choose(other, []), other);
  });

  it('a canary is not split again, and none takes its own calls', () => {
    const table = new CanaryTable<Part>(() => 0);
    const [next, inner, self] = [
      canary('next', 'shop', 100),
      canary('inner', 'next', 100),
      canary('self', 'self', 100),
    ];
    for (const entry of [next, inner, self]) table.set(entry);
    assert.equal(table.choose(part('shop'), []), next);
    assert.equal(table.choose(next, []), next);
    assert.equal(table.choose(self, []), self);
  });

  const inHalf = (from: string) => {
    const table = new CanaryTable<Part>(() => 0.99);
    table.set(canary('next', 'shop', 50));
    const stable = part('shop', { 'slimfaas.dev/sticky': from });
    return (headers: string[]) => table.choose(stable, headers).id.name;
  };

  it('sticks to a header, or to a cookie; a call without it is split by itself', () => {
    const expected = (user: string) => (pointOf(user) < 50 ? 'next' : 'shop');
    const users = Array.from({ length: 20 }, (_, i) => `user-${i}`);
    const byHeader = inHalf('header:X-User');
    assert.deepEqual(
      users.map((user) => byHeader(['x-user', user])),
      users.map(expected),
    );
    const byCookie = inHalf('cookie:sid');
    assert.deepEqual(
      users.map((user) => byCookie(['Cookie', `a=1; sid=${user}; b=2`])),
      users.map(expected),
    );
    assert.equal(new Set(users.map(expected)).size, 2);
    assert.deepEqual([byHeader([]), byCookie(['Cookie', 'sids=user-0'])], ['shop', 'shop']);
  });
});

async function startShop(annotations: Record<string, string>, weight: number): Promise<TestProxy> {
  const t = await startTestProxy(['--function-hosts=*']);
  t.addFunction('shop', { 'slimfaas.dev/hosts': 'shop.example', ...annotations });
  t.addFunction('next', { 'slimfaas.dev/canary-of': 'shop', 'slimfaas.dev/weight': String(weight) });
  return t;
}

test('calls by name, by host, over HTTP/2 and upgrades go to the canary; by its own name it is always called', async () => {
  await using t = await startShop({}, 100);
  const pod = await t.addPod('next', { run: (req, res) => res.end(`next ${req.url}`) });
  const sockets = new WebSocketServer({ noServer: true });
  pod.onUpgrade((req, socket, head) => sockets.handleUpgrade(req, socket, head, (ws) => ws.send('next')));
  await t.readyPods('next', 1);
  assert.equal((await callUrl(`${t.url}/function/shop/a`)).text, 'next /a');
  assert.equal((await callUrl(`${t.url}/a`, { headers: { Host: 'shop.example' } })).text, 'next /a');
  assert.equal((await callUrl(`${t.url}/function/next/a`)).text, 'next /a');
  using client = h2Client(t.url);
  assert.equal((await client.call('/function/shop/a')).text, 'next /a');
  const ws = new WebSocket(`${t.url.replace('http', 'ws')}/function/shop/`);
  assert.equal(String((await once(ws, 'message'))[0]), 'next');
  ws.terminate();
});

test('the function’s own rules hold for its canary’s calls: what is private stays so', async () => {
  await using t = await startShop({ 'SlimFaas/PathsStartWithVisibility': 'Private:/admin' }, 100);
  await t.addPod('next');
  await t.readyPods('next', 1);
  assert.equal((await callUrl(`${t.url}/function/shop/open`)).status, 200);
  const outside = { headers: { 'X-Forwarded-For': '203.0.113.9' } };
  assert.equal((await callUrl(`${t.url}/function/shop/admin`, outside)).status, 404);
});

test('each part sleeps by itself: only the part that is chosen is waited for', async () => {
  await using t = await startShop({ 'slimfaas.dev/sticky': 'header:X-User' }, 50);
  await t.addPod('shop', { run: (_req, res) => res.end('shop') });
  await t.readyPods('shop', 1);
  const users = Array.from({ length: 10 }, (_, i) => `user-${i}`);
  const [forCanary, forShop] = [users.find((u) => pointOf(u) < 50), users.find((u) => pointOf(u) >= 50)];
  const call = (user = '') => callUrl(`${t.url}/function/shop/`, { headers: { 'X-User': user } });
  const held = call(forCanary);
  await waitFor(async () => (await statusOf(t, 'next')).Waiting === 1, { what: 'the canary is waited for' });
  assert.equal((await call(forShop)).text, 'shop');
  await t.addPod('next', { run: (_req, res) => res.end('next') });
  assert.equal((await held).text, 'next');
});

const CANARY = { 'slimfaas.dev/canary-of': 'shop', 'slimfaas.dev/weight': '100' };

test('a canary that is rolled back gets no calls of the function, until another version of it is there', async () => {
  await using t = await startShop({}, 100);
  for (const name of ['shop', 'next']) await t.addPod(name, { run: (_req, res) => res.end(name) });
  await t.readyPods('shop', 1);
  await t.readyPods('next', 1);
  const answered = async () => (await callUrl(`${t.url}/function/shop/`)).text;
  assert.equal(await answered(), 'next');
  const version = { 'deployment.kubernetes.io/revision': '1' };
  const back = { [CANARY_END_ANNOTATION]: JSON.stringify({ revision: '1', why: 'bad' }) };
  t.addFunction('next', CANARY, { ownAnnotations: { ...version, ...back } });
  await waitFor(async () => (await answered()) === 'shop', { what: 'it is rolled back' });
  assert.equal((await callUrl(`${t.url}/function/next/`)).text, 'next');
  const second = await t.another();
  assert.equal((await callUrl(`${second.url}/function/shop/`)).text, 'shop');
  t.addFunction('next', CANARY, { ownAnnotations: { 'deployment.kubernetes.io/revision': '2', ...back } });
  await waitFor(async () => (await answered()) === 'next', { what: 'another version takes its part' });
});

test('a proxy says how calls of a canary and of its function ended, and of no other', async () => {
  await using t = await startShop({ 'slimfaas.dev/sticky': 'header:X-User' }, 50);
  t.addFunction('other');
  const reports = new Map<string, ActivityMessage[]>();
  for (const name of ['shop', 'next', 'other']) {
    await t.addPod(name, { run: (req, res) => res.writeHead(req.url === '/bad' ? 500 : 200).end(name) });
    await t.readyPods(name, 1);
    const all: ActivityMessage[] = [];
    reports.set(name, all);
    t.link.subscribe(functionSubject('activity', { namespace: 'default', name }), (_subject, data) => {
      const message = decodeActivity(data);
      if (message.source === 'proxy') all.push(message);
    });
  }
  const users = Array.from({ length: 20 }, (_, i) => `user-${i}`);
  for (const user of users)
    await callUrl(`${t.url}/function/shop/${user === 'user-0' ? 'bad' : ''}`, {
      headers: { 'X-User': user },
    });
  for (let i = 0; i < 3; i++) await callUrl(`${t.url}/function/other/`);
  const sums = (name: string) => {
    const calls = (reports.get(name) ?? []).flatMap(({ calls: each }) => each ?? []);
    const ran = calls.flatMap(({ durations }) => durations.filter((_, i) => i % 2 === 1));
    const sum = (numbers: number[]) => numbers.reduce((a, b) => a + b, 0);
    return [sum(calls.map(({ ended }) => ended)), sum(calls.map(({ failed }) => failed)), sum(ran)];
  };
  const forNext = users.filter((user) => pointOf(user) < 50);
  const expected = (its: string[]) => [its.length, its.includes('user-0') ? 1 : 0, its.length];
  await waitFor(() => (sums('shop')[0] ?? 0) + (sums('next')[0] ?? 0) === users.length, {
    what: 'all is said',
  });
  await waitFor(() => reports.get('other')?.some(({ finished }) => finished > 0), {
    what: 'the other one too',
  });
  assert.deepEqual(sums('next'), expected(forNext));
  assert.deepEqual(sums('shop'), expected(users.filter((user) => !forNext.includes(user))));
  assert.deepEqual(sums('other'), [0, 0, 0]);
});
