/** What a wake leaves behind for the windows and policies of the minutes after it, and who may carry it out. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FunctionActivity } from '../../../scaler/observe/activity.ts';
import { Sim } from '../support/sim.ts';

const PARALLEL = {
  'SlimFaas/NumberParallelRequest': '60',
  'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '300',
};

const REPORT = {
  source: 'sidecar',
  pod: 'p',
  waiting: 0,
  started: 0,
  finished: 0,
  failed: 0,
  windowMs: 1_000,
} as const;

function idle(sim: Sim): () => void {
  return () => {
    for (const pod of sim.podsOf('fn')) sim.report('fn', pod);
  };
}

/** Used once and asleep again, with no pod left. */
async function asleepAfterUse(annotations: Record<string, string>): Promise<Sim> {
  const sim = new Sim();
  sim.fn('fn', 1, annotations);
  sim.pod('fn', 'p');
  await sim.pass(5, () => sim.report('fn', 'p', { running: 1, runningNow: 1, started: 1 }));
  await sim.pass(310, idle(sim));
  assert.equal(sim.replicas('fn'), 0);
  sim.podGone('p');
  await sim.pass(1);
  return sim;
}

test('a second wake at ReplicasAtStart 6 for one caller stays at 6: the window protects what was woken', async () => {
  const sim = await asleepAfterUse({ ...PARALLEL, 'SlimFaas/ReplicasAtStart': '6' });
  await sim.wake('fn');
  assert.equal(sim.replicas('fn'), 6);
  await sim.pass(1, () => void sim.wake('fn'));
  for (let i = 0; i < 6; i++) sim.pod('fn', `q${i}`);
  await sim.pass(250, () => {
    for (const pod of sim.podsOf('fn'))
      sim.report('fn', pod, pod === 'q0' ? { running: 1, runningNow: 1 } : {});
  });
  assert.equal(sim.replicas('fn'), 6);
  await sim.pass(70, () => {
    for (const pod of sim.podsOf('fn'))
      sim.report('fn', pod, pod === 'q0' ? { running: 1, runningNow: 1 } : {});
  });
  assert.equal(sim.replicas('fn'), 1, 'and then it goes by the load');
});

test('policies count from what was woken: the first minute of load is not the growth of the wake', async () => {
  const behavior = { ScaleUp: { Policies: [{ Type: 'Percent', Value: 100, PeriodSeconds: 60 }] } };
  const scale = {
    ReplicaMax: 8,
    Triggers: [{ MetricName: 'concurrency', Threshold: 10 }],
    Behavior: behavior,
  };
  const sim = new Sim();
  sim.fn('fn', 0, { 'SlimFaas/Scale': JSON.stringify(scale) });
  await sim.wake('fn');
  assert.equal(sim.replicas('fn'), 1);
  sim.pod('fn', 'p');
  await sim.pass(2, () => sim.report('fn', 'p', { running: 80, runningNow: 80, started: 80 }));
  assert.equal(sim.replicas('fn'), 2, '100 % of 1');
});

test('a query that wants twice the pods is no panic: it goes down as soon as its window says', async () => {
  const scale = {
    Triggers: [{ MetricType: 'AverageValue', Query: 'load', Threshold: 1 }],
    Behavior: { ScaleDown: { StabilizationWindowSeconds: 0, Policies: [] } },
  };
  const sim = new Sim();
  sim.fn('fn', 1, { 'SlimFaas/Scale': JSON.stringify(scale) });
  sim.pod('fn', 'p');
  sim.queries.set('load', 4);
  const report = () => sim.report('fn', 'p', { running: 1, runningNow: 1 });
  await sim.pass(2, report);
  assert.equal(sim.replicas('fn'), 4);
  sim.queries.set('load', 1);
  await sim.pass(2, report);
  assert.equal(sim.replicas('fn'), 1);
});

test('asleep at ReplicasMin 1 after a burst it stays there, though the windows remember the burst', async () => {
  const sim = new Sim();
  sim.fn('fn', 1, {
    'SlimFaas/ReplicasMin': '1',
    'SlimFaas/NumberParallelRequest': '50',
    'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '20',
  });
  sim.pod('fn', 'p');
  await sim.pass(5, () => sim.report('fn', 'p', { running: 40, runningNow: 40, started: 40 }));
  assert.equal(sim.replicas('fn'), 5);
  await sim.pass(40, idle(sim));
  assert.deepEqual(sim.patches.at(-1), 'fn 5→1 sleep');
  assert.equal(sim.patches.filter((patch) => patch.endsWith('sleep')).length, 1);
});

test('what a human set counts as use, also when ReplicaMax cuts it at once', async () => {
  const sim = new Sim();
  sim.fn('fn', 0, {
    'SlimFaas/Scale': JSON.stringify({ ReplicaMax: 2 }),
    'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '0',
  });
  await sim.pass(100);
  sim.scaleByHand('fn', 5);
  await sim.pass(1);
  assert.deepEqual(sim.patches, ['fn 5→2 cap'], 'and no sleep before 2 s have passed');
  await sim.pass(2);
  assert.deepEqual(sim.patches, ['fn 5→2 cap', 'fn 2→0 sleep']);
});

