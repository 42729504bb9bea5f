/** An event is the request that it was, whichever way it goes; what cannot be taken is refused in our own form. */
import assert from 'node:assert/strict';
import { request } from 'node:http';
import { test } from 'node:test';
import { BODIES_STREAM, EVENTS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { waitFor } from '../../helpers/wait.ts';
import { Recorder } from '../../sidecar/support/recorder.ts';
import { policy } from '../../sidecar/support/job-world.ts';
import { rawCall, type Answer } from '../support/calls.ts';
import { startEventWorld, type EventWorld } from '../support/event-world.ts';

const recorder = () => new Recorder((_req, res) => res.end()).listen();

/** One function with a pod, and one at zero. */
async function twoWays(t: EventWorld, appPort: number): Promise<void> {
  await t.addFunction('warm', { SubscribeEvents: 'paid' });
  await t.addFunction('cold', { SubscribeEvents: 'paid' });
  await t.addPod('warm', appPort, 'paid');
}

test('odd headers, duplicates, path, query and a binary body are byte-equal by both ways', async () => {
  await using t = await startEventWorld();
  await using warm = await recorder();
  await using cold = await recorder();
  await twoWays(t, warm.port);
  const body = Buffer.from(Array.from({ length: 256 }, (_, i) => i)).toString('latin1');
  const odd = 'X-B: one\r\nx-B: two\r\nX-Latin: caf\u00e9\r\nX-Empty:\r\nCookie: a=1\r\nCookie: b=2\r\n';
  const head = 'PATCH /publish-event/paid//..;x%2F?a=%zz&b HTTP/1.1\r\nHost: odd.example\r\n';
  const internal = 'SlimFaas-Try-Number: 9\r\nKeep-Alive: x\r\n';
  const end = `Content-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`;
  const raw = await rawCall(t.proxy.port, `${head}${odd}${internal}${end}`);
  assert.match(raw, /^HTTP\/1.1 204 /, raw);
  await t.addPod('cold', cold.port, 'paid');
  await waitFor(() => warm.requests.length + cold.requests.length === 2, { what: 'both have it' });
  for (const [got] of [warm.requests, cold.requests]) {
    assert.equal(got?.line, 'PATCH //..;x%2F?a=%zz&b');
    const expected = ['Host', 'odd.example', 'X-B', 'one', 'x-B', 'two', 'X-Latin', 'caf\u00e9'];
    expected.push('X-Empty', '', 'Cookie', 'a=1', 'Cookie', 'b=2');
    assert.deepEqual(got?.headers.slice(0, expected.length), expected);
    assert.equal(got?.body.toString('latin1'), body);
    assert.equal(got?.header('slimfaas-try-number'), '0');
    assert.equal(got?.header('x-forwarded-for'), '127.0.0.1');
    assert.equal(got?.header('traceparent'), undefined, 'no trace is begun here');
  }
  const ids = [warm, cold].map((app) => app.requests[0]?.header('x-request-id'));
  assert.match(ids[0] ?? '', /^[0-9a-f]{32}$/);
  assert.equal(ids[0], ids[1], 'by which a function knows an event that it has seen');
});

test('a large chunked body is stored once, for all that get it', async () => {
  await using t = await startEventWorld();
  await using warm = await recorder();
  await using cold = await recorder();
  await twoWays(t, warm.port);
  const chunk = Buffer.alloc(700_000, 'x');
  const answer = await send(t, [chunk, chunk, chunk]);
  assert.equal(answer.status, 204, answer.text);
  await t.addPod('cold', cold.port, 'paid');
  await waitFor(() => warm.requests.length + cold.requests.length === 2, { what: 'both have it' });
  for (const app of [warm, cold]) assert.equal(app.requests[0]?.bodyHash, Recorder.hashOf(chunk, 3));
  const { messages } = (await t.jsm.streams.info(BODIES_STREAM)).state;
  assert.equal(messages, Math.ceil(2_100_000 / (128 * 1024)), 'it is there still, and once');
});

test('413 for a body above --max-event-body, announced or not, and nothing is kept', async () => {
  await using t = await startEventWorld(['--max-event-body=1000000']);
  await t.addFunction('cold', { SubscribeEvents: 'paid' });
  const announced = await t.publish('paid', { body: Buffer.alloc(1_000_001) });
  assert.deepEqual([announced.status, announced.headers['slimfaas-reason']], [413, 'body-too-large']);
  assert.match(announced.text, /1000000 bytes.*--max-event-body/);
  assert.equal((await send(t, [Buffer.alloc(600_000), Buffer.alloc(600_000)])).status, 413);
  assert.equal((await t.publish('paid', { body: Buffer.alloc(1_000_000) })).status, 204);
  assert.equal(await t.depth(), 1);
});

test('503 while NATS is down: nothing is accepted, and nothing comes later', async () => {
  await using t = await startEventWorld(['--job-ack-timeout=2']);
  await using app = await recorder();
  await twoWays(t, app.port);
  await t.proxy.nats.kill();
  // A moment earlier it is "not confirmed", and may be stored after all.
  await waitFor(async () => (await fetch(`${t.proxy.url}/ready`)).status === 503, { what: 'it knows' });
  const answer = await t.publish('paid/lost', { body: 'x' });
  assert.equal(answer.headers['slimfaas-reason'], 'queue-unavailable');
  assert.equal(answer.status, 503);
  assert.ok(Number(answer.headers['retry-after']) >= 1);
  await t.proxy.nats.restart();
  const again = async () => (await t.publish('paid/kept')).status === 204;
  await waitFor(again, { what: 'events are taken again' });
  await waitFor(() => app.requests.some(({ line }) => line === 'POST /kept'), { what: 'it arrives' });
  assert.ok(!app.requests.some(({ line }) => line === 'POST /lost'));
});

test('503 where there is no stream of events, as before the scaler has led', async () => {
  await using t = await startEventWorld(['--job-ack-timeout=2']);
  await using app = await recorder();
  await twoWays(t, app.port);
  await t.jsm.streams.delete(EVENTS_STREAM);
  const answer = await t.publish('paid');
  assert.deepEqual([answer.status, answer.headers['slimfaas-reason']], [503, 'queue-unavailable']);
  assert.match(answer.text, /1 of 2 functions have the event/);
  const metrics = await (await fetch(`${t.proxy.url}/metrics`)).text();
  assert.match(metrics, /slimfaas_proxy_events_refused_total\{reason="queue-unavailable"\} 1/);
});

test('429 when the queue of a function at zero is full', async () => {
  await using t = await startEventWorld([], { maxJobsPerFunction: 2 });
  await t.addFunction('cold', { SubscribeEvents: 'paid' });
  for (let i = 0; i < 2; i++) assert.equal((await t.publish('paid')).status, 204);
  const answer = await t.publish('paid');
  assert.deepEqual([answer.status, answer.headers['slimfaas-reason']], [429, 'queue-full']);
  assert.ok(Number(answer.headers['retry-after']) >= 1);
});

test('the same Idempotency-Key is one event for each function, whichever way it goes', async () => {
  await using t = await startEventWorld();
  await using app = await recorder();
  await twoWays(t, app.port);
  const headers = { 'Idempotency-Key': 'order-7' };
  for (let i = 0; i < 3; i++) assert.equal((await t.publish('paid/x', { headers })).status, 204);
  assert.equal((await t.publish('paid/y')).status, 204);
  await waitFor(() => app.requests.some(({ line }) => line === 'POST /y'), { what: 'the last one' });
  assert.deepEqual(app.requests.map(({ line }) => line).toSorted(), ['POST /x', 'POST /y']);
  assert.equal(await t.depth(), 2);
});

test('an event that waits in the queue is tried as DefaultPublish says, and is a dead letter in the end', async () => {
  await using t = await startEventWorld();
  await using app = await new Recorder((_req, res) => void res.writeHead(500).end()).listen();
  await t.addFunction('cold', { SubscribeEvents: 'paid' });
  assert.equal((await t.publish('paid/x')).status, 204);
  const policies = { 'publish-policy': policy([0.05]), 'async-policy': policy([600]) };
  await t.addPod('cold', app.port, 'paid', policies);
  const dead = async () =>
    JSON.parse((await t.admin('/dead-jobs')).text) as { tries: unknown[]; event: string }[];
  const letters = await waitFor(async () => ((await dead()).length > 0 ? dead() : undefined), {
    what: 'a letter',
  });
  assert.deepEqual([letters[0]?.tries.length, letters[0]?.event], [2, 'paid']);
  assert.equal(app.requests.length, 2);
});

function send(t: EventWorld, chunks: readonly Buffer[]): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const req = request(`${t.proxy.url}/publish-event/paid`, { method: 'POST', agent: false }, (res) => {
      let text = '';
      res.on('data', (chunk: Buffer) => (text += chunk.toString()));
      res.on('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, text }));
    });
    req.on('error', reject);
    for (const chunk of chunks) req.write(chunk);
    req.end();
  });
}
