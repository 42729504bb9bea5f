/** How a limit is split: tables for what is fair, a simulation of pods and lossy messages for what must never happen. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import {
  noteShares,
  sharesOf,
  splitShares,
  type Ledger,
  type SharePod,
} from '../../../scaler/shares/shares.ts';
import { ShareSim, type Step } from '../support/share-sim.ts';

const NONE: Ledger = new Map();

function pod(name: string, limit: number | undefined, more: Partial<SharePod> = {}): SharePod {
  const report = limit === undefined ? undefined : { limit, runningNow: 0, waiting: 0 };
  return { name, state: 'ready', isOld: false, report, ...more };
}

/** Splits, lets every pod confirm, and splits again until nothing changes. */
function settled(limit: number, perPod: number, pods: readonly SharePod[]): Record<string, number> {
  let ledger = NONE;
  let current = pods;
  for (let round = 0; round < 10; round++) {
    ledger = splitShares({ limit, perPod, pods: current }, ledger).ledger;
    const shares = sharesOf(current, ledger);
    current = current.map((p) => {
      const granted = shares[p.name] ?? p.report?.limit ?? 1;
      return { ...p, report: { runningNow: 0, waiting: 0, ...p.report, limit: granted } };
    });
  }
  return sharesOf(current, ledger);
}

test('an even split; what is left over goes to one of them', () => {
  const pods = ['a', 'b', 'c'].map((name) => pod(name, 0));
  assert.deepEqual(Object.values(settled(10, 10, pods)).toSorted(), [3, 3, 4]);
});

test('never more than NumberParallelRequestPerPod', () => {
  assert.deepEqual(settled(10, 3, [pod('a', 0), pod('b', 0)]), { a: 3, b: 3 });
});

test('what is left over goes where callers wait', () => {
  const waits = { limit: 0, runningNow: 0, waiting: 5 };
  assert.deepEqual(settled(3, 10, [pod('a', 0), pod('b', 0, { report: waits })]), { a: 1, b: 2 });
});

test('more pods than the limit: some get none', () => {
  const pods = ['a', 'b', 'c'].map((name) => pod(name, 0));
  assert.deepEqual(Object.values(settled(2, 10, pods)).toSorted(), [0, 1, 1]);
});

test('a pod that starts has one place reserved, as its sidecar begins with one call', () => {
  assert.deepEqual(settled(10, 10, [pod('a', 0), pod('b', 1, { state: 'starting' })]), { a: 9, b: 1 });
});

test('a share is lowered first, and granted elsewhere only after that pod has said so', () => {
  const [a, b] = [pod('a', 10), pod('b', undefined)];
  const first = splitShares({ limit: 10, perPod: 10, pods: [a, b] }, NONE);
  assert.deepEqual(sharesOf([a, b], first.ledger), { a: 5, b: 0 });
  const again = splitShares({ limit: 10, perPod: 10, pods: [a, b] }, first.ledger);
  assert.equal(again.isChanged, false, 'nothing new before it is heard');
  const lowered = pod('a', 5, { report: { limit: 5, runningNow: 8, waiting: 0 } });
  const second = splitShares({ limit: 10, perPod: 10, pods: [lowered, pod('b', 0)] }, again.ledger);
  assert.deepEqual(sharesOf([a, b], second.ledger), { a: 5, b: 2 }, '8 still run in a');
  const calm = pod('a', 5);
  const third = splitShares({ limit: 10, perPod: 10, pods: [calm, pod('b', 2)] }, second.ledger);
  assert.deepEqual(sharesOf([a, b], third.ledger), { a: 5, b: 5 });
});

test('what a pod that ends may still run is granted to nobody until it has reported after that', () => {
  const ending = pod('a', 6, { state: 'ending' });
  const first = splitShares({ limit: 10, perPod: 10, pods: [ending, pod('b', 4)] }, NONE);
  assert.deepEqual(sharesOf([ending, pod('b', 4)], first.ledger), { b: 4 });
  const drained = pod('a', 6, { state: 'drained', report: { limit: 6, runningNow: 1, waiting: 0 } });
  const second = splitShares({ limit: 10, perPod: 10, pods: [drained, pod('b', 4)] }, first.ledger);
  assert.deepEqual(sharesOf([pod('b', 4)], second.ledger), { b: 9 });
});

test('a new leader holds back what pods that it has not heard from may have, and leaves them theirs', () => {
  const [silent, spoke] = [pod('a', undefined, { isOld: true }), pod('b', 3)];
  const first = splitShares({ limit: 10, perPod: 10, pods: [silent, spoke] }, NONE);
  assert.deepEqual(sharesOf([silent, spoke], first.ledger), { b: 3 });
  const heard = splitShares({ limit: 10, perPod: 10, pods: [pod('a', 7), spoke] }, first.ledger);
  assert.deepEqual(sharesOf([pod('a', 7), spoke], heard.ledger), { a: 5, b: 3 });
});

