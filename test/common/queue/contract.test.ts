/** What every queue promises (common/queue/queue.ts): the same cases on JetStream and on the one in memory. */
import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import type { FunctionId } from '../../../common/bus/subjects.ts';
import { BodyStoreError } from '../../../common/queue/body.ts';
import { encodeJob } from '../../../common/queue/job.ts';
import type { Delivery, Queue, QueueSource, Taker } from '../../../common/queue/queue.ts';
import { QUEUES, type TestQueue } from './contract-queues.ts';

const FN = { namespace: 'shop', name: 'cart.v2' };
const OTHER = { namespace: 'shop', name: 'other' };
const MS = 5_000;

const payloadOf = (path: string): Buffer =>
  encodeJob(
    { secret: randomBytes(16).toString('hex'), method: 'POST', path, headers: [], acceptedAtMs: 1 },
    Buffer.alloc(0),
  );

async function enqueue(queue: Queue, path: string, id: FunctionId = FN, messageId = path): Promise<number> {
  const outcome = await queue.enqueue({ kind: 'job', id, payload: payloadOf(path), messageId }, MS);
  assert.ok(outcome.kind === 'accepted', JSON.stringify(outcome));
  return outcome.sequence;
}

interface Taking {
  readonly taker: Taker;
  /** One more, once it comes. */
  next(): Promise<Delivery>;
}

/** Asks again as long as somebody waits. */
function taking(queue: Queue, source: QueueSource): Taking {
  const came: Delivery[] = [];
  const waiting: ((delivery: Delivery) => void)[] = [];
  const fill = (): void => {
    if (waiting.length > 0 && taker.credits === 0) taker.ask(waiting.length);
  };
  const taker: Taker = queue.take(source, {
    onDelivery: (delivery) => {
      const first = waiting.shift();
      if (first) first(delivery);
      else came.push(delivery);
    },
    onCredits: (isRefused) => void setTimeout(fill, isRefused ? 50 : 0),
  });
  return {
    taker,
    next: () => {
      const ready = came.shift();
      if (ready) return Promise.resolve(ready);
      return new Promise((resolve) => {
        waiting.push(resolve);
        fill();
      });
    },
  };
}

const pathOf = ({ data }: { readonly data: Uint8Array }): string =>
  /"path":"([^"]*)"/.exec(Buffer.from(data).toString())?.[1] ?? '';

