/**
 * Jobs where NATS lets each client do what its identity may and no more: the real proxy and real sidecars, small bodies
 * and large ones. The server refuses nothing that they do.
 */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, test } from 'node:test';
import { encodeWish } from '../../../common/queue/body-wish.ts';
import { encodeJob } from '../../../common/queue/job.ts';
import { storeBody } from '../../../common/queue/jetstream/bodies/body-store.ts';
import { BODIES_STREAM } from '../../../common/queue/jetstream/streams.ts';
import { narrowNats, type NarrowNats } from '../../common/bus/narrow-nats.ts';
import { waitFor } from '../../helpers/wait.ts';
import { policy } from '../../sidecar/support/job-world.ts';
import { Recorder } from '../../sidecar/support/recorder.ts';
import { elementIdOf, startJobProxy, type JobProxy } from '../support/job-proxy.ts';

const FN = { namespace: 'default', name: 'fib.v2' };
const OWN = { namespace: 'default', function: FN.name, pod: 'fib-1' };
const SIBLING = { ...OWN, pod: 'fib-2' };
const OTHER = { namespace: 'default', function: 'other', pod: 'other-1' };
const SMALL = randomBytes(1_000);
const LARGE = randomBytes(2 * 1024 * 1024);

interface World extends AsyncDisposable {
  readonly t: JobProxy;
  readonly narrow: NarrowNats;
  sidecar(appPort: number, who?: typeof OWN, flags?: Record<string, string>): ReturnType<JobProxy['sidecar']>;
  post(body: Buffer): Promise<string>;
  /** Chunks in the store. */
  chunks(): Promise<number>;
  bodiesGone(): Promise<void>;
}

async function startWorld(): Promise<World> {
  const narrow = await narrowNats([OWN, SIBLING, OTHER]);
  const links = { proxy: narrow.proxy, test: narrow.admin };
  const t = await startJobProxy(['--auth=required'], {}, { nats: narrow.options, links });
  await t.addFunction(FN.name);
  await t.addFunction(OTHER.function);
  // Not by one connection: it ends with its server.
  const jsm = async () =>
    (await waitFor(() => t.proxy.link.connection, { what: 'connected' })).jetstreamManager();
  const chunks = async () => (await (await jsm()).streams.info(BODIES_STREAM)).state.messages;
  return {
    t,
    narrow,
    sidecar: (port, who = OWN, flags = {}) =>
      t.sidecar(
        who.function,
        port,
        { auth: 'permissive', 'pod-name': who.pod, ...flags },
        narrow.sidecar(who),
      ),
    async post(body) {
      const answer = await t.post(FN.name, '/', { body });
      assert.equal(answer.status, 201, answer.text);
      return elementIdOf(answer);
    },
    chunks,
    bodiesGone: () =>
      waitFor(async () => (await chunks()) === 0, { what: 'no body is left' }).then(() => undefined),
    async [Symbol.asyncDispose]() {
      await t[Symbol.asyncDispose]();
      await narrow.stop();
    },
  };
}

