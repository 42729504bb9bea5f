/** How much of what NATS keeps jobs in one function may hold: the account by itself. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Queue } from '../../../common/queue/queue.ts';
import type { StoreRoom } from '../../../common/queue/room.ts';
import { functionKey } from '../../../common/bus/subjects.ts';
import { ReasonError } from '../../../common/runtime/errors.ts';
import { StoreShare } from '../../../proxy/jobs/accepting/store-share.ts';

const FIB = { namespace: 'shop', name: 'fib' };
const OTHER = { namespace: 'shop', name: 'other' };
const MB = 1_000_000;
const isFull = (error: unknown) => error instanceof ReasonError && error.code === 'queue-full';

/** A store of 100 MB for either kind, and what it says. */
function world() {
  const state = { now: 0, bytes: 0, doneUpTo: 0, maxBytes: 100 * MB, readings: 0, looks: 0 };
  const jobs = new Map<number, string>();
  const bodies = new Set<string>();
  const room = async (): Promise<StoreRoom> => {
    state.readings += 1;
    const counted = new Map<string, number>();
    for (const key of jobs.values()) counted.set(key, (counted.get(key) ?? 0) + 1);
    const bound = state.maxBytes > 0 ? { bytes: state.bytes, maxBytes: state.maxBytes } : undefined;
    return { inline: bound, stored: bound, jobs: counted };
  };
  const live = {
    room,
    doneUpTo: async () => state.doneUpTo,
    job: async ({ sequence }: { sequence: number }) => (
      (state.looks += 1),
      jobs.has(sequence) ? new Uint8Array(1) : undefined
    ),
    bodiesLeft: async (names: readonly string[]) => new Set(names.filter((name) => bodies.has(name))),
  } as unknown as Queue;
  const share = new StoreShare({ queue: { live }, now: () => state.now });
  let sequence = 0;
  const put = async (id: typeof FIB, bytes: number) => {
    const hold = await share.take(id, 'inline', bytes);
    sequence += 1;
    jobs.set(sequence, functionKey(id));
    state.bytes += bytes;
    hold.settle(sequence);
    return sequence;
  };
  /** A job with a large body. */
  const store = async (id: typeof FIB, bytes: number, body: string) => {
    const hold = await share.take(id, 'stored', bytes);
    sequence += 1;
    jobs.set(sequence, functionKey(id));
    bodies.add(body);
    state.bytes += bytes;
    hold.settle(sequence, body);
    return sequence;
  };
  const read = async () => {
    state.now += 2_000;
    share.refresh();
    await new Promise((resolve) => setImmediate(resolve));
  };
  const end = (one: number, bytes: number) => {
    jobs.delete(one);
    state.bytes -= bytes;
  };
  return { state, share, put, store, bodies, read, end };
}

test('one function alone gets three quarters; another finds room, and more readings change nothing', async () => {
  const { share, put, read } = world();
  await read();
  for (let i = 0; i < 7; i++) await put(FIB, 10 * MB);
  await assert.rejects(put(FIB, 10 * MB), isFull);
  await read();
  await assert.rejects(put(FIB, 10 * MB), (error: unknown) => {
    return isFull(error) && /fib holds 70000000 bytes .* 30000000 bytes are free/.test(String(error));
  });
  await put(OTHER, 10 * MB);
  assert.equal(share.heldBy(OTHER, 'inline'), 10 * MB);
  assert.equal(share.free('inline'), 20 * MB);
});

test('what is on its way counts for all, however often it is read meanwhile', async () => {
  const { state, share, read } = world();
  await read();
  const first = await share.take(FIB, 'stored', 40 * MB);
  await read();
  await assert.rejects(share.take(FIB, 'stored', 40 * MB), isFull);
  assert.equal(share.free('stored'), 60 * MB);
  state.bytes += 40 * MB; // it is stored
  first.settle(1);
  await read();
  assert.equal(share.free('stored'), 60 * MB);
});

test('what grows is refused at its share, and holds what it had; another kind is another room', async () => {
  const { share, read } = world();
  await read();
  const hold = await share.take(FIB, 'inline', 0);
  hold.resize('stored', 70 * MB);
  assert.throws(() => hold.resize('stored', 80 * MB), isFull);
  assert.equal(share.heldBy(FIB, 'stored'), 70 * MB);
  assert.equal(share.free('inline'), 100 * MB);
  hold.resize('stored', 10 * MB);
  assert.equal(share.free('stored'), 90 * MB);
  hold.release();
  assert.equal(share.free('stored'), 100 * MB);
});

