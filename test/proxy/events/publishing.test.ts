/** `/publish-event`: who gets an event, and what is answered. A real proxy, JetStream, sidecars and apps. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { EVENTS_STREAM, JOBS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { waitFor } from '../../helpers/wait.ts';
import { Recorder } from '../../sidecar/support/recorder.ts';
import { h2Client } from '../http2/h2-client.ts';
import { startEventWorld } from '../support/event-world.ts';
import { collectWakes } from '../support/wakes.ts';

const recorder = () => new Recorder((_req, res) => res.end()).listen();

test('every ready pod of every function that subscribes gets it once; nobody else does', async () => {
  await using t = await startEventWorld();
  await using first = await recorder();
  await using second = await recorder();
  await using other = await recorder();
  await using deaf = await recorder();
  await t.addFunction('mail', { SubscribeEvents: 'paid,sent' });
  await t.addFunction('stock', { SubscribeEvents: 'Public:paid' });
  await t.addFunction('deaf', { SubscribeEvents: 'other' });
  await t.addPod('mail', first.port, 'paid,sent');
  await t.addPod('mail', second.port, 'paid,sent');
  await t.addPod('stock', other.port, 'paid');
  await t.addPod('deaf', deaf.port, 'other');
  const answer = await t.publish('paid/orders/7?x=1', { body: '{"id":7}', headers: { 'X-Kind': 'a' } });
  assert.equal(answer.status, 204, answer.text);
  const everyone = [first, second, other];
  await waitFor(() => everyone.every((app) => app.requests.length > 0), { what: 'all pods have it' });
  for (const { requests } of everyone) {
    assert.equal(requests[0]?.line, 'POST /orders/7?x=1');
    assert.equal(requests[0]?.body.toString(), '{"id":7}');
    assert.equal(requests[0]?.header('x-kind'), 'a');
    assert.equal(requests[0]?.header('slimfaas-try-number'), '0');
  }
  // The next one comes after it, so by then a second copy of the first would have come.
  await t.publish('sent/next');
  await waitFor(() => first.requests.length > 1 && second.requests.length > 1, { what: 'the next one' });
  assert.deepEqual(
    [...everyone, deaf].map((app) => app.requests.map((request) => request.line.split(' ')[1])),
    [['/orders/7?x=1', '/next'], ['/orders/7?x=1', '/next'], ['/orders/7?x=1'], []],
  );
  const metrics = await (await fetch(`${t.proxy.url}/metrics`)).text();
  assert.match(metrics, /slimfaas_proxy_events_total\{namespace="default",function="mail",way="pods"\} 2/);
  assert.match(metrics, /slimfaas_proxy_events_total\{namespace="default",function="stock",way="pods"\} 1/);
});

test('a function at zero is woken, and its first pod gets the event from its queue', async () => {
  await using t = await startEventWorld();
  await using app = await recorder();
  await t.addFunction('mail', { SubscribeEvents: 'paid' });
  const wakes = collectWakes(t.proxy, 'mail');
  assert.equal((await t.publish('paid/late', { body: 'kept' })).status, 204);
  await waitFor(() => wakes.length > 0, { what: 'a wake' });
  assert.equal(wakes[0]?.waiting, 0, 'it is in the queue, and counted there');
  assert.equal(await t.depth(), 1);
  await t.addPod('mail', app.port, 'paid');
  const got = await waitFor(() => app.requests[0], { what: 'the event arrives' });
  assert.deepEqual([got.line, got.body.toString()], ['POST /late', 'kept']);
  await waitFor(async () => (await t.depth()) === 0, { what: 'the queue is empty' });
  assert.equal((await t.jsm.streams.info(EVENTS_STREAM)).state.messages, 0);
});

test('a pod that does not subscribe yet, as during a rollout, does not count: the event waits in the queue', async () => {
  await using t = await startEventWorld();
  await t.addFunction('mail', { SubscribeEvents: 'paid' });
  t.proxy.setPod('mail', 'old', '127.0.0.9', { annotations: { 'SlimFaas/SubscribeEvents': 'older' } });
  await t.proxy.readyPods('mail', 1);
  assert.equal((await t.publish('paid')).status, 204);
  assert.equal(await t.depth(), 1);
});

test('an event without a path goes to /; any method passes', async () => {
  await using t = await startEventWorld();
  await using app = await recorder();
  await t.addFunction('mail', { SubscribeEvents: 'paid' });
  await t.addPod('mail', app.port, 'paid');
  for (const method of ['GET', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) {
    assert.equal((await t.publish('paid', { method })).status, 204, method);
    await waitFor(() => app.requests.some(({ line }) => line === `${method} /`), { what: `${method} /` });
  }
});

test('over HTTP/2 as over HTTP/1.1, errors included', async () => {
  await using t = await startEventWorld();
  await using app = await recorder();
  await t.addFunction('mail', { SubscribeEvents: 'paid' });
  await t.addPod('mail', app.port, 'paid');
  using client = h2Client(t.proxy.url);
  const answer = await client.call('/publish-event/paid/x?y', { method: 'PUT', body: 'two' });
  assert.equal(answer.status, 204, answer.text);
  const got = await waitFor(() => app.requests[0], { what: 'it arrives' });
  assert.deepEqual([got.line, got.body.toString()], ['PUT /x?y', 'two']);
  const refused = await client.call('/publish-event/unheard', { method: 'POST', body: 'x' });
  assert.deepEqual([refused.status, refused.headers['slimfaas-reason']], [404, 'unknown-event']);
});

test('404 for an event that nobody subscribes to, 400 for what is no event’s name', async () => {
  await using t = await startEventWorld();
  await t.addFunction('mail', { SubscribeEvents: 'paid' });
  const unknown = await t.publish('unheard/of');
  assert.deepEqual([unknown.status, unknown.headers['slimfaas-reason']], [404, 'unknown-event']);
  assert.equal((JSON.parse(unknown.text) as { error: string }).error, 'unknown-event');
  for (const name of ['', '/x', 'a%20b', 'a%2Fb', 'a%3Fb', '%zz', '%00', 'x'.repeat(254)]) {
    const { status, headers } = await t.publish(name);
    assert.deepEqual([status, headers['slimfaas-reason']], [400, 'bad-request'], JSON.stringify(name));
  }
  for (const name of ['*', '%3E', 'paid.*', 'caf%C3%A9'])
    assert.equal((await t.publish(name)).status, 404, name);
});

test('names with dots and wildcards are names, and an event may be of another namespace', async () => {
  await using t = await startEventWorld(['--namespaces=default,other']);
  await t.addFunction('mail', { SubscribeEvents: 'a.b,*,caf\u00e9' });
  t.proxy.addFunction('far', { 'SlimFaas/SubscribeEvents': 'paid' }, { namespace: 'other' });
  for (const name of ['a.b', '*', 'caf%C3%A9']) assert.equal((await t.publish(name)).status, 204, name);
  const far = async () => (await t.publish('paid.other')).status === 204;
  await waitFor(far, { what: 'paid.other is known' });
  assert.equal((await t.publish('paid')).status, 404, 'a bare name is of the own namespace');
  const { state } = await t.jsm.streams.info(JOBS_STREAM, { subjects_filter: '>' });
  assert.deepEqual(state.subjects, { 'slimfaas.job.default.mail': 3, 'slimfaas.job.other.far': 1 });
});

test('a repeated key is one event, whose large body stays; the second body goes', async () => {
  await using t = await startEventWorld();
  await using app = await new Recorder((_req, res) => res.end()).listen();
  await t.addFunction('fib', { SubscribeEvents: 'paid' });
  await t.addPod('fib', app.port, 'paid');
  const post = { headers: { 'Idempotency-Key': 'k' }, body: Buffer.alloc(700_000, 'x') };
  assert.equal((await t.publish('paid', post)).status, 204);
  assert.equal((await t.publish('paid', post)).status, 204);
  await waitFor(() => app.requests.length === 1, { what: 'it has run' });
  assert.equal(app.requests[0]?.body.length, 700_000);
  assert.equal(await t.bodies(), 1);
});

test('Private, by prefix, by the function, or by the path, is 404 from outside', async () => {
  await using t = await startEventWorld();
  await t.addFunction('a', { SubscribeEvents: 'Private:secret,Public:both' });
  await t.addFunction('b', { SubscribeEvents: 'hidden,Public:shown', DefaultVisibility: 'Private' });
  await t.addFunction('c', { SubscribeEvents: 'both', PathsStartWithVisibility: 'Private:/admin' });
  const unknown = await t.publish('nope');
  for (const name of ['secret', 'hidden', 'secret.default'])
    assert.deepEqual(
      [(await t.publish(name)).status, (await t.publish(name)).text],
      [404, unknown.text.replace('nope', name)],
      'not a word tells that somebody subscribes',
    );
  assert.equal(await t.depth(), 0);
  assert.equal((await t.publish('shown/x')).status, 204, 'Public: opens it in a private function');
  assert.equal((await t.publish('both/x')).status, 204);
  assert.equal(await t.depth(), 3);
  assert.equal((await t.publish('both/%61dmin')).status, 204);
  assert.equal(await t.depth(), 4, 'not to c, whose path it is');
  // A trusted pod of ours, at the address that we call from.
  t.proxy.setPod('a', 'caller', '127.0.0.1');
  const inside = async () => (await t.publish('secret', { headers: {} })).status === 204;
  await waitFor(inside, { what: 'a trusted pod may publish it' });
  const forwarded = { 'X-Forwarded-For': '203.0.113.9' };
  assert.equal((await t.publish('secret', { headers: forwarded })).status, 404, 'forwarded for a stranger');
});