for (const [size, body] of [
  ['small', SMALL],
  ['large', LARGE],
] as const)
  describe(`with identities, a ${size} job`, () => {
    test('runs, is read back, and leaves no body', async () => {
      await using world = await startWorld();
      const { t, narrow } = world;
      await using app = await new Recorder((_req, res) => res.end('done')).listen();
      await world.sidecar(app.port);
      const view = await t.ended(FN.name, await world.post(body));
      assert.equal(Buffer.from(view.result?.body ?? '', 'base64').toString(), 'done');
      assert.ok(app.requests[0]?.body.equals(body));
      await world.bodiesGone();
      assert.deepEqual(await narrow.refused(), []);
    });

    test('is tried again with its body, by another pod too', async () => {
      await using world = await startWorld();
      const { t, narrow } = world;
      await using failing = await new Recorder((_req, res) => void res.writeHead(500).end()).listen();
      await using app = await new Recorder((_req, res) => res.end()).listen();
      const delays = { 'async-policy': policy([1, 1, 1, 1, 1, 1, 1, 1]) };
      const first = await world.sidecar(failing.port, OWN, delays);
      const id = await world.post(body);
      await t.ended(FN.name, id, 'retrying');
      await first.stop();
      await world.sidecar(app.port, SIBLING, delays);
      const view = await t.ended(FN.name, id);
      assert.equal(app.requests.length, 1);
      assert.equal(view.tries.length, failing.requests.length + 1);
      for (const { requests } of [failing, app])
        for (const request of requests) assert.ok(request.body.equals(body));
      await world.bodiesGone();
      assert.deepEqual(await narrow.refused(), []);
    });

    test('that dies keeps its body for its replay, and loses it with its letter', async () => {
      await using world = await startWorld();
      const { t, narrow } = world;
      let status = 500;
      await using app = await new Recorder((_req, res) => void res.writeHead(status).end()).listen();
      await world.sidecar(app.port, OWN, { 'async-policy': policy([]) });
      const [replayed, dropped] = [await world.post(body), await world.post(body)];
      for (const id of [replayed, dropped]) await t.ended(FN.name, id, 'dead');
      const before = await world.chunks();
      assert.equal(before > 0, body === LARGE);
      status = 200;
      const { text } = await t.admin('/dead-jobs/1/replay', { method: 'POST' });
      await t.ended(FN.name, (JSON.parse(text) as { id: string }).id);
      assert.ok(app.requests.at(-1)?.body.equals(body));
      await waitFor(async () => (await world.chunks()) === before / 2, { what: 'the replayed body is gone' });
      assert.equal((await t.admin('/dead-jobs/2', { method: 'DELETE' })).status, 204);
      await world.bodiesGone();
      assert.deepEqual(await narrow.refused(), []);
    });

    test('that is cancelled leaves no body', async () => {
      await using world = await startWorld();
      const id = await world.post(body);
      assert.equal((await world.t.job(FN.name, id, { method: 'DELETE' })).status, 204);
      await world.bodiesGone();
      await world.t.ended(FN.name, id, 'cancelled');
      assert.deepEqual(await world.narrow.refused(), []);
    });

    test('that waits while NATS is killed runs after it', async () => {
      await using world = await startWorld();
      const { t, narrow } = world;
      await using app = await new Recorder((_req, res) => res.end()).listen();
      const ids = [await world.post(body), await world.post(body)];
      await world.sidecar(app.port);
      await t.ended(FN.name, ids[0] as string);
      await t.proxy.nats.restart();
      for (const id of ids) await t.ended(FN.name, id);
      assert.ok(app.requests.length >= 2);
      await world.bodiesGone();
      assert.deepEqual(await narrow.refused(), []);
    });
  });

describe('with identities, a large body', () => {
  test('that was stored before them is read by way of a proxy, and removed', async () => {
    await using world = await startWorld();
    const { t, narrow } = world;
    await using app = await new Recorder((_req, res) => res.end()).listen();
    const js = t.proxy.link.connection?.jetstream();
    assert.ok(js);
    const secret = randomBytes(16).toString('hex');
    const pieces = async function* (): AsyncGenerator<Buffer> {
      yield LARGE;
    };
    const object = await storeBody({ js, jsm: t.jsm }, secret, pieces(), LARGE.length);
    const head = { secret, method: 'POST', path: '/', headers: [], acceptedAtMs: Date.now(), object };
    await js.publish('slimfaas.job.default.fib%2Ev2', encodeJob(head, Buffer.alloc(0)));
    await world.sidecar(app.port);
    await world.bodiesGone();
    assert.ok(app.requests[0]?.body.equals(LARGE));
    assert.deepEqual(await narrow.refused(), []);
  });

  test('of an event is read by way of a proxy, and stays for others', async () => {
    await using world = await startWorld();
    const { t, narrow } = world;
    await using app = await new Recorder((_req, res) => res.end()).listen();
    const js = t.proxy.link.connection?.jetstream();
    assert.ok(js);
    const secret = randomBytes(16).toString('hex');
    const pieces = async function* (): AsyncGenerator<Buffer> {
      yield LARGE;
    };
    const object = await storeBody({ js, jsm: t.jsm }, `default._.${secret}`, pieces(), LARGE.length);
    const head = { secret, method: 'POST', path: '/', headers: [], acceptedAtMs: Date.now(), object };
    await js.publish('slimfaas.job.default.fib%2Ev2', encodeJob({ ...head, event: 'paid' }, Buffer.alloc(0)));
    await world.sidecar(app.port);
    await waitFor(async () => (await t.depth()) === 0, { what: 'it has run' });
    assert.ok(app.requests[0]?.body.equals(LARGE));
    assert.equal(await world.chunks(), 16);
    assert.deepEqual(await narrow.refused(), []);
  });

  test('is removed for its own function and for no other', async () => {
    await using world = await startWorld();
    const { t } = world;
    await world.post(LARGE);
    const before = await world.chunks();
    const [subject = ''] = Object.keys(
      (await t.jsm.streams.info(BODIES_STREAM, { subjects_filter: '>' })).state.subjects ?? {},
    );
    const name = subject.split('.').slice(2, 5).join('.');
    assert.match(name, /^default\.fib%2Ev2\.[0-9a-f]{32}$/);
    const wish = (of: string) =>
      t.proxy.link.request(`slimfaas.body-wish.default.${of}`, encodeWish({ kind: 'remove', name }), 500);
    assert.equal(await wish('other'), undefined);
    assert.equal(await world.chunks(), before);
    assert.ok(await wish('fib%2Ev2'));
    assert.equal(await world.chunks(), 0);
  });
});
