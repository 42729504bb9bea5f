/** The controllers' pure parts: rollout arithmetic, who goes first, hashes, the work queue. */
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import fc from 'fast-check';
import { silentLog } from '../../../common/runtime/log.ts';
import type { KubeObject } from '../../../packages/local-cluster/api/objects/types.ts';
import {
  msUntilAvailable,
  resolvePercent,
  withoutEmpty,
} from '../../../packages/local-cluster/controllers/workloads/objects.ts';
import {
  compareForDeletion,
  templateHash,
} from '../../../packages/local-cluster/controllers/workloads/pods.ts';
import {
  nextNewSize,
  nextOldSizes,
  rollingLimits,
  type SetSize,
} from '../../../packages/local-cluster/controllers/workloads/rolling.ts';
import { createWorkqueue } from '../../../packages/local-cluster/controllers/workqueue.ts';
import { waitFor } from '../../helpers/wait.ts';

describe('rolling limits', () => {
  for (const [replicas, strategy, maxSurge, maxUnavailable] of [
    [4, undefined, 1, 1],
    [10, undefined, 3, 2], // 25 % of 10: up to 3, down to 2
    [1, undefined, 1, 0],
    [0, undefined, 0, 1],
    [3, { maxSurge: 0, maxUnavailable: 0 }, 0, 1],
    [3, { maxSurge: '0%', maxUnavailable: '10%' }, 0, 1],
    [2, { maxSurge: 2, maxUnavailable: 5 }, 2, 2],
  ] as const) {
    test(`${replicas} replicas, ${JSON.stringify(strategy)}`, () => {
      assert.deepEqual(rollingLimits(replicas, strategy), { replicas, maxSurge, maxUnavailable });
    });
  }
});

/** Any rollout, with pods becoming available in any order, each step as the controller makes it. */
test('a rollout never leaves its limits and always arrives', () => {
  const arbitrary = fc.record({
    replicas: fc.integer({ min: 1, max: 8 }),
    maxSurge: fc.integer({ min: 0, max: 4 }),
    maxUnavailable: fc.integer({ min: 0, max: 4 }),
    order: fc.infiniteStream(fc.boolean()),
    old: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 1, maxLength: 2 }),
  });
  fc.assert(
    fc.property(arbitrary, ({ replicas, old, order, ...strategy }) => {
      const limits = rollingLimits(replicas, strategy);
      let sets: SetSize[] = old.map((count, i) => ({ name: `old${i}`, replicas: count, available: count }));
      let fresh: SetSize = { name: 'new', replicas: 0, available: 0 };
      const allowed = Math.max(
        limits.replicas + limits.maxSurge,
        old.reduce((a, b) => a + b),
      );
      // oxlint-disable-next-line oxc/no-accumulating-spread -- an object of three fields
      for (let step = 0; step < 500; step++) {
        const size = nextNewSize(limits, fresh, sets);
        if (size !== fresh.replicas) fresh = { ...fresh, replicas: size };
        else {
          const before = fresh.available + sets.reduce((sum, set) => sum + set.available, 0);
          const sizes = nextOldSizes(limits, fresh, sets);
          sets = sets.map((set) => {
            const next = sizes.get(set.name) ?? 0;
            return { ...set, replicas: next, available: Math.min(set.available, next) };
          });
          const after = fresh.available + sets.reduce((sum, set) => sum + set.available, 0);
          assert.ok(after >= Math.min(before, limits.replicas - limits.maxUnavailable), `${after} available`);
        }
        assert.ok(fresh.replicas + sets.reduce((sum, set) => sum + set.replicas, 0) <= allowed, 'too many');
        if (order.next().value && fresh.available < fresh.replicas)
          fresh = { ...fresh, available: fresh.available + 1 };
        if (fresh.available === replicas && sets.every((set) => set.replicas === 0)) return;
      }
      assert.fail('it does not arrive');
    }),
    { numRuns: 300 },
  );
});

test('pods that do not come up are given up before pods that serve', () => {
  const limits = { replicas: 3, maxSurge: 1, maxUnavailable: 0 };
  const sizes = nextOldSizes(limits, { name: 'new', replicas: 1, available: 1 }, [
    { name: 'broken', replicas: 1, available: 0 },
    { name: 'good', replicas: 2, available: 2 },
  ]);
  assert.deepEqual(Object.fromEntries(sizes), { broken: 0, good: 2 });
});

