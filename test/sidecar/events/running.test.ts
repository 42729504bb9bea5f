/** Events as one pod lives them: a real JetStream, a real sidecar, a real app. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { storeBody } from '../../../common/queue/jetstream/bodies/body-store.ts';
import { BODIES_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { eventSubject } from '../../../common/bus/subjects.ts';
import { waitFor } from '../../helpers/wait.ts';
import { App, holding, type Handler } from '../support/app.ts';
import { startEventScaler } from '../support/event-scaler.ts';
import { startEventWorld } from '../support/event-world.ts';
import { FN, policy } from '../support/job-world.ts';
import { Recorder } from '../support/recorder.ts';
import { sidecarFor } from '../support/sidecar.ts';

const answering = (status: (nth: number) => number) =>
  new Recorder((_req, res, nth) => void res.writeHead(status(nth)).end()).listen();

describe('events in a sidecar', () => {
  it('are brought as they were published, and leave no result and no dead letter', async () => {
    await using world = await startEventWorld();
    await using app = await answering(() => 200);
    const sidecar = await world.pod(app.port);
    const headers = ['X-Odd', 'a', 'x-odd', 'b', 'X-Latin', 'caf\u00e9'];
    await world.send({ method: 'PUT', path: '/a%20b//..?q=%zz', headers }, 'body');
    await world.isDone('fn-1');
    const [request] = app.requests;
    assert.equal(request?.line, 'PUT /a%20b//..?q=%zz');
    assert.deepEqual(request?.headers.slice(0, 6), headers);
    assert.equal(request?.body.toString(), 'body');
    assert.equal(request?.header('slimfaas-last-try'), 'false');
    assert.match(request?.header('slimfaas-element-id') ?? '', /^[0-9a-f]{32}1$/);
    assert.equal(await sidecar.metric('slimfaas_sidecar_events_total', 'outcome="done"'), 1);
    assert.equal(await sidecar.metric('slimfaas_sidecar_event_tries_total'), 1);
    assert.equal(await sidecar.metric('slimfaas_sidecar_requests_total'), 0);
  });

  it('are tried again as DefaultPublish says, with their own policy and not that of jobs', async () => {
    await using world = await startEventWorld();
    await using app = await answering((nth) => (nth <= 2 ? 500 : 200));
    const sidecar = await world.pod(app.port, {
      'publish-policy': policy([0.2, 0.4]),
      'async-policy': policy([]),
    });
    await world.send();
    await world.isDone('fn-1');
    const tries = app.requests.map((request) => request.header('slimfaas-try-number'));
    assert.deepEqual(tries, ['0', '1', '2']);
    const last = app.requests.map((request) => request.header('slimfaas-last-try'));
    assert.deepEqual(last, ['false', 'false', 'true']);
    const waited = app.requests.slice(1).map((request, i) => request.atMs - (app.requests[i]?.atMs ?? 0));
    for (const [i, least] of [200, 400].entries()) assert.ok((waited[i] ?? 0) >= least, `${waited}`);
    assert.equal(await sidecar.metric('slimfaas_sidecar_events_total', 'outcome="retry"'), 2);
  });

  it('are given up after the last try, without a dead letter', async () => {
    await using world = await startEventWorld();
    await using app = await answering(() => 503);
    const sidecar = await world.pod(app.port, { 'publish-policy': policy([0.05]) });
    await world.send();
    await world.isDone('fn-1');
    assert.equal(app.requests.length, 2);
    assert.equal(await sidecar.metric('slimfaas_sidecar_events_total', 'outcome="dead"'), 1);
    assert.equal((await world.deadLetters()).length, 0);
    assert.equal(await world.depth(), 0);
  });

  it('202 is an answer like any other: nobody waits for a callback', async () => {
    await using world = await startEventWorld();
    await using app = await answering(() => 202);
    const sidecar = await world.pod(app.port);
    await world.send();
    await world.isDone('fn-1');
    assert.equal(await sidecar.metric('slimfaas_sidecar_jobs_running'), 0);
    const job = await world.publish({ event: 'paid' });
    await world.ended(job, 'done');
    assert.equal(app.requests.length, 2);
  });

  it('HttpTimeout of DefaultPublish counts as a failed try', async () => {
    await using world = await startEventWorld();
    await using app = await new Recorder((_req, res, nth) => {
      if (nth > 1) res.end();
    }).listen();
    await world.pod(app.port, { 'publish-policy': policy([0.05], 1) });
    await world.send();
    await world.isDone('fn-1');
    assert.equal(app.requests.length, 2);
  });

  it('never run beyond the pod’s limit, and wait in JetStream and not in memory', async () => {
    await using world = await startEventWorld();
    const { handler, held, releaseAll } = holding();
    await using app = await new App(handler).listen();
    await world.pod(app.port, { 'parallel-per-pod': 2 });
    for (let i = 0; i < 12; i++) await world.send({ path: `/${i}` });
    await waitFor(() => held.length === 2, { what: 'two run' });
    const info = await world.reader('fn-1');
    assert.ok((info?.num_pending ?? 0) >= 8, `${info?.num_pending} wait in JetStream`);
    releaseAll();
    await world.isDone('fn-1');
    assert.equal(app.mostRunning, 2);
    assert.deepEqual(new Set(app.arrivals.map(({ url }) => url)).size, 12);
    assert.equal(app.count, 12);
  });

  it('hold up no job of a function in strict order, but for its place', async () => {
    await using world = await startEventWorld({ isOrdered: true });
    const held = holding();
    const isEvent = (url = '') => url.startsWith('/event');
    const handler: Handler = (req, res, nth) =>
      isEvent(req.url) ? held.handler(req, res, nth) : void res.end();
    await using app = await new App(handler).listen();
    await world.pod(app.port, { ordered: 'true' });
    await world.send({ path: '/event' });
    await waitFor(() => held.held.length === 1, { what: 'an event runs' });
    await world.ended(await world.publish());
    await world.ended(await world.publish());
    held.releaseAll();
  });

  it('find their places beside calls that never pause', async () => {
    await using world = await startEventWorld();
    await using app = await new App((_req, res) => void setTimeout(() => res.end(), 5)).listen();
    const sidecar = await world.pod(app.port, { 'parallel-per-pod': 2 });
    const isOver = new AbortController();
    const callers = Array.from({ length: 6 }, async () => {
      while (!isOver.signal.aborted) await sidecar.proxyCall('/call');
    });
    for (let i = 0; i < 10; i++) await world.send({ path: `/event/${i}` });
    await world.isDone('fn-1');
    isOver.abort();
    await Promise.all(callers);
    assert.equal(app.arrivals.filter(({ url }) => url.startsWith('/event/')).length, 10);
    assert.ok(app.mostRunning <= 2, `${app.mostRunning} ran at once`);
  });

  it('each of two pods gets each event; a later pod only those from its start on', async () => {
    await using world = await startEventWorld();
    await using a = await answering(() => 200);
    await using b = await answering(() => 200);
    await world.pod(a.port);
    await world.pod(b.port);
    await world.send({ path: '/1' });
    await world.send({ path: '/2' });
    await world.isDone('fn-1');
    await world.isDone('fn-2');
    for (const app of [a, b])
      assert.deepEqual(app.requests.map(({ line }) => line).toSorted(), ['POST /1', 'POST /2']);
    const { config } = (await world.reader('fn-2')) ?? {};
    const sinceMs = Date.parse(config?.opt_start_time ?? '');
    assert.ok(
      Date.now() - sinceMs < 60_000 && config?.deliver_policy === 'by_start_time',
      'not from the first on',
    );
  });

  it('a body from the store is brought, and stays for the other pods', async () => {
    await using world = await startEventWorld();
    await using a = await answering(() => 200);
    await using b = await answering(() => 200);
    await world.pod(a.port);
    await world.pod(b.port);
    const chunk = Buffer.alloc(300_000, 'x');
    const chunks = async function* () {
      for (let i = 0; i < 4; i++) yield chunk;
    };
    const object = await storeBody(world.jetstream, 'large', chunks(), 10_000_000);
    await world.send({ object });
    await world.isDone('fn-1');
    await world.isDone('fn-2');
    for (const app of [a, b]) assert.equal(app.requests[0]?.bodyHash, Recorder.hashOf(chunk, 4));
    const job = await world.publish({ object, event: 'paid' });
    await world.ended(job);
    assert.ok((await world.jetstream.jsm.streams.info(BODIES_STREAM)).state.messages > 0);
  });

  it('one that cannot be read is dropped and counted, and is in the way of nothing', async () => {
    await using world = await startEventWorld();
    await using app = await answering(() => 200);
    const sidecar = await world.pod(app.port);
    await world.jetstream.js.publish(eventSubject(FN, 'paid'), Buffer.from('nonsense'));
    await world.send();
    await world.isDone('fn-1');
    assert.equal(app.requests.length, 1);
    assert.equal(await sidecar.metric('slimfaas_sidecar_events_total', 'outcome="dead"'), 1);
  });

  it('an app that is away costs no try', async () => {
    await using world = await startEventWorld();
    await using app = await answering(() => 200);
    const { port } = app;
    const sidecar = await world.pod(port, { 'publish-policy': policy([]) });
    await app.close();
    await world.send();
    const givenBack = () => sidecar.metric('slimfaas_sidecar_events_total', 'outcome="given-back"');
    await waitFor(async () => (await givenBack()) > 0, { what: 'it was given back' });
    await app.listen(port);
    await world.isDone('fn-1');
    assert.deepEqual(
      app.requests.map((request) => request.header('slimfaas-try-number')),
      ['0'],
    );
  });

  it('a pod whose scaler is of 0.1.0, or away, makes its own consumer where nobody asks who one is', async () => {
    await using world = await startEventWorld({ hasScaler: false });
    await using app = await answering(() => 200);
    await world.pod(app.port);
    await world.send();
    await world.isDone('fn-1');
    assert.equal(app.requests.length, 1);
  });

  it('elsewhere what came while no scaler was there is run when one is', async () => {
    await using world = await startEventWorld({ hasScaler: false });
    await using app = await answering(() => 200);
    const flags = { nats: world.jetstream.server.url, 'subscribe-events': 'paid', auth: 'required' };
    await using _sidecar = await sidecarFor(app.port, { flags });
    await world.ended(await world.publish()); // by then it would have made one
    assert.equal(await world.reader('fn-1'), undefined);
    await world.send({ path: '/meanwhile' });
    await using _scaler = await startEventScaler({ nats: world.jetstream.server.url });
    await waitFor(() => app.requests.some(({ line }) => line === 'POST /meanwhile'), { what: 'it is run' });
    await world.isDone('fn-1');
  });

  it('a pod that subscribes to nothing reads nothing', async () => {
    await using world = await startEventWorld();
    await using app = await answering(() => 200);
    await world.sidecar(app.port);
    await world.send();
    await world.ended(await world.publish()); // by then it would have begun with events too
    assert.equal(await world.reader('fn-1'), undefined);
    assert.equal(app.requests.length, 1);
  });
});
