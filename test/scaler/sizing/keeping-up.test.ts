/** A function sleeps only when traffic and the queries of its triggers both say so. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseAnnotations } from '../../../common/function/annotations/index.ts';
import { Sim } from '../support/sim.ts';

const TIMEOUT = { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '8' };
const DOWN_AT_ONCE = { ScaleDown: { StabilizationWindowSeconds: 0 } };

function worker(trigger: object = {}, replicas = 2): Sim {
  const sim = new Sim();
  const triggers = [{ MetricName: 'work', Query: 'work', Threshold: 1, ...trigger }];
  const scale = { ReplicaMax: 9, Triggers: triggers, Behavior: DOWN_AT_ONCE };
  sim.fn('fn', replicas, { ...TIMEOUT, 'SlimFaas/Scale': JSON.stringify(scale) });
  for (let i = 0; i < replicas; i++) sim.pod('fn', `p${i}`);
  return sim;
}

const idle = (sim: Sim) => () => {
  for (const pod of sim.podsOf('fn')) sim.report('fn', pod);
};

test('a query above its activation threshold keeps a worker without callers up, and its clock begins when it ends', async () => {
  const sim = worker();
  sim.queries.set('work', 2);
  await sim.pass(600, idle(sim));
  assert.deepEqual([sim.replicas('fn'), sim.decision('fn')], [2, 'active']);
  sim.queries.set('work', 0);
  await sim.pass(7, idle(sim));
  assert.equal(sim.decision('fn'), 'idle-clock');
  await sim.pass(2, idle(sim));
  assert.equal(sim.replicas('fn'), 0);
});

test('ActivationThreshold: at it there is no work, above it there is', async () => {
  for (const [value, replicas] of [
    [5, 0],
    [5.1, 1],
  ] as const) {
    const sim = worker({ Threshold: 10, ActivationThreshold: 5 });
    sim.queries.set('work', value);
    await sim.pass(20, idle(sim));
    assert.equal(sim.replicas('fn'), replicas, String(value));
  }
});

test('a trigger that falls silent keeps its last answer for five minutes, is a fault, and counts no more then', async () => {
  const sim = worker();
  sim.queries.set('work', 2);
  await sim.pass(20, idle(sim));
  sim.queries.delete('work');
  await sim.pass(10, idle(sim));
  assert.deepEqual(sim.faults.get('fn') ?? [], [], 'one missed scrape or two are no fault');
  await sim.pass(20, idle(sim));
  const fault = 'SlimFaas/Scale: query "work": no data; in force: its last answer for 300 s, then none';
  assert.deepEqual(sim.faults.get('fn'), [fault]);
  await sim.pass(260, idle(sim));
  assert.deepEqual([sim.replicas('fn'), sim.decision('fn')], [2, 'active']);
  await sim.pass(20, idle(sim));
  assert.equal(sim.replicas('fn'), 0);
});

test('the last answer of one that is silent holds the count for five minutes against the others, and never raises it again', async () => {
  const sim = new Sim();
  const triggers = [
    { MetricType: 'Value', MetricName: 'old', Query: 'old', Threshold: 10 },
    { MetricName: 'new', Query: 'new', Threshold: 1 },
  ];
  const scale = { ReplicaMax: 50, Triggers: triggers, Behavior: DOWN_AT_ONCE };
  sim.fn('fn', 2, { ...TIMEOUT, 'SlimFaas/Scale': JSON.stringify(scale) });
  for (let i = 0; i < 2; i++) sim.pod('fn', `p${i}`);
  sim.queries.set('old', 20);
  sim.queries.set('new', 1);
  await sim.pass(1, idle(sim));
  assert.equal(sim.replicas('fn'), 4);
  sim.queries.delete('old');
  await sim.pass(200, idle(sim));
  assert.equal(sim.replicas('fn'), 4, 'twice its threshold, as it once was, would double it each tick');
  await sim.pass(110, idle(sim));
  assert.equal(sim.replicas('fn'), 1, 'after five minutes the other one decides');
});

test('a woken function waits three scrapes for a first answer, and not longer', async () => {
  const sim = worker({}, 0);
  await sim.pass(1);
  await sim.wake('fn');
  sim.proxyIsIdle('fn');
  sim.pod('fn', 'p');
  await sim.pass(14, idle(sim));
  assert.deepEqual([sim.replicas('fn'), sim.decision('fn')], [1, 'missing-data']);
  await sim.pass(3, idle(sim));
  assert.equal(sim.replicas('fn'), 0);
});

test('a new leader waits for the answers that only the former one had, and puts nothing to sleep in mid-work', async () => {
  const sim = worker();
  sim.isLeader = false;
  // As a follower it hears of no series: nothing has data, for an hour.
  await sim.pass(3_600, idle(sim));
  sim.isLeader = true;
  sim.reconciler.onLeading();
  await sim.pass(20, idle(sim));
  assert.deepEqual([sim.replicas('fn'), sim.decision('fn')], [2, 'missing-data']);
  sim.queries.set('work', 2);
  await sim.pass(600, idle(sim));
  assert.equal(sim.replicas('fn'), 2);
});

test('a built-in metric keeps nothing up beyond the calls that it counts', async () => {
  const sim = new Sim();
  const triggers = [{ MetricName: 'concurrency', Threshold: 1 }];
  sim.fn('fn', 1, { ...TIMEOUT, 'SlimFaas/Scale': JSON.stringify({ Triggers: triggers }) });
  sim.pod('fn', 'p');
  await sim.pass(5, () => sim.report('fn', 'p', { running: 1, runningNow: 1 }));
  // Averaged over a minute it is above 0 for long.
  await sim.pass(10, idle(sim));
  assert.equal(sim.replicas('fn'), 0);
});

test('ActivationThreshold is read; a bad one, and one beside a built-in metric, is a fault and 0', () => {
  const read = (trigger: object) => {
    const scale = JSON.stringify({ Triggers: [{ Threshold: 1, ...trigger }] });
    const { spec, faults } = parseAnnotations({ 'SlimFaas/Scale': scale });
    return [spec.scale?.triggers[0]?.activationThreshold, faults.length];
  };
  assert.deepEqual(read({ Query: 'up' }), [0, 0]);
  assert.deepEqual(read({ Query: 'up', ActivationThreshold: 2.5 }), [2.5, 0]);
  assert.deepEqual(read({ Query: 'up', ActivationThreshold: -1 }), [0, 1]);
  assert.deepEqual(read({ MetricName: 'queue', ActivationThreshold: 5 }), [0, 1]);
});
