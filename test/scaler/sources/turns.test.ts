/** Turns of polls, and what the thread's time is spent on: who takes long or much is in its own way alone. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test, type TestContext } from 'node:test';
import { setImmediate as macrotask } from 'node:timers/promises';
import { SourcePollers } from '../../../scaler/sources/pollers.ts';
import type { SourceReader, SourceRule } from '../../../scaler/sources/source-rules.ts';
import { ThreadTime, TimeBudget } from '../../../scaler/sources/thread-time.ts';
import { POLL_TURNS, SourceTurns } from '../../../scaler/sources/turns.ts';
import { waitFor } from '../../helpers/wait.ts';

test('sources that do not answer are in the way of their own tenant alone', async () => {
  const turns = new SourceTurns(POLL_TURNS);
  const taken: string[] = [];
  const take = (namespace: string, name: string) =>
    turns.take({ namespace, name }).then((end) => (taken.push(`${namespace}/${name}`), end));
  const held = [take('slow', 'a'), take('slow', 'a')];
  await Promise.all(held);
  void take('slow', 'a');
  const others = Array.from({ length: POLL_TURNS.ofNamespace - 2 }, (_, i) => take('slow', `f${i}`));
  await Promise.all(others);
  void take('slow', 'late');
  await take('calm', 'b');
  assert.equal(taken.length, POLL_TURNS.ofNamespace + 1);
  assert.deepEqual([turns.running, turns.inLine], [POLL_TURNS.ofNamespace + 1, 2]);
  const [first] = held;
  (await first)?.();
  await waitFor(() => taken.length === POLL_TURNS.ofNamespace + 2, { what: 'the next one of the function' });
  assert.equal(taken.at(-1), 'slow/a');
});

test('namespaces take turns, and so do functions of a namespace, however long a line is', async () => {
  const turns = new SourceTurns({ inAll: 1, ofNamespace: 1, ofFunction: 1 });
  const taken: string[] = [];
  const end = await turns.take({ namespace: 'x', name: 'y' });
  const take = async (namespace: string, name: string) => {
    const over = await turns.take({ namespace, name });
    taken.push(`${namespace}/${name}`);
    over?.();
  };
  const all = ['big/a', 'big/a', 'big/a', 'big/b', 'calm/c'].map((who) => {
    const [namespace = '', name = ''] = who.split('/');
    return take(namespace, name);
  });
  end?.();
  await Promise.all(all);
  assert.deepEqual(taken, ['big/a', 'calm/c', 'big/b', 'big/a', 'big/a']);
  assert.deepEqual([turns.running, turns.inLine], [0, 0]);
});

test('who gives up leaves the line, and a full line takes nobody', async () => {
  const turns = new SourceTurns({ inAll: 9, ofNamespace: 1, ofFunction: 1, inLine: 1 });
  const owner = { namespace: 'ns', name: '' };
  const end = await turns.take(owner);
  const gone = new AbortController();
  const waiting = turns.take(owner, gone.signal);
  assert.equal(await turns.take(owner), undefined, 'full');
  gone.abort();
  assert.equal(await waiting, undefined);
  assert.equal(turns.inLine, 0);
  const next = turns.take(owner);
  end?.();
  assert.equal(typeof (await next), 'function');
});

test('a namespace that must wait is passed over, and gets its turn when its time is over', async () => {
  let waitMs = 5;
  const turns = new SourceTurns(POLL_TURNS, (namespace) => (namespace === 'busy' ? waitMs : 0));
  const busy = turns.take({ namespace: 'busy', name: 'a' });
  assert.equal(typeof (await turns.take({ namespace: 'calm', name: 'b' })), 'function');
  assert.equal(turns.inLine, 1);
  waitMs = 0;
  assert.equal(typeof (await busy), 'function');
});

test('time is paid by who started the work, through timers, sockets’ events and promises', async () => {
  let nowMs = 0;
  const time = new ThreadTime(() => nowMs);
  const account = () => {
    const kept = { ms: 0, spend: (ms: number) => void (kept.ms += ms) };
    return kept;
  };
  const [a, b] = [account(), account()];
  const events = new EventTarget();
  time.start();
  const workOfA = time.run(a, async () => {
    nowMs += 1;
    await macrotask();
    nowMs += 10;
    await once(events, 'go');
    nowMs += 100;
  });
  const workOfB = time.run(b, async () => {
    await macrotask();
    nowMs += 1_000;
    events.dispatchEvent(new Event('go'));
  });
  nowMs += 10_000; // nobody's
  await Promise.all([workOfA, workOfB]);
  time.stop();
  assert.deepEqual([a.ms, b.ms], [111, 1_000]);
});

test('a budget is a tenth of the time, 2 s of it at once', () => {
  let nowMs = 0;
  const budget = new TimeBudget(() => nowMs);
  budget.spend(2_000);
  assert.equal(budget.waitMs, 0);
  budget.spend(300);
  assert.equal(budget.waitMs, 3_000);
  nowMs += 3_000;
  assert.equal(budget.waitMs, 0);
  assert.equal(budget.isUnused, false);
  nowMs += 20_000;
  assert.equal(budget.isUnused, true);
});

interface Reads {
  readonly pollers: SourcePollers;
  readonly reads: string[];
  readonly push: Map<string, () => void>;
  readonly add: (namespace: string, name: string) => void;
}

/** Each read of namespace `dear` takes 300 ms of the thread, after something was waited for. */
function pollersOf(t: TestContext): Reads {
  let nowMs = 0;
  const reads: string[] = [];
  const push = new Map<string, () => void>();
  const ids: number[] = [];
  const pollers = new SourcePollers({
    open: ({ of: { namespace, name } }): SourceReader => ({
      read: async () => {
        await macrotask();
        reads.push(`${namespace}/${name}`);
        if (namespace === 'dear') nowMs += 300;
        return [{ value: 1 }];
      },
      follow: (onChange) => void push.set(name, onChange),
      close: () => undefined,
    }),
    onAnswer: () => undefined,
    now: () => 0,
    clock: () => nowMs,
  });
  t.after(() => pollers.change([], ids));
  const add = (namespace: string, name: string): void => {
    ids.push(ids.length + 1);
    const rule = { id: ids.length, of: { namespace, name }, source: { intervalMs: 60_000 }, questions: [] };
    pollers.change([rule as unknown as SourceRule], []);
  };
  return { pollers, reads, push, add };
}