test('a job without a body keeps its function’s account while it is on its way', async () => {
  const { share, put, read, end } = world();
  await read();
  const first = await share.take(FIB, 'inline', 0);
  const other = await share.take(FIB, 'inline', 5);
  other.release(); // nothing is held then
  const second = await put(FIB, 10 * MB);
  first.release();
  assert.equal(share.heldBy(FIB, 'inline'), 10 * MB, 'the job of before counts on');
  end(second, 10 * MB);
  await read();
  assert.deepEqual([share.heldBy(FIB, 'inline'), share.entries], [0, 0]);
});

test('kinds are apart', async () => {
  const { share, put, read } = world();
  await read();
  for (let i = 0; i < 7; i++) await put(FIB, 10 * MB);
  await assert.rejects(put(FIB, 10 * MB), isFull);
  (await share.take(FIB, 'stored', 1)).release();
});

test('at the bound what is done is struck out: up to a number, and job by job', async () => {
  const { state, share, put, read, end } = world();
  await read();
  const all: number[] = [];
  for (let i = 0; i < 7; i++) all.push(await put(FIB, 10 * MB));
  for (const one of [all[0], all[4]] as number[]) end(one, 10 * MB);
  state.doneUpTo = 1;
  state.now += 1_000;
  await put(FIB, 10 * MB);
  await put(FIB, 10 * MB);
  assert.equal(share.heldBy(FIB, 'inline'), 70 * MB);
  const looks = state.looks;
  for (let i = 0; i < 5; i++) await assert.rejects(put(FIB, 10 * MB), isFull);
  assert.ok(state.looks - looks <= 32, 'looked at once, however often it is refused');
});

test('a function without any job holds nothing, and what is taken while that is read counts', async () => {
  const { share, put, read, end } = world();
  await read();
  end(await put(FIB, 10 * MB), 10 * MB);
  const hold = await share.take(FIB, 'inline', 5 * MB);
  await read();
  assert.equal(share.heldBy(FIB, 'inline'), 5 * MB);
  hold.release();
  hold.release();
  assert.equal(share.heldBy(FIB, 'inline'), 0);
  assert.equal(share.entries, 0);
});

test('a large body counts as long as it is there, also when its job is dead and its function has no other', async () => {
  const { share, store, bodies, read, end } = world();
  await read();
  const dead = await store(FIB, 10 * MB, 'dead');
  const done = await store(FIB, 20 * MB, 'done');
  end(dead, 0);
  end(done, 20 * MB);
  bodies.delete('done');
  await read();
  assert.deepEqual([share.heldBy(FIB, 'stored'), share.entries], [10 * MB, 1]);
  bodies.delete('dead');
  await read();
  assert.deepEqual([share.heldBy(FIB, 'stored'), share.entries], [0, 0]);
});

test('at the bound all bodies that are gone are struck out at once', async () => {
  const { share, state, store, bodies, read, end } = world();
  await read();
  for (let i = 0; i < 70; i++) await store(FIB, MB, `body ${i}`);
  for (let one = 1; one <= 70; one++) end(one, one > 10 ? MB : 0);
  for (let i = 10; i < 70; i++) bodies.delete(`body ${i}`);
  state.doneUpTo = 70;
  state.now += 1_000;
  await store(FIB, 30 * MB, 'another');
  assert.equal(share.heldBy(FIB, 'stored'), 40 * MB);
});

test('without a bound, and before it is known, nothing is refused', async () => {
  const { state, share, put, read } = world();
  state.maxBytes = 0;
  assert.equal(share.free('inline'), undefined);
  await put(FIB, 1_000 * MB);
  await read();
  await put(FIB, 1_000 * MB);
  assert.equal(share.free('inline'), undefined);
});

test('a small job is refused only when there is no room at all', async () => {
  const { state, put, read } = world();
  await read();
  for (let i = 0; i < 7; i++) await put(FIB, 10 * MB);
  state.bytes = 100 * MB;
  await read();
  await put(OTHER, 500_000);
});

test('what is remembered has a bound', async () => {
  const { share, put, read } = world();
  await read();
  for (let i = 0; i < 100_010; i++) await put(FIB, 1);
  assert.equal(share.entries, 100_000);
  assert.equal(share.heldBy(FIB, 'inline'), 100_000);
});

test('beyond that bound the function with the most entries loses one, and no other', async () => {
  const { share, put, read } = world();
  await read();
  for (let i = 0; i < 100_000; i++) await put(FIB, 1);
  for (let i = 0; i < 10; i++) await put(OTHER, 1_000);
  assert.equal(share.heldBy(OTHER, 'inline'), 10_000);
  assert.deepEqual([share.heldBy(FIB, 'inline'), share.entries], [99_990, 100_000]);
});