for (const [name, start] of Object.entries(QUEUES)) {
  const within = (what: string, run: (t: TestQueue) => Promise<void>): void =>
    void it(what, async () => {
      await using t = await start({ maxJobsPerFunction: 3, ackWaitMs: 700 });
      await t.open(FN);
      await run(t);
    });

  describe(`the contract of a queue: ${name}`, () => {
    within(
      'jobs are taken in the order of their acceptance, no more than was asked for',
      async ({ queue }) => {
        const sequences = [
          await enqueue(queue, '/1'),
          await enqueue(queue, '/2'),
          await enqueue(queue, '/3'),
        ];
        const { taker, next } = taking(queue, { kind: 'jobs', id: FN });
        const [first, second] = [await next(), await next()];
        assert.deepEqual([pathOf(first), pathOf(second)], ['/1', '/2']);
        assert.deepEqual([first.seq, second.seq], sequences.slice(0, 2));
        assert.deepEqual([first.deliveries, first.pending, second.pending], [1, 2, 1]);
        assert.equal(taker.credits, 0);
        assert.equal((await queue.look({ kind: 'jobs', id: FN }))?.waiting, 1);
        first.finish();
        second.finish();
        const third = await next();
        assert.equal(pathOf(third), '/3');
        third.finish();
        taker.stop();
      },
    );

    within('one message id is one job; a revoked one is none, and its id is spent', async ({ queue }) => {
      const sequence = await enqueue(queue, '/1', FN, 'key');
      const again = await queue.enqueue(
        { kind: 'job', id: FN, payload: payloadOf('/2'), messageId: 'key' },
        MS,
      );
      assert.partialDeepStrictEqual(again, { kind: 'accepted', sequence, isDuplicate: true });
      assert.deepEqual(await queue.revoke(FN, 'key', MS), { wasStored: true });
      assert.equal(await queue.job({ id: FN, sequence }), undefined);
      assert.deepEqual(await queue.revoke(FN, 'never came', MS), { wasStored: false });
      const late = { kind: 'job', id: FN, payload: payloadOf('/3'), messageId: 'never came' } as const;
      assert.partialDeepStrictEqual(await queue.enqueue(late, MS), { isDuplicate: true });
      assert.equal((await queue.depth(FN)).jobs, 0);
    });

    within('a finished job is gone; until then it is counted and can be read', async ({ queue }) => {
      const sequence = await enqueue(queue, '/1');
      assert.equal(pathOf({ data: (await queue.job({ id: FN, sequence })) as Uint8Array }), '/1');
      assert.equal(await queue.job({ id: OTHER, sequence }), undefined, 'it is another function’s');
      const { taker, next } = taking(queue, { kind: 'jobs', id: FN });
      const job = await next();
      assert.equal((await queue.depth(FN)).jobs, 1);
      assert.equal(await queue.lastSequence(FN), sequence);
      assert.equal(await queue.lastSequence(OTHER), 0);
      assert.ok((await queue.doneUpTo(FN)) < sequence);
      assert.equal(await queue.finish(job, MS), true, 'also without its connection');
      assert.equal((await queue.depth(FN)).jobs, 0);
      assert.equal(await queue.doneUpTo(FN), sequence);
      assert.equal((await queue.look({ kind: 'jobs', id: FN }))?.doneUpTo, sequence);
      assert.equal(await queue.lastSequence(FN), 0);
      taker.stop();
    });

    within('a retry waits its time, another job passes it, and it is the same job', async ({ queue }) => {
      const sequence = await enqueue(queue, '/fails');
      await enqueue(queue, '/passes');
      const { taker, next } = taking(queue, { kind: 'jobs', id: FN });
      const begunMs = performance.now();
      (await next()).retryLater(400);
      const second = await next();
      assert.equal(pathOf(second), '/passes');
      second.finish();
      const again = await next();
      assert.ok(performance.now() - begunMs >= 390, 'not before');
      assert.deepEqual([pathOf(again), again.seq, again.deliveries], ['/fails', sequence, 2]);
      queue.retryLater(again, 0);
      const third = await next();
      assert.equal(third.deliveries, 3);
      third.finish();
      taker.stop();
    });

    within('whose holder falls silent comes again; who says "working" keeps it', async ({ queue }) => {
      await enqueue(queue, '/lost');
      await enqueue(queue, '/held');
      const lost = taking(queue, { kind: 'jobs', id: FN });
      await lost.next();
      const held = await lost.next();
      const working = setInterval(() => held.working(), 100);
      lost.taker.stop();
      const { taker, next } = taking(queue, { kind: 'jobs', id: FN });
      const again = await next();
      assert.deepEqual([pathOf(again), again.deliveries], ['/lost', 2]);
      again.finish();
      clearInterval(working);
      const last = await next();
      assert.deepEqual([pathOf(last), last.deliveries], ['/held', 2]);
      last.finish();
      taker.stop();
    });

    within('a cancelled job is never delivered', async ({ queue }) => {
      const sequence = await enqueue(queue, '/1');
      await enqueue(queue, '/2');
      assert.equal(await queue.cancel(sequence), true);
      assert.equal(await queue.cancel(sequence), false);
      const { taker, next } = taking(queue, { kind: 'jobs', id: FN });
      const job = await next();
      assert.equal(pathOf(job), '/2');
      job.finish();
      taker.stop();
    });

    within('at its bound a function is refused, and no other', async ({ queue }) => {
      for (const path of ['/1', '/2', '/3']) await enqueue(queue, path);
      const more = { kind: 'job', id: FN, payload: payloadOf('/4'), messageId: '/4' } as const;
      assert.partialDeepStrictEqual(await queue.enqueue(more, MS), { kind: 'refused', isFull: true });
      assert.deepEqual(await queue.depth(FN), { jobs: 3, bound: 3 });
      await enqueue(queue, '/other', OTHER);
      assert.equal((await queue.depth(OTHER)).jobs, 1);
    });

    within('in strict order the next comes when the last is finished', async (t) => {
      await t.open(OTHER, true);
      await enqueue(t.queue, '/1', OTHER);
      await enqueue(t.queue, '/2', OTHER);
      const { taker, next } = taking(t.queue, { kind: 'jobs', id: OTHER });
      const first = await next();
      first.retryLater(100);
      const again = await next();
      assert.deepEqual([pathOf(again), again.deliveries], ['/1', 2], 'the second did not pass it');
      again.finish();
      const second = await next();
      assert.equal(pathOf(second), '/2');
      second.finish();
      taker.stop();
    });

    within(
      'dead letters: listed by function, shown with their history, dropped; the last ones stay',
      async (t) => {
        const { queue } = t;
        const bury = async (id: FunctionId, why: string, messageId = why) => {
          const history = { sequence: 7, tries: [], why };
          const entry = { kind: 'dead-letter', id, payload: payloadOf('/dead'), history, messageId } as const;
          const outcome = await queue.bury(entry, MS);
          assert.ok(outcome.kind === 'accepted');
          return outcome;
        };
        const { sequence } = await bury(FN, 'a');
        assert.equal((await bury(FN, 'once more', 'a')).isDuplicate, true, 'buried again it is one letter');
        await bury(OTHER, 'b');
        const letter = await queue.deadLetter(sequence);
        assert.deepEqual(letter?.history, { sequence: 7, tries: [], why: 'a' });
        assert.deepEqual([letter?.id, pathOf(letter as { data: Uint8Array })], [FN, '/dead']);
        assert.equal(await queue.nextDeadLetter(sequence, FN), undefined);
        assert.deepEqual((await queue.nextDeadLetter(sequence, undefined))?.id, OTHER);
        await queue.dropDeadLetter(sequence);
        await queue.dropDeadLetter(sequence);
        assert.equal(await queue.deadLetter(sequence), undefined);
        for (const why of ['1', '2', '3', '4']) await bury(FN, why);
        assert.equal((await queue.nextDeadLetter(0, FN))?.history?.why, '2');
      },
    );

    within(
      'the last record of a job is its result, and is heard by who watches it',
      async ({ link, queue }) => {
        const heard: string[] = [];
        const all = Promise.withResolvers<void>();
        const releases = [
          link.watch({ id: FN, sequence: 5 }, (job, state) =>
            heard.push(`${job.sequence} ${Buffer.from(state)}`),
          ),
          link.watch(undefined, (job) => {
            if (job.sequence === 6 && job.id.name === FN.name) all.resolve();
          }),
        ];
        const record = (sequence: number, text: string) =>
          queue.record({ kind: 'record', id: FN, sequence, payload: Buffer.from(text) }, MS);
        await record(5, 'retrying');
        await record(5, 'done');
        await record(6, 'done');
        await all.promise;
        assert.deepEqual(heard, ['5 retrying', '5 done']);
        for (const release of releases) release();
        assert.equal(Buffer.from((await queue.result({ id: FN, sequence: 5 })) ?? '').toString(), 'done');
        assert.equal(await queue.result({ id: OTHER, sequence: 5 }), undefined);
      },
    );

    within('results for URLs are taken of all functions', async ({ queue }) => {
      const offer = (id: FunctionId, text: string) =>
        queue.offerResult({ kind: 'callback', id, payload: Buffer.from(text), messageId: text }, MS);
      await offer(FN, 'a');
      await offer(FN, 'a');
      await offer(OTHER, 'b');
      const { taker, next } = taking(queue, { kind: 'callbacks' });
      const both = [await next(), await next()];
      assert.deepEqual(
        both.map(({ data }) => Buffer.from(data).toString()),
        ['a', 'b'],
      );
      for (const delivery of both) delivery.finish();
      taker.stop();
    });

    within('bodies come back whole; one that is too large or gone says so', async ({ queue }) => {
      const body = randomBytes(300_000);
      const chunks = async function* () {
        yield body.subarray(0, 100_000);
        yield body.subarray(100_000);
      };
      const stored = await queue.storeBody('one', chunks(), 300_000);
      assert.deepEqual(stored, { name: 'one', size: 300_000 });
      const parts: Buffer[] = [];
      for await (const part of queue.readBody(stored)) parts.push(part);
      assert.ok(Buffer.concat(parts).equals(body));
      const isError = (code: string) => (error: unknown) =>
        error instanceof BodyStoreError && error.code === code;
      await assert.rejects(queue.storeBody('two', chunks(), 299_999), isError('too-large'));
      await queue.removeBody('one');
      for (const gone of [stored, { name: 'two', size: 1 }])
        await assert.rejects(async () => {
          for await (const part of queue.readBody(gone)) assert.fail(`${part.length} bytes`);
        }, isError('incomplete'));
    });

    within('each pod has its own copy of an event', async ({ queue }) => {
      const reader = (pod: string) => ({ id: FN, pod, sinceMs: Date.now() - 60_000 });
      await queue.openReader(reader('a'));
      await queue.openReader(reader('a'));
      await queue.openReader(reader('b'));
      const send = (path: string) =>
        queue.enqueue(
          { kind: 'event', id: FN, event: 'paid', payload: payloadOf(path), messageId: path },
          MS,
        );
      const sent = await send('/1');
      await send('/2');
      assert.ok(sent.kind === 'accepted');
      assert.equal(pathOf({ data: (await queue.event(sent.sequence)) as Uint8Array }), '/1');
      const a = taking(queue, { kind: 'events', id: FN, pod: 'a' });
      const first = await a.next();
      assert.equal(pathOf(first), '/1');
      assert.equal(await queue.finish(first, MS), true);
      a.taker.stop();
      const b = taking(queue, { kind: 'events', id: FN, pod: 'b' });
      const copies = [await b.next(), await b.next()];
      assert.deepEqual(copies.map(pathOf), ['/1', '/2']);
      b.taker.stop();
    });

    within('a source that is not there refuses, and can be asked again', async ({ queue }) => {
      assert.equal(await queue.look({ kind: 'jobs', id: OTHER }), undefined);
      const refused = Promise.withResolvers<void>();
      const taker = queue.take(
        { kind: 'jobs', id: OTHER },
        { onDelivery: () => assert.fail('nothing is there'), onCredits: () => refused.resolve() },
      );
      taker.ask(1);
      await refused.promise;
      assert.equal(taker.credits, 0);
      taker.stop();
    });
  });
}
