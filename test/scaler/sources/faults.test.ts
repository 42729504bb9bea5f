/** What a source says when it fails is a tenant's text: how much of it is kept, and how often it is told. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { SourcePollers } from '../../../scaler/sources/pollers.ts';
import type { SourceAnswer, SourceReader, SourceRule } from '../../../scaler/sources/source-rules.ts';
import { waitFor } from '../../helpers/wait.ts';
import { settle, Sim } from '../support/sim.ts';
import { functionWithSource } from '../support/sources-world.ts';

function pollersOf(read: SourceReader['read'], onAnswer: (answer: SourceAnswer) => void) {
  const { id: of, spec } = functionWithSource({ Url: 'http://a.shop.svc' }, [{ Query: 'x', Threshold: 1 }]);
  const source = spec.scale?.sources[0] as SourceRule['source'];
  const questions = [{ query: 'x', metricName: '', hasOwnTarget: false }];
  const open = (): SourceReader => ({ read, close: () => {} });
  const pollers = new SourcePollers({ open, onAnswer, now: Date.now, random: () => 1 });
  pollers.change([{ id: 1, of, source, questions, credentials: {} }], []);
  return { stop: () => pollers.change([], [1]) };
}

async function firstFault(read: SourceReader['read']): Promise<string | undefined> {
  const answers: SourceAnswer[] = [];
  const { stop } = pollersOf(read, (answer) => void answers.push(answer));
  const { readings } = await waitFor(() => answers[0], { what: 'an answer' });
  stop();
  return readings[0]?.fault;
}

/** Timers of the whole process, on a clock that stands still until the next one is due. */
function mockClock(t: TestContext) {
  let nowMs = 0;
  const timers = new Map<object, { readonly work: () => void; readonly dueMs: number }>();
  t.mock.method(performance, 'now', () => nowMs);
  t.mock.method(globalThis, 'setTimeout', (work: () => void, inMs: number) => {
    const timer = { unref: () => timer };
    timers.set(timer, { work, dueMs: nowMs + inMs });
    return timer;
  });
  t.mock.method(globalThis, 'clearTimeout', (timer: object) => timers.delete(timer));
  return {
    now: () => nowMs,
    next() {
      const [first] = [...timers].toSorted(([, a], [, b]) => a.dueMs - b.dueMs);
      if (!first) return;
      const [timer, { work, dueMs }] = first;
      timers.delete(timer);
      nowMs = Math.max(nowMs, dueMs);
      work();
    },
  };
}

test('a source that fails is asked after twice its interval, four times, and so on', async (t) => {
  const clock = mockClock(t);
  const askedAtMs: number[] = [];
  const read = (): Promise<never> => {
    askedAtMs.push(clock.now());
    return Promise.reject(new Error('status 503'));
  };
  const { stop } = pollersOf(read, () => {});
  while (askedAtMs.length < 4) {
    await settle();
    clock.next();
    await settle();
  }
  stop();
  const pauses = askedAtMs.slice(1).map((atMs, i) => atMs - (askedAtMs[i] as number));
  assert.deepEqual(pauses, [2_000, 4_000, 8_000]);
});

test('a fault has at most 300 characters, of one question or of the whole source', async () => {
  const fault = 'x'.repeat(100_000);
  const cut = 'x'.repeat(300);
  assert.equal(await firstFault(async () => [{ value: undefined, fault }]), cut);
  assert.equal(await firstFault(() => Promise.reject(new Error(fault))), cut);
});

test('a source that says something else on each poll has one fault, which is told once', async () => {
  const sim = new Sim();
  const told: (readonly string[])[] = [];
  sim.onFaults = (_name, faults) => void told.push(faults);
  const scale = {
    Sources: [{ Name: 'src', Url: 'http://exporter.default.svc' }],
    Triggers: [{ Source: 'src', Query: 'work', Threshold: 1 }],
  };
  sim.fn('fn', 1, { 'SlimFaas/Scale': JSON.stringify(scale) });
  sim.pod('fn', 'p');
  let polls = 0;
  await sim.pass(60, () => {
    sim.report('fn', 'p');
    sim.troubles.set('work', `status 503: request ${polls++}`);
  });
  assert.equal(told.length, 1);
  assert.match(told[0]?.join() ?? '', /source "src", query "work": status 503: request \d+;/);
  sim.troubles.delete('work');
  sim.queries.set('work', 1);
  await sim.pass(2, () => sim.report('fn', 'p'));
  assert.deepEqual(told.slice(1), [[]], 'it is mended');
});