test('a follower wakes for callers, not for a schedule: it cannot know that a human has just set 0', async () => {
  const sim = new Sim({ startMs: Date.UTC(2026, 0, 5, 6, 59, 58) });
  sim.isLeader = false;
  sim.fn('fn', 0, {
    'SlimFaas/Schedule': JSON.stringify({ TimeZoneID: 'Etc/UTC', Default: { WakeUp: ['07:00'] } }),
  });
  await sim.pass(10);
  assert.deepEqual(sim.patches, []);
  assert.equal(sim.decision('fn'), 'wake', 'it sees what is due');
  await sim.wake('fn');
  await sim.pass(2, () => void sim.wake('fn'));
  assert.equal(sim.replicas('fn'), 1);
});

test('a WakeUp is one call at its time, also where the idle timeout is 0', async () => {
  const sim = new Sim({ startMs: Date.UTC(2026, 0, 5, 6, 59, 58) });
  sim.fn('fn', 0, {
    'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '0',
    'SlimFaas/Schedule': JSON.stringify({ TimeZoneID: 'Etc/UTC', Default: { WakeUp: ['07:00'] } }),
  });
  await sim.pass(1);
  assert.deepEqual(sim.patches, []);
  await sim.pass(2);
  assert.equal(sim.patches[0], 'fn 0→1 wake');
});

test('a job at zero is counted once: one pod where a pod takes one, and as many as there are jobs', async () => {
  for (const jobs of [1, 3]) {
    const sim = new Sim();
    sim.fn('fn', 0, { 'SlimFaas/NumberParallelRequestPerPod': '1', 'SlimFaas/NumberParallelRequest': '5' });
    // What the proxy says of each post, before the scaler has looked into the queue and after.
    for (let i = 0; i < jobs; i++) await sim.wake('fn', 0);
    assert.equal(sim.replicas('fn'), 1);
    sim.jobs.set('default/fn', jobs);
    await sim.wake('fn', 0);
    await sim.pass(2);
    assert.equal(sim.replicas('fn'), jobs);
    // The first pod has taken a job, and says so before Kubernetes calls it ready.
    sim.pod('fn', 'p', { isReady: false });
    sim.report('fn', 'p', { runningNow: 1, running: 1, started: 1, jobs: 1 });
    await sim.pass(2, () => sim.report('fn', 'p', { runningNow: 1, running: 1, jobs: 1 }));
    assert.equal(sim.replicas('fn'), jobs);
  }
});

test('a caller that has got its place is counted once, before the proxy has said that it waits no longer', async () => {
  const sim = new Sim();
  sim.fn('fn', 0, { 'SlimFaas/NumberParallelRequestPerPod': '1', 'SlimFaas/NumberParallelRequest': '10' });
  await sim.wake('fn', 1);
  await sim.pass(1);
  sim.pod('fn', 'p');
  sim.report('fn', 'p', { running: 0.4, runningNow: 1, started: 1 });
  await sim.pass(1, () => sim.report('fn', 'p', { running: 1, runningNow: 1 }));
  assert.deepEqual(sim.patches, ['fn 0→1 wake']);
});

test('a caller that its pod holds in its queue, while it starts, is counted once', async () => {
  const sim = new Sim();
  sim.fn('fn', 0, { 'SlimFaas/NumberParallelRequestPerPod': '1', 'SlimFaas/NumberParallelRequest': '10' });
  await sim.wake('fn', 1);
  sim.pod('fn', 'p', { isReady: false });
  await sim.pass(2, () => sim.report('fn', 'p', { waiting: 1 }));
  assert.deepEqual(sim.patches, ['fn 0→1 wake']);
});

test('callers that wait beside those that run count in full, also where a proxy has not spoken since', () => {
  const activity = new FunctionActivity();
  const report = (running: number, atMs: number) =>
    activity.onReport({ ...REPORT, running, runningNow: running }, atMs);
  report(40, 0);
  activity.onWake({ from: 'a', waiting: 60 }, 100);
  activity.onWake({ from: 'b', waiting: 5 }, 200);
  assert.equal(activity.waitingForPods(200), 65);
  report(80, 1_000);
  assert.equal(activity.waitingForPods(1_000), 25, '40 of them have a place now');
  activity.onWake({ from: 'a', waiting: 60 }, 1_100);
  activity.onWake({ from: 'b', waiting: 5 }, 1_200);
  assert.equal(activity.waitingForPods(1_200), 65, 'others have come since');
  report(70, 2_000);
  assert.equal(activity.waitingForPods(2_000), 65);
  activity.onWake({ from: 'b', waiting: 0 }, 2_100);
  report(90, 3_000);
  activity.onWake({ from: 'a', waiting: 60 }, 3_100);
  assert.equal(activity.waitingForPods(3_100), 60, 'b has nobody waiting, and says nothing any more');
});

test('strangers who say any number of names take no more memory than the bound', () => {
  const activity = new FunctionActivity();
  for (let i = 0; i < 5_000; i++) activity.onWake({ from: `stranger-${i}`, waiting: 1 }, 1_000);
  assert.equal(activity.waitingInProxies(1_000), 200);
  activity.onWake({ from: 'proxy', waiting: 7 }, 5_000);
  assert.equal(activity.waitingInProxies(5_000), 7, 'who fell silent makes room');
});