interface Traits {
  node?: string;
  phase?: string;
  readySince?: string;
  restarts?: number;
  cost?: string;
  created?: string;
}

function podWith({
  node = 'local',
  phase = 'Running',
  readySince,
  restarts = 0,
  cost,
  created = '2026-01-01T00:00:00Z',
}: Traits): KubeObject {
  const conditions = readySince ? [{ type: 'Ready', status: 'True', lastTransitionTime: readySince }] : [];
  return {
    metadata: {
      creationTimestamp: created,
      resourceVersion: '1',
      annotations: cost ? { 'controller.kubernetes.io/pod-deletion-cost': cost } : {},
    },
    spec: { nodeName: node },
    status: { phase, conditions, containerStatuses: [{ restartCount: restarts }] },
  } as unknown as KubeObject;
}

describe('who goes first', () => {
  const ready = { readySince: '2026-01-01T00:00:00Z' };
  for (const [what, first, second] of [
    ['not assigned before assigned', { node: '', phase: 'Pending' }, { phase: 'Pending' }],
    ['Pending before Running', { phase: 'Pending' }, {}],
    ['not ready before ready', {}, ready],
    ['cheap before dear', { ...ready, cost: '-1' }, ready],
    ['ready lately before ready for long', { readySince: '2026-01-02T00:00:00Z' }, ready],
    ['restarted before steady', { ...ready, restarts: 2 }, ready],
    ['young before old', { ...ready, created: '2026-01-01T00:00:01Z' }, ready],
    ['readiness counts more than cost', { cost: '9' }, { ...ready, cost: '-9' }],
  ] as const) {
    test(what, () => {
      assert.ok(compareForDeletion(podWith(first), podWith(second)) < 0);
      assert.ok(compareForDeletion(podWith(second), podWith(first)) > 0);
    });
  }
});

test('a template is the same revision in any order of its keys, and another one with any other value', () => {
  const hash = templateHash({ a: 1, b: { c: 2, d: [1, 2] } });
  assert.equal(templateHash({ b: { d: [1, 2], c: 2 }, a: 1 }), hash);
  assert.notEqual(templateHash({ b: { d: [2, 1], c: 2 }, a: 1 }), hash);
  assert.match(hash, /^[bcdfghjklmnpqrstvwxz2456789]+$/);
});

test('small questions', () => {
  assert.equal(resolvePercent('30%', 10, Math.ceil), 3);
  assert.equal(resolvePercent(undefined, 10, Math.ceil), 0);
  assert.deepEqual(withoutEmpty({ a: 0, b: '', c: undefined, d: 1 }), { d: 1 });
  const pod = podWith({ readySince: '2026-01-01T00:00:10Z' });
  const at = Date.parse('2026-01-01T00:00:12Z');
  assert.equal(msUntilAvailable(pod, 0, at), 0);
  assert.equal(msUntilAvailable(pod, 5, at), 3_000);
  assert.equal(msUntilAvailable(podWith({}), 5, at), Infinity);
});

describe('work queue', () => {
  test('a key runs once at a time, and once more for all that came meanwhile', async () => {
    let running = 0;
    let most = 0;
    let runs = 0;
    const queue = createWorkqueue(
      't',
      async () => {
        most = Math.max(most, ++running);
        runs++;
        await delay(5);
        running--;
      },
      silentLog,
    );
    queue.add('a');
    await delay(1);
    for (let i = 0; i < 5; i++) queue.add('a');
    await waitFor(() => runs === 2 && running === 0, { what: 'two runs' });
    await queue.stop();
    assert.deepEqual([most, runs], [1, 2]);
  });

  test('a failed key comes back by itself', async () => {
    let runs = 0;
    const queue = createWorkqueue(
      't',
      () => (++runs < 4 ? Promise.reject(new Error('not yet')) : Promise.resolve()),
      silentLog,
    );
    queue.add('a');
    await waitFor(() => runs === 4, { what: 'the fourth try' });
    await queue.stop();
  });

  test('a key that adds itself again and again lets timers and sockets live', async () => {
    const queue = createWorkqueue('t', () => Promise.resolve(queue.add('a')), silentLog);
    queue.add('a');
    await delay(5); // would never come back
    await queue.stop();
  });

  test('nothing runs after stop', async () => {
    let runs = 0;
    const queue = createWorkqueue('t', () => Promise.resolve(runs++), silentLog);
    queue.addAfter('a', 1);
    await queue.stop();
    queue.add('b');
    await delay(5);
    assert.equal(runs, 0);
  });
});
