/** What a proxy answers to sidecars that ask about large bodies. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { functionSubject } from '../../../common/bus/subjects.ts';
import type { Answer } from '../../../common/bus/nats.ts';
import { decodeChunk, encodeWish, type BodyWish } from '../../../common/queue/body-wish.ts';
import type { Queue } from '../../../common/queue/queue.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { BodyWishes } from '../../../proxy/jobs/body-wishes.ts';
import { MemoryQueue } from '../../common/queue/memory-queue.ts';

const FN = { namespace: 'shop', name: 'cart.v2' };
const OTHER = { namespace: 'shop', name: 'pay' };
const OWN_BODY = 'shop.cart%2Ev2.abc';
const OLD_BODY = 'abcdef';

async function* piece(): AsyncGenerator<Buffer> {
  yield Buffer.from('chunk');
}

function serving(live: Queue) {
  let answer: Answer = () => undefined;
  const serve = (_subject: string, given: Answer): (() => void) => {
    answer = given;
    return () => undefined;
  };
  const wishes = new BodyWishes({ nats: { serve }, queue: { live }, log: silentLog });
  const ask = async (id: typeof FN, wish: BodyWish | string) =>
    answer(typeof wish === 'string' ? Buffer.from(wish) : encodeWish(wish), functionSubject('body-wish', id));
  return { wishes, ask };
}

test('a body is removed for its own function, once its name is known to be its', async () => {
  const queue = new MemoryQueue({ maxJobsPerFunction: 1, ackWaitMs: 1_000 });
  const { ask } = serving(queue);
  await queue.storeBody(OWN_BODY, piece(), 100);
  const isThere = async () => (await queue.bodyChunk(OWN_BODY, 0)).number === 1;
  for (const name of [OWN_BODY, 'shop.cart%2Ev2.abc.def', 'shop._.abc', '*', 'shop.*.abc', '>'])
    assert.equal(await ask(OTHER, { kind: 'remove', name }), undefined, name);
  assert.equal(await ask(FN, { kind: 'remove', name: 'shop.cart%2Ev2.*' }), undefined);
  assert.equal(await isThere(), true);
  assert.ok(await ask(FN, { kind: 'remove', name: OWN_BODY }));
  assert.equal(await isThere(), false);
  assert.ok(await ask(FN, { kind: 'remove', name: OWN_BODY }), 'twice is harmless');
});

test('a body of before is read by its name; one with a function is not', async () => {
  const queue = new MemoryQueue({ maxJobsPerFunction: 1, ackWaitMs: 1_000 });
  const { ask } = serving(queue);
  await queue.storeBody(OLD_BODY, piece(), 100);
  await queue.storeBody(OWN_BODY, piece(), 100);
  const read = async (name: string, after: number) => {
    const answer = await ask(FN, { kind: 'read', name, after });
    return answer && decodeChunk(answer);
  };
  assert.deepEqual({ ...(await read(OLD_BODY, 0)) }, { number: 1, data: Buffer.from('chunk') });
  assert.equal((await read(OLD_BODY, 1))?.number, 0);
  assert.equal(await read(OWN_BODY, 0), undefined);
});

test('what nobody can read is not answered', async () => {
  const { ask, wishes } = serving(new MemoryQueue({ maxJobsPerFunction: 1, ackWaitMs: 1_000 }));
  for (const text of ['', '{}', '{"kind":"read","name":"a","after":-1}', '{"kind":"drop","name":"a"}', '[]'])
    assert.equal(await ask(FN, text), undefined, text);
  assert.equal(wishes.open, 0);
});

test('a body of an event is read by its whole name, by functions of its namespace', async () => {
  const queue = new MemoryQueue({ maxJobsPerFunction: 1, ackWaitMs: 1_000 });
  const { ask } = serving(queue);
  await queue.storeBody('shop._.abc', piece(), 100);
  const read = async (id: typeof FN, name: string) => {
    const answer = await ask(id, { kind: 'read', name, after: 0 });
    return answer && decodeChunk(answer).number;
  };
  assert.deepEqual([await read(FN, 'shop._.abc'), await read(OTHER, 'shop._.abc')], [1, 1]);
  assert.equal(await read({ namespace: 'bank', name: 'cart' }, 'shop._.abc'), undefined);
  for (const name of ['shop._.*', 'shop._.>', 'shop.*.abc', 'shop._.abc.1', '*._.abc'])
    assert.equal(await read(FN, name), undefined, name);
});

test('64 are answered at once and 512 wait; one function alone holds three quarters, and others find room', async () => {
  const held = Promise.withResolvers<void>();
  const queue = new MemoryQueue({ maxJobsPerFunction: 1, ackWaitMs: 1_000 });
  const { ask, wishes } = serving(queue);
  let running = 0;
  queue.removeBody = () => {
    running += 1;
    return held.promise;
  };
  const asks = (id: typeof FN, count: number, name: string) =>
    Array.from({ length: count }, () => ask(id, { kind: 'remove', name }));
  const asked = asks(FN, 600, OWN_BODY);
  assert.deepEqual([wishes.open, running], [432, 64]);
  const others = Array.from({ length: 600 }, (_, i) =>
    ask({ namespace: 'shop', name: `other-${i}` }, { kind: 'remove', name: `shop.other-${i}.abc` }),
  );
  assert.deepEqual([wishes.open, running], [576, 64]);
  held.resolve();
  const met = async (answers: readonly Promise<unknown>[]) =>
    (await Promise.all(answers)).filter((answer) => answer !== undefined).length;
  assert.deepEqual([await met(asked), await met(others)], [432, 144]);
  assert.equal(wishes.open, 0);
  assert.equal(await met(asks(FN, 10, OWN_BODY)), 10, 'what was answered is held no more');
});
