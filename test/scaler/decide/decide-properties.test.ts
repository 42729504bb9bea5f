/** What holds for every decision, whatever the facts. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { mostReplicas } from '../../../scaler/decide/bounds.ts';
import { decide } from '../../../scaler/decide/decide.ts';
import type { Facts } from '../../../scaler/decide/types.ts';
import { factsOf } from '../support/facts.ts';

const small = fc.integer({ min: 0, max: 12 });
const optional = <T>(value: fc.Arbitrary<T>) => fc.option(value, { nil: undefined });

const annotations = fc
  .record({
    min: fc.integer({ min: 0, max: 4 }),
    start: fc.integer({ min: 1, max: 6 }),
    limit: optional(fc.integer({ min: 1, max: 60 })),
    max: optional(fc.integer({ min: 1, max: 9 })),
    paused: fc.boolean(),
  })
  .map(({ min, start, limit, max, paused }) => ({
    'SlimFaas/ReplicasMin': String(min),
    'SlimFaas/ReplicasAtStart': String(start),
    ...(limit === undefined ? {} : { 'SlimFaas/NumberParallelRequest': String(limit) }),
    ...(max === undefined ? {} : { 'SlimFaas/Scale': JSON.stringify({ ReplicaMax: max }) }),
    ...(paused ? { 'slimfaas.dev/paused': 'true' } : {}),
  }));

const demand = fc.constantFrom<Facts['demand']>(
  undefined,
  { by: 'callers', isCall: true, waiting: 3 },
  { by: 'wake', isCall: true },
  { by: 'dependent', isCall: false, isUrgent: false, name: 'a' },
);

const facts = fc
  .record({
    annotations,
    replicas: small,
    readyPods: small,
    isColdStart: fc.boolean(),
    isTroubled: fc.boolean(),
    autoscalerMin: optional(fc.integer({ min: 1, max: 3 })),
    demand,
    running: fc.integer({ min: 0, max: 2 }),
    waiting: fc.constantFrom(0, 0, 1, 40),
    jobs: fc.constantFrom(0, 0, 1, 40),
    idleSeconds: fc.integer({ min: 0, max: 600 }),
    dependents: fc.subarray(['a', 'b']),
    unready: fc.subarray(['db']),
    blind: optional(fc.constant('silent')),
    setByOthers: optional(small),
    load: optional(fc.integer({ min: 0, max: 20 })),
  })
  .map(({ annotations: written, isTroubled, idleSeconds, dependents, unready, load, ...rest }) =>
    factsOf(
      {
        ...rest,
        troubles: isTroubled ? [{ kind: 'quota', message: 'q' }] : [],
        idleSinceMs: 1_000_000 - idleSeconds * 1_000,
        awakeDependents: dependents,
        unreadyDependencies: rest.replicas > 0 ? [] : unready,
        load: load === undefined ? undefined : { wanted: load, reason: 'x' },
      },
      written,
    ),
  );

function holds(claim: (facts: Facts, wanted: number, kind: string) => void): void {
  const property = fc.property(facts, (f) => {
    const decision = decide(f);
    claim(f, decision.wanted, decision.kind);
  });
  fc.assert(property, { numRuns: 3_000 });
}

test('a decision that changes nothing wants what is there', () => {
  const changing = new Set(['wake', 'raise', 'scale-up', 'scale-down', 'sleep', 'cap']);
  holds((f, wanted, kind) => {
    if (!changing.has(kind)) assert.equal(wanted, f.replicas);
    else assert.notEqual(wanted, f.replicas);
  });
});

test('what grows stays within ReplicaMax and NumberParallelRequest, or at ReplicasMin, or at an autoscaler’s minimum', () => {
  holds((f, wanted) => {
    if (wanted <= f.replicas) return;
    assert.ok(wanted <= Math.max(mostReplicas(f.spec), f.spec.replicasMin, f.autoscalerMin ?? 0));
  });
});

test('behaviour 36: missing data never scale down, but for a cut to ReplicaMax', () => {
  holds((f, wanted, kind) => {
    if (f.blind !== undefined && kind !== 'cap') assert.ok(wanted >= f.replicas);
  });
});

test('zero only when idle for the timeout, with nothing running, waiting or queued and no dependent up', () => {
  holds((f, wanted) => {
    if (f.replicas === 0 || wanted > 0) return;
    assert.equal(f.running + f.waiting + f.jobs, 0);
    assert.ok(f.nowMs - f.idleSinceMs >= f.idleTimeoutSeconds * 1_000);
    assert.deepEqual(f.awakeDependents, []);
    assert.equal(f.spec.replicasMin, 0);
  });
});

test('a paused function is never touched, and one with an unready dependency is never started', () => {
  holds((f, wanted) => {
    if (f.spec.paused || f.unreadyDependencies.length > 0) assert.equal(wanted, f.replicas);
  });
});

test('pods that cannot come up are never asked for more', () => {
  holds((f, wanted) => {
    if (f.troubles.length > 0 && f.replicas > 0) assert.ok(wanted <= f.replicas);
  });
});

test('whoever calls a sleeping function that is free to start gets it started', () => {
  holds((f, wanted) => {
    if (f.replicas > 0 || f.spec.paused || f.unreadyDependencies.length > 0 || !f.demand?.isCall) return;
    assert.ok(wanted > 0);
  });
});
