/** Under constant load, of whatever size and by whatever trigger, the count settles within bounds and stays. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Sim } from '../support/sim.ts';

const SETTLED_S = 420; // 60 s of average, 300 s of stabilisation, policies of 15 s
const WATCHED_S = 200;

interface Given {
  readonly load: number;
  readonly threshold: number;
  readonly replicas: number;
  readonly replicaMax: number;
  readonly rule: 'concurrency' | 'rps' | 'query' | 'default';
}

const given = fc.record<Given>({
  load: fc.integer({ min: 1, max: 200 }),
  threshold: fc.integer({ min: 1, max: 30 }),
  replicas: fc.integer({ min: 1, max: 12 }),
  replicaMax: fc.integer({ min: 1, max: 40 }),
  rule: fc.constantFrom('concurrency', 'rps', 'query', 'default'),
});

function annotationsOf({ rule, threshold, replicaMax }: Given): Record<string, string> {
  if (rule === 'default')
    return {
      'SlimFaas/NumberParallelRequest': String(replicaMax * threshold),
      'SlimFaas/NumberParallelRequestPerPod': String(threshold),
    };
  const trigger =
    rule === 'query' ? { Query: 'load', Threshold: threshold } : { MetricName: rule, Threshold: threshold };
  return { 'SlimFaas/Scale': JSON.stringify({ ReplicaMax: replicaMax, Triggers: [trigger] }) };
}

test('behaviour 35: constant load never flaps, and settles at what it needs within the bounds', async () => {
  const settles = fc.asyncProperty(given, async (rules) => {
    const { load, threshold, replicas, replicaMax, rule } = rules;
    const sim = new Sim();
    sim.fn('fn', replicas, annotationsOf(rules));
    sim.queries.set('load', load);
    const report = () => {
      // Pods come and go with the count, and share the load evenly.
      const pods = Array.from({ length: sim.replicas('fn') }, (_, n) => `p${n}`);
      for (const pod of sim.podsOf('fn')) if (!pods.includes(pod)) sim.podGone(pod);
      for (const pod of pods) {
        if (!sim.podsOf('fn').includes(pod)) sim.pod('fn', pod);
        const each = load / pods.length;
        sim.report('fn', pod, { running: each, runningNow: Math.ceil(each), started: each });
      }
    };
    await sim.pass(SETTLED_S, report);
    const settled = sim.replicas('fn');
    const target = rule === 'default' ? Math.max(1, 0.7 * threshold) : threshold;
    const needs = Math.ceil(load / target - 1e-9);
    assert.equal(settled, Math.max(1, Math.min(needs, replicaMax)), sim.patches.join(', '));
    const before = sim.patches.length;
    await sim.pass(WATCHED_S, report);
    assert.deepEqual(sim.patches.slice(before), []);
  });
  await fc.assert(settles, { numRuns: 25 });
});
