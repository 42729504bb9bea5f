/** A tick in slices: the event loop is never held for long, nobody is lost, and a wake in its midst is acted upon. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  atOneGo,
  Slicer,
  sliceOver,
  type PassTiming,
  type SlicerOptions,
} from '../../../scaler/loop/slicer.ts';
import { Sim } from '../support/sim.ts';

/** A clock that items advance, and a queue of what is to come later; `turn` is one turn of the event loop. */
function bench(options: SlicerOptions = {}) {
  const queue: (() => void)[] = [];
  const clock = { ms: 0 };
  const slicer = new Slicer({
    sliceMs: 4,
    clock: () => clock.ms,
    later(next) {
      queue.push(next);
      return () => void queue.splice(queue.indexOf(next), 1);
    },
    ...options,
  });
  return { clock, slicer, queue, turn: () => queue.shift()?.() };
}

/** Each item costs a millisecond. */
function visiting(seen: string[], items: Iterable<string>, clock: { ms: number }) {
  return () =>
    sliceOver(items[Symbol.iterator]() as Iterator<string>, () => {
      seen.push('|');
      return (item) => {
        seen.push(item);
        clock.ms += 1;
      };
    });
}

test('a pass is cut into slices of a few milliseconds, in order, each item once', () => {
  const { clock, slicer, queue, turn } = bench();
  const seen: string[] = [];
  slicer.run(visiting(seen, 'abcdefghij', clock));
  assert.deepEqual([seen.join(''), slicer.isBusy], ['|abcd', true]);
  turn();
  assert.equal(seen.join(''), '|abcd|efgh');
  turn();
  assert.deepEqual([seen.join(''), slicer.isBusy, queue.length], ['|abcd|efgh|ij', false, 0]);
});

test('an item that takes longer than a slice has a slice of its own; there is always progress', () => {
  const { clock, slicer, turn } = bench({ sliceMs: 0 });
  const seen: string[] = [];
  slicer.run(visiting(seen, 'abc', clock));
  turn();
  turn();
  assert.equal(seen.join(''), '|a|b|c');
});

test('items that go or come in mid-pass: the gone are not visited, the new are, and nobody is lost', () => {
  const { clock, slicer, turn } = bench();
  const seen: string[] = [];
  const items = new Map([...'abcdefgh'].map((name) => [name, name]));
  slicer.run(visiting(seen, items.values(), clock));
  for (const name of ['b', 'f']) items.delete(name);
  items.set('new', 'new');
  items.set('g', 'g2'); // changed: keeps its turn
  while (slicer.isBusy) turn();
  assert.equal(seen.join(''), '|abcd|eg2hnew|');
});

test('a pass that is asked for during another follows it, once', () => {
  const { clock, slicer, turn } = bench();
  const seen: string[] = [];
  slicer.run(visiting(seen, 'abcdef', clock));
  slicer.run(visiting(seen, 'xyz', clock));
  slicer.run(visiting(seen, 'XYZ', clock));
  while (slicer.isBusy) turn();
  assert.equal(seen.join(''), '|abcd|ef|XYZ');
});

test('stopped: no slice comes any more, nor the pass that was to follow', () => {
  const { clock, slicer, queue } = bench();
  const seen: string[] = [];
  slicer.run(visiting(seen, 'abcdef', clock));
  slicer.run(visiting(seen, 'xyz', clock));
  slicer.stop();
  assert.deepEqual([queue.length, slicer.isBusy, seen.join('')], [0, false, '|abcd']);
});

test('a pass tells what it took and for how long at most the event loop was held', () => {
  const timings: PassTiming[] = [];
  const { clock, slicer, turn } = bench({ onPass: (timing) => void timings.push(timing) });
  slicer.run(visiting([], 'abcdefghi', clock));
  clock.ms += 100; // others' work
  turn();
  turn();
  assert.deepEqual(timings, [{ busyMs: 9, longestSliceMs: 4 }]);
});

test('at one go: for those who do not slice', () => {
  const seen: string[] = [];
  atOneGo(visiting(seen, 'abcdef', { ms: 0 }));
  assert.equal(seen.join(''), '|abcdef');
});

test('timers and sockets have their turn between slices', async () => {
  const seen: string[] = [];
  const spin = () => {
    const end = performance.now() + 2;
    while (performance.now() < end);
  };
  setTimeout(() => seen.push('timer'), 1);
  await new Promise<void>((resolve) => {
    const slicer = new Slicer({ sliceMs: 1, onPass: () => resolve() });
    slicer.run(() => sliceOver([1, 2, 3, 4, 5][Symbol.iterator](), () => (n) => (spin(), seen.push(`${n}`))));
  });
  assert.ok(seen.indexOf('timer') < seen.indexOf('5'), seen.join(' '));
  assert.equal(seen.filter((item) => item !== 'timer').join(''), '12345');
});

/** A scaler of twenty functions whose tick looks at one function a slice. */
function slicedSim(names: readonly string[]) {
  const made = bench({ sliceMs: 0 });
  const sim = new Sim({ run: (pass) => made.slicer.run(pass) });
  for (const name of names) sim.fn(name);
  while (made.slicer.isBusy) made.turn();
  sim.nowMs += 1_000;
  return { ...made, sim };
}

const NAMES = Array.from({ length: 20 }, (_, n) => `f${n}`);

test('a wake in the middle of a tick is acted upon at once, whether its function had its turn or not', async () => {
  const { sim, slicer, turn } = slicedSim(NAMES);
  sim.reconciler.tick();
  for (let n = 0; n < 5; n++) turn();
  await sim.wake('f1');
  await sim.wake('f18');
  assert.equal(slicer.isBusy, true, 'the tick is still under way');
  assert.deepEqual(sim.patches, ['f1 0→1 wake', 'f18 0→1 wake']);
  while (slicer.isBusy) turn();
  assert.equal(sim.patches.length, 2, 'and only once');
});

test('a tick in slices sees a function deleted in its midst no more, and one deployed in its midst at once', () => {
  const { sim, slicer, turn } = slicedSim(NAMES);
  sim.reconciler.tick();
  for (let n = 0; n < 5; n++) turn();
  sim.remove('f18');
  sim.fn('late');
  while (slicer.isBusy) turn();
  assert.equal(sim.decision('late'), 'asleep');
  assert.equal(sim.decision('f18'), 'none');
  for (const name of NAMES.filter((known) => known !== 'f18')) assert.equal(sim.decision(name), 'asleep');
});

test('what has changed between two slices is decided on as it is then', async () => {
  const { sim, slicer, turn } = slicedSim([]);
  const idle = { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '10' };
  for (const name of ['a', 'b', 'c']) {
    sim.fn(name, 1, idle);
    sim.pod(name, `${name}-p`);
    sim.report(name, `${name}-p`);
  }
  while (slicer.isBusy) turn();
  sim.nowMs += 20_000;
  sim.reconciler.tick(); // one function, a
  sim.report('b', 'b-p', { started: 1, finished: 1 });
  while (slicer.isBusy) turn();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(sim.patches, ['a 1→0 sleep', 'c 1→0 sleep']);
});