test('a new pod’s first limit is no grant, whether its report or its pod was seen first', () => {
  const [old, reported] = [pod('a', undefined, { isOld: true }), pod('b', 1)];
  const full = splitShares({ limit: 1, perPod: 1, pods: [old, reported] }, NONE);
  assert.deepEqual(sharesOf([old, reported], full.ledger), { b: 0 }, 'a may have the only place');
  const free = splitShares({ limit: 2, perPod: 1, pods: [old, reported] }, NONE);
  assert.deepEqual(sharesOf([old, reported], free.ledger), { b: 1 });
});

test('a new pod that was told 0 is told 1 only after it has said 0', () => {
  const starting = pod('b', undefined, { state: 'starting' });
  const full = splitShares({ limit: 4, perPod: 4, pods: [pod('a', 4), starting] }, NONE);
  assert.deepEqual(sharesOf([pod('a', 3), starting], full.ledger), { a: 3, b: 0 });
  const free = splitShares({ limit: 4, perPod: 4, pods: [pod('a', 3), starting] }, full.ledger);
  assert.deepEqual(sharesOf([starting], free.ledger), { b: 0 }, 'the 0 is still under way');
  const told = pod('b', 0, { state: 'starting' });
  const said = splitShares({ limit: 4, perPod: 4, pods: [pod('a', 3), told] }, free.ledger);
  assert.deepEqual(sharesOf([told], said.ledger), { b: 1 });
});

test('a new leader that finds more first places than the limit takes them back', () => {
  const pods = ['a', 'b', 'c'].map((name) => pod(name, 1, { isOld: true }));
  const over = splitShares({ limit: 2, perPod: 1, pods }, NONE);
  assert.deepEqual(sharesOf(pods, over.ledger), { a: 0, b: 0, c: 0 });
  const covered = splitShares({ limit: 3, perPod: 1, pods }, NONE);
  assert.deepEqual(sharesOf(pods, covered.ledger), { a: 1, b: 1, c: 1 });
});

test('a follower that heard the grants goes on from them', () => {
  const ledger = noteShares({ a: 7, b: 3 }, NONE, () => false);
  const pods = [pod('a', undefined, { isOld: true }), pod('b', 3)];
  const split = splitShares({ limit: 10, perPod: 10, pods }, ledger);
  assert.deepEqual(sharesOf(pods, split.ledger), { a: 7, b: 3 });
});

test('a raised limit is used, a lowered one is kept to', () => {
  const pods = [pod('a', 5), pod('b', 5)];
  const ledger = splitShares({ limit: 10, perPod: 10, pods }, NONE).ledger;
  const raised = splitShares({ limit: 16, perPod: 10, pods }, ledger).ledger;
  assert.deepEqual(sharesOf(pods, raised), { a: 8, b: 8 });
  const lowered = splitShares({ limit: 2, perPod: 10, pods }, ledger).ledger;
  assert.deepEqual(sharesOf(pods, lowered), { a: 1, b: 1 });
});

const steps = fc.array(
  fc.record({
    kind: fc.constantFrom<Step['kind']>(
      'add',
      'ready',
      'end',
      'notice',
      'gone',
      'restart',
      'share',
      'share',
      'lose-share',
      'report',
      'hear',
      'hear',
      'lose-report',
      'start',
      'start',
      'start',
      'finish',
      'split',
      'split',
      'new-leader',
    ),
    pod: fc.nat({ max: 5 }),
  }),
  { minLength: 20, maxLength: 200 },
);

test('behaviour 9: never more than the limit over all pods, whatever comes, goes, is late or is lost', () => {
  const property = fc.property(
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: 1, max: 6 }),
    steps,
    (limit, perPod, list) => {
      const sim = new ShareSim(limit, perPod);
      for (const step of list) {
        sim.take(step);
        const sum = sim.enforced();
        assert.ok(sum <= limit, `${sum} of ${limit} after ${step.kind} of ${step.pod}\n${sim.describe()}`);
      }
    },
  );
  fc.assert(property, { numRuns: 20_000 });
});

test('behaviour 9: when messages arrive again, the whole limit is granted and no ready pod starves', () => {
  const property = fc.property(
    fc.integer({ min: 1, max: 12 }),
    fc.integer({ min: 1, max: 6 }),
    steps,
    (limit, perPod, list) => {
      const sim = new ShareSim(limit, perPod);
      for (const step of list) sim.take(step);
      sim.settle();
      const limits = sim.readyLimits();
      if (limits.length === 0) return;
      const usable = Math.min(limit, limits.length * perPod);
      const total = limits.reduce((sum, value) => sum + value, 0);
      // Pods that are still starting have one place each, where there is more than the ready ones need.
      assert.ok(total >= usable - Math.min(sim.starting, Math.max(0, limit - limits.length)), sim.describe());
      if (limits.length <= limit) assert.ok(Math.min(...limits) >= 1, sim.describe());
    },
  );
  fc.assert(property, { numRuns: 1_000 });
});

test('a follower’s ledger holds the pods that there are, however many have been', () => {
  let ledger: Ledger = NONE;
  const isKnownPod = (name: string) => name === 'known';
  for (let i = 0; i < 1_000; i++)
    ledger = noteShares({ [`pod-${i}`]: 3, ...(i === 0 && { known: 2 }) }, ledger, isKnownPod);
  assert.deepEqual([...ledger.keys()].toSorted(), ['known', 'pod-999']);
});