test('a namespace whose sources take much time waits, with pushes too; others are asked', async (t) => {
  const { pollers, reads, push, add } = pollersOf(t);
  for (let i = 0; i < 20; i++) add('dear', `f${i}`);
  await waitFor(() => pollers.polls.running === 0 && reads.length > 0, { what: 'its time is used up' });
  const inTime = reads.length;
  assert.ok(inTime >= 8 && inTime <= 15, `${inTime} reads of 300 ms in 2 s, of 8 at once`);
  assert.equal(pollers.polls.inLine, 20 - inTime);
  for (const pushed of push.values()) pushed();
  add('calm', 'c');
  await waitFor(() => push.has('c'), { what: 'another namespace is asked' });
  push.get('c')?.();
  await waitFor(() => reads.filter((who) => who === 'calm/c').length === 2, { what: 'and pushes' });
  await waitFor(() => pollers.polls.inLine === 20, { what: 'what was pushed is in line' });
  assert.equal(reads.length, inTime + 2);
});

test('a source that pushes and takes much is asked less often than it pushes', async (t) => {
  const { reads, push, add } = pollersOf(t);
  add('dear', 'f');
  for (const count of [1, 2]) {
    await waitFor(() => reads.length === count && push.has('f'), { what: `read ${count}` });
    await macrotask();
    push.get('f')?.();
  }
  add('calm', 'c');
  for (const count of [1, 2, 3]) {
    await waitFor(() => reads.filter((who) => who === 'calm/c').length === count && push.has('c'), {
      what: `read ${count} of another`,
    });
    await macrotask();
    push.get('c')?.();
  }
  assert.equal(reads.filter((who) => who === 'dear/f').length, 2);
});
