/** N→M over time: the advisor within the reconciler, with a clock of the test's own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FunctionActivity } from '../../../scaler/observe/activity.ts';
import { measure } from '../../../scaler/load/measure.ts';
import { Sim } from '../support/sim.ts';

const scale = (value: object) => ({ 'SlimFaas/Scale': JSON.stringify(value) });
const CONCURRENCY = { MetricName: 'concurrency', Threshold: 10 };

/** One pod carries all the load, the others say that they are idle: what counts is the sum. */
function busy(sim: Sim, load: number, waiting = 0): () => void {
  return () => {
    for (const pod of sim.podsOf('fn')) sim.report('fn', pod);
    sim.report('fn', 'p', { running: load, runningNow: load, waiting, started: load });
  };
}

/** Up with that many ready pods, all of which have reported. */
function running(annotations: Record<string, string>, replicas = 1): Sim {
  const sim = new Sim();
  sim.fn('fn', replicas, annotations);
  sim.pod('fn', 'p');
  for (let i = 1; i < replicas; i++) sim.pod('fn', `p${i}`);
  for (const pod of sim.podsOf('fn')) sim.report('fn', pod);
  return sim;
}

test('behaviour 35: a spike goes up at once as far as the policies allow, and no further than ReplicaMax', async () => {
  const sim = running(scale({ ReplicaMax: 9, Triggers: [CONCURRENCY] }));
  await sim.pass(1, busy(sim, 200));
  assert.equal(sim.replicas('fn'), 5, '1 + 4 pods within 15 s');
  await sim.pass(13, busy(sim, 200));
  assert.equal(sim.replicas('fn'), 5);
  await sim.pass(3, busy(sim, 200));
  assert.equal(sim.replicas('fn'), 9, 'ReplicaMax, where 100 % would allow 10');
});

test('behaviour 35: no way down until the window has passed, then to what the load needs', async () => {
  const sim = running(scale({ ReplicaMax: 9, Triggers: [CONCURRENCY] }), 8);
  await sim.pass(60, busy(sim, 75));
  assert.equal(sim.replicas('fn'), 8);
  // 60 s until the average has forgotten the spike, 300 s of stabilisation.
  await sim.pass(300, busy(sim, 15));
  assert.equal(sim.replicas('fn'), 8);
  await sim.pass(70, busy(sim, 15));
  assert.equal(sim.replicas('fn'), 2);
});

test('a short spike is seen by the panic window long before the minute’s average', async () => {
  const sim = running(scale({ Triggers: [CONCURRENCY] }));
  await sim.pass(54, busy(sim, 1));
  assert.equal(sim.replicas('fn'), 1);
  // Six seconds of 80 are an average of 9 over the minute, and of 80 over six seconds.
  await sim.pass(6, busy(sim, 80));
  assert.ok(sim.replicas('fn') >= 5, `has ${sim.replicas('fn')}`);
  assert.match(sim.patches[0] ?? '', /scale-up/);
});

test('behaviour 36: missing data never scale down: no report, no trigger value, a partial one', async () => {
  const both = {
    ReplicaMax: 9,
    Triggers: [CONCURRENCY, { Query: 'up', Threshold: 1 }],
    Behavior: { ScaleDown: { StabilizationWindowSeconds: 0 } },
  };
  const sim = running(scale(both), 4);
  await sim.pass(120, busy(sim, 1));
  assert.equal(sim.replicas('fn'), 4, 'the query has no data');
  sim.queries.set('up', 3);
  await sim.pass(2, busy(sim, 1));
  assert.equal(sim.replicas('fn'), 3);
  // All but one of its pods fall silent.
  await sim.pass(31, () => sim.report('fn', 'p', { runningNow: 1 }));
  sim.queries.set('up', 1);
  await sim.pass(120, () => sim.report('fn', 'p', { runningNow: 1 }));
  assert.equal(sim.replicas('fn'), 3);
  assert.equal(sim.decision('fn'), 'missing-data');
});

test('a value over data of which part is missing raises, does not lower, and does not let the function sleep', async () => {
  const query = {
    ReplicaMax: 9,
    Triggers: [{ Query: 'increase(x[10m])', Threshold: 1 }],
    Behavior: { ScaleDown: { StabilizationWindowSeconds: 0 } },
  };
  const annotations = { ...scale(query), 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '60' };
  const sim = running(annotations, 4);
  const raised = running(annotations, 4);
  for (const one of [sim, raised]) {
    one.partial.add('increase(x[10m])');
    one.queries.set('increase(x[10m])', 1);
    await one.pass(30, busy(one, 1));
    assert.equal(one.replicas('fn'), 4);
  }
  raised.queries.set('increase(x[10m])', 6);
  await raised.pass(5, busy(raised, 1));
  assert.equal(raised.replicas('fn'), 6);
  sim.queries.set('increase(x[10m])', 0);
  const idle = () => sim.podsOf('fn').forEach((pod) => sim.report('fn', pod));
  await sim.pass(120, idle);
  assert.equal(sim.replicas('fn'), 4);
  sim.partial.clear();
  await sim.pass(120, idle);
  assert.equal(sim.replicas('fn'), 0);
});

