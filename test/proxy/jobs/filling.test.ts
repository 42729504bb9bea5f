/** One function posts until NATS is full for it; the jobs of another go on. On a real server, with bounds as in a cluster. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { waitFor } from '../../helpers/wait.ts';
import { policy } from '../../sidecar/support/job-world.ts';
import { Recorder } from '../../sidecar/support/recorder.ts';
import { callUrl } from '../support/calls.ts';
import { elementIdOf, startJobProxy, type JobProxy } from '../support/job-proxy.ts';

/** Of it 8 MB are for jobs and 10 MB for large bodies. */
const VOLUME = { volumeBytes: 40_000_000 };
const ROOM = { nats: { maxFileStoreBytes: 60_000_000 } };

/** @returns how many were taken */
async function fill(t: JobProxy, bytes: number): Promise<number> {
  const body = Buffer.alloc(bytes, 'x');
  for (let taken = 0; ; taken++) {
    const answer = await t.post('greedy', '/', { body });
    if (answer.status === 201) continue;
    assert.equal(answer.status, 429, answer.text);
    assert.match(
      answer.text,
      /queue-full.*greedy holds \d+ bytes of the store for .* all functions together \d+ bytes are free/,
    );
    assert.equal(answer.headers['retry-after'], '2');
    return taken;
  }
}

async function areBoundsKnown(t: JobProxy): Promise<boolean> {
  const { text } = await t.admin('/metrics');
  return /slimfaas_proxy_job_store_free_bytes\{kind="stored"[^}]*\} \d/.test(text);
}

for (const [what, bytes, most] of [
  ['jobs', 400_000, 15],
  ['large bodies', 2_000_000, 3],
] as const)
  test(`with as many ${what} as it may have a function is refused, and another’s jobs run`, async () => {
    await using t = await startJobProxy([], VOLUME, ROOM);
    await t.addFunction('greedy');
    await t.addFunction('other');
    await waitFor(() => areBoundsKnown(t), { what: 'the proxy knows the bounds' });
    const taken = await fill(t, bytes);
    assert.ok(taken >= most / 2 && taken <= most, String(taken));
    await using app = await new Recorder((_req, res) => res.end('ok')).listen();
    await t.sidecar('other', app.port);
    for (let i = 0; i < 5; i++) {
      const answer = await t.post('other', '/', { body: Buffer.alloc(bytes, 'y') });
      assert.equal(answer.status, 201, answer.text);
      await t.ended('other', elementIdOf(answer));
    }
    // Once its own are done it may post again.
    await t.sidecar('greedy', app.port);
    await waitFor(
      async () => (await t.post('greedy', '/', { body: Buffer.alloc(bytes, 'x') })).status === 201,
      {
        what: 'the function posts again',
      },
    );
    await waitFor(async () => (await t.depth()) === 0, { what: 'all have run' });
    assert.equal(app.requests.length, taken + 6);
  });

test('large bodies of dead jobs count for their function until their letters are dropped: others find room', async () => {
  await using t = await startJobProxy([], VOLUME, ROOM);
  await t.addFunction('greedy');
  await t.addFunction('other');
  await waitFor(() => areBoundsKnown(t), { what: 'the proxy knows the bounds' });
  await using app = await new Recorder((_req, res) => void res.writeHead(500).end()).listen();
  await t.sidecar('greedy', app.port, { 'async-policy': policy([]) });
  const body = Buffer.alloc(2_000_000, 'x');
  const post = (name: string) => t.post(name, '/', { body });
  let taken = 0;
  let answer = await post('greedy');
  for (; answer.status === 201 && taken < 10; answer = await post('greedy')) {
    await t.ended('greedy', elementIdOf(answer), 'dead');
    taken += 1;
  }
  assert.equal(answer.status, 429, answer.text);
  assert.match(
    answer.text,
    /greedy holds \d+ bytes of the store for large bodies of jobs.*or dead letters dropped/,
  );
  assert.ok(taken >= 2 && taken <= 3, String(taken));
  await waitFor(async () => (await t.depth()) === 0, { what: 'its jobs are over' });
  // Another reading of how full it is changes nothing.
  for (let i = 0; i < 3; i++) assert.equal((await post('greedy')).status, 429);
  assert.equal((await post('other')).status, 201);
  for (const letter of [1, 2])
    assert.equal((await t.admin(`/dead-jobs/${letter}`, { method: 'DELETE' })).status, 204);
  await waitFor(async () => (await post('greedy')).status === 201, { what: 'the function posts again' });
});

/** A body of unknown length. */
function streamed(bytes: number): ReadableStream<Uint8Array> {
  let left = bytes;
  return new ReadableStream({
    pull(controller) {
      if (left <= 0) return controller.close();
      controller.enqueue(new Uint8Array(Math.min(left, 100_000)));
      left -= 100_000;
    },
  });
}

for (const [what, bodyOf] of [
  ['announce their length', (bytes: number) => Buffer.alloc(bytes)],
  ['do not', streamed],
] as const)
  test(`large bodies that come at the same time and ${what} count while they come: others find room`, async () => {
    await using t = await startJobProxy([], VOLUME, ROOM);
    await t.addFunction('greedy');
    await t.addFunction('other');
    await waitFor(() => areBoundsKnown(t), { what: 'the proxy knows the bounds' });
    const post = async () => {
      const init = { method: 'POST', body: bodyOf(2_000_000), duplex: 'half' } as RequestInit;
      const answer = await fetch(`${t.proxy.url}/async-function/greedy/`, init);
      await answer.body?.cancel();
      return answer.status;
    };
    const statuses = await Promise.all(Array.from({ length: 8 }, post));
    const taken = statuses.filter((status) => status === 201).length;
    assert.ok(taken <= 3, statuses.join());
    assert.deepEqual(new Set(statuses.filter((status) => status !== 201)), new Set([429]));
    const answer = await t.post('other', '/', { body: Buffer.alloc(2_000_000, 'y') });
    assert.equal(answer.status, 201, answer.text);
  });

test('large bodies of events take half of the room at most, and jobs have the rest', async () => {
  await using t = await startJobProxy([], VOLUME, ROOM);
  await t.addFunction('hears', { SubscribeEvents: 'Public:paid' });
  await t.addFunction('other');
  await waitFor(() => areBoundsKnown(t), { what: 'the proxy knows the bounds' });
  const body = Buffer.alloc(1_000_000, 'x');
  const publish = () => callUrl(`${t.proxy.url}/publish-event/paid`, { method: 'POST', body });
  let taken = 0;
  let answer = await publish();
  for (; answer.status === 204; answer = await publish()) taken += 1;
  assert.equal(answer.status, 429, answer.text);
  assert.match(answer.text, /queue-full.*Events may use them only while at least half stays free/);
  assert.ok(taken >= 2 && taken <= 5, String(taken));
  for (let i = 0; i < 2; i++) assert.equal((await t.post('other', '/', { body })).status, 201);
});