test('by default NumberParallelRequest scales, at 70 % of a pod, on what runs, waits and is queued', async () => {
  const sim = running({ 'SlimFaas/NumberParallelRequest': '40' });
  sim.jobs.set('default/fn', 10);
  await sim.pass(1, busy(sim, 5, 5));
  assert.equal(sim.replicas('fn'), 3, '(5 + 5 + 10) / 7');
});

test('without SlimFaas/Scale and NumberParallelRequest no load changes the count', async () => {
  const sim = running({});
  await sim.pass(30, busy(sim, 500, 500));
  assert.deepEqual(sim.patches, []);
});

test('what triggers say is forgotten in sleep: a woken function does not begin with the size of yesterday', async () => {
  const sim = running({
    ...scale({ ReplicaMax: 9, Triggers: [CONCURRENCY] }),
    'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '5',
  });
  await sim.pass(2, busy(sim, 50));
  assert.equal(sim.replicas('fn'), 5);
  await sim.pass(8, () => sim.report('fn', 'p'));
  assert.equal(sim.replicas('fn'), 0);
  sim.podGone('p');
  await sim.pass(90);
  await sim.wake('fn');
  await sim.pass(5);
  assert.equal(sim.replicas('fn'), 1);
});

test('new annotations hold at once', async () => {
  const sim = running(scale({ ReplicaMax: 2, Triggers: [CONCURRENCY] }));
  await sim.pass(2, busy(sim, 50));
  assert.equal(sim.replicas('fn'), 2);
  sim.fn('fn', 2, scale({ ReplicaMax: 4, Triggers: [CONCURRENCY] }));
  await sim.pass(1, busy(sim, 50));
  assert.equal(sim.replicas('fn'), 4);
});

test('what is measured: unknown is not zero, and who waits is known before anybody reports', () => {
  const activity = new FunctionActivity();
  const jobs = { ready: undefined, total: 0, perSecond: undefined };
  assert.deepEqual(measure(activity, jobs, 0), {
    concurrency: undefined,
    rps: undefined,
    queue: undefined,
    messageRate: undefined,
  });
  activity.onWake({ from: 'proxy', waiting: 7 }, 0);
  assert.equal(measure(activity, jobs, 0).concurrency, 7);
  const report = {
    pod: 'p',
    runningNow: 2,
    running: 2.5,
    waiting: 1,
    started: 4,
    finished: 0,
    failed: 0,
    windowMs: 500,
  };
  activity.onReport({ source: 'sidecar', ...report }, 0);
  assert.equal(
    measure(activity, jobs, 0).concurrency,
    7,
    'those in the pod are of the 7 until the proxy says',
  );
  activity.onWake({ from: 'proxy', waiting: 7 }, 0);
  const load = measure(activity, { ready: 3, total: 3, perSecond: 1 }, 0);
  assert.deepEqual(load, { concurrency: 10.5, rps: 8, queue: 3, messageRate: 1 });
});

test('a proxy’s calls in flight count as use and never as load', () => {
  const activity = new FunctionActivity();
  const inFlight = {
    pod: 'proxy',
    runningNow: 9,
    running: 9,
    waiting: 0,
    started: 9,
    finished: 0,
    failed: 0,
    windowMs: 1_000,
  };
  activity.onReport({ source: 'proxy', ...inFlight }, 1_000);
  assert.equal(activity.lastActiveMs, 1_000);
  assert.equal(activity.load(1_000), undefined);
  assert.equal(activity.runningNow(), 0);
});

test('a proxy that fell silent waits for nobody after three seconds', () => {
  const activity = new FunctionActivity();
  activity.onWake({ from: 'a', waiting: 5 }, 0);
  activity.onWake({ from: 'b', waiting: 2 }, 2_000);
  assert.equal(activity.waitingInProxies(3_000), 7);
  assert.equal(activity.waitingInProxies(3_001), 2);
  activity.onWake({ from: 'b', waiting: 0 }, 3_001);
  assert.equal(activity.waitingInProxies(3_001), 0);
});

test('a scaler that restarts under steady load lowers nothing while some of the pods have not reported, nor after', async () => {
  for (const window of [0, 5, 300]) {
    const sim = new Sim();
    const down = { ScaleDown: { StabilizationWindowSeconds: window } };
    sim.fn('fn', 7, scale({ ReplicaMax: 20, Triggers: [CONCURRENCY], Behavior: down }));
    for (let i = 0; i < 7; i++) sim.pod('fn', `p${i}`);
    for (let second = 0; second < 30; second++)
      await sim.pass(1, () => {
        const reporting = second === 0 ? 3 : 7;
        for (const pod of sim.podsOf('fn').slice(0, reporting))
          sim.report('fn', pod, { running: 10, runningNow: 10, started: 2 });
      });
    assert.deepEqual(sim.patches, [], `window ${window}`);
  }
});
