/** The whole scaler against the real local API server and a real nats-server: what wakes, what sleeps, what is told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { recordingLog } from '../helpers/recording-log.ts';
import { isFasterThan, staysTrue, waitFor } from '../helpers/wait.ts';
import { TestCluster } from './support/test-cluster.ts';

test('a wake patches /scale within milliseconds, not at the next tick', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  for (const name of ['warm-up', 'first', 'second', 'third']) await cluster.fn(name);
  await cluster.scaler({ tick: 60 });
  cluster.wake('warm-up'); // the first request of a process pays for connections and code
  await cluster.hasReplicas('warm-up', 1);
  const names = ['first', 'second', 'third'];
  const measure = async (): Promise<number> => {
    const name = names.shift() as string;
    const startedMs = performance.now();
    cluster.wake(name);
    await cluster.hasReplicas(name, 1);
    const tookMs = performance.now() - startedMs;
    t.diagnostic(`wake → patched: ${tookMs.toFixed(1)} ms`);
    return tookMs;
  };
  // A hundred times below the tick and still far above the 5–20 ms that it takes on a quiet machine.
  await isFasterThan(600, measure, { what: 'a wake', tries: names.length });
});

test('behaviour 10: a thousand callers at zero are one scale-up, of the size that they need', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn', { 'SlimFaas/NumberParallelRequest': '40' });
  await cluster.scaler();
  const seen: number[] = [];
  const release = cluster.api.api.watch('deployments', (_type, object) => {
    if (object.metadata.name === 'fn' && seen.at(-1) !== object['spec'].replicas)
      seen.push(object['spec'].replicas as number);
  });
  t.after(release);
  for (let waiting = 1; waiting <= 1_024; waiting *= 2) cluster.wake('fn', Math.min(1_000, waiting));
  await cluster.hasReplicas('fn', 4);
  // 40 at once, 10 a pod: the first message may be heard alone, so 1 is patched at once and 4 follow.
  assert.deepEqual(
    seen.filter((n) => n !== 1),
    [0, 4],
  );
});

test('behaviour 19: two functions, load on one: only that one scales', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  const limit = { 'SlimFaas/NumberParallelRequest': '100', 'SlimFaas/NumberParallelRequestPerPod': '10' };
  await cluster.fn('busy', limit, 1);
  await cluster.fn('calm', limit, 1);
  await cluster.scaler();
  const [busy, calm] = [await cluster.pod('busy'), await cluster.pod('calm')];
  const load = () => {
    cluster.report('busy', { pod: busy, running: 10, runningNow: 10, waiting: 20, limit: 10 });
    cluster.report('calm', { pod: calm, running: 1, runningNow: 1, limit: 10 });
  };
  await waitFor(
    () => {
      load();
      return cluster.replicasOf('busy') >= 4;
    },
    { what: 'busy has 4 replicas or more', intervalMs: 50 },
  );
  // Twenty ticks more under the same load.
  await staysTrue(() => (load(), cluster.replicasOf('calm') === 1), {
    what: 'calm has one replica',
    forMs: 1_000,
    intervalMs: 50,
  });
});

test('an idle function goes to zero, and not before its timeout', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn', { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '3' }, 1);
  await cluster.scaler();
  const startedMs = performance.now();
  const pod = await cluster.pod('fn');
  cluster.report('fn', { pod });
  await cluster.hasReplicas('fn', 0);
  assert.ok(performance.now() - startedMs > 2_000);
  await waitFor(() => cluster.events('fn').some((event) => event.reason === 'Sleep'), {
    what: 'Sleep event',
  });
});

test('behaviour 20: a restarted scaler leaves busy pods alone before their first report', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn', { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '0' }, 2);
  const pods = [await cluster.pod('fn'), await cluster.pod('fn')];
  await cluster.scaler();
  const { url } = await cluster.scaler({}, { leads: false });
  const reasonOf = async () => {
    const view = (await (await fetch(`${url}/functions/default/fn`)).json()) as { reason: string };
    return view.reason;
  };
  await waitFor(async () => /has not reported/.test(await reasonOf()), { what: 'held for missing data' });
  assert.equal(cluster.replicasOf('fn'), 2);
  // One of two pods has spoken: that is still partly missing data (behaviour 36).
  cluster.report('fn', { pod: pods[0] as string });
  await waitFor(async () => (await reasonOf()).startsWith(pods[1] as string), {
    what: 'held for the second',
  });
  assert.equal(cluster.replicasOf('fn'), 2);
  for (const pod of pods) cluster.report('fn', { pod });
  await cluster.hasReplicas('fn', 0);
});

test('behaviour 37: an invalid annotation leaves the function scaled, and the fault becomes an Event and a line of the log', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn', {
    'SlimFaas/ReplicasAtStart': 'two',
    'SlimFaas/DependsOn': 'nowhere',
    'SlimFaas/Scale': JSON.stringify({ Triggers: [{ Query: 'sum(', Threshold: 1 }] }),
  });
  const { log, lines } = recordingLog();
  const { url } = await cluster.scaler({}, { log });
  cluster.wake('fn');
  await cluster.hasReplicas('fn', 1);
  const faults = () => cluster.events('fn').filter((event) => event.reason === 'InvalidAnnotation');
  await waitFor(() => faults().length === 3, { what: 'three fault events' });
  const texts = faults().map(({ message }) => message);
  assert.ok(
    texts.some((text) => /ReplicasAtStart: not allowed.*in force: 1/.test(text)),
    texts.join('\n'),
  );
  assert.ok(
    texts.some((text) => text.includes('no workload "nowhere"')),
    texts.join('\n'),
  );
  assert.ok(
    texts.some((text) => /SlimFaas\/Scale: query "sum\("/.test(text)),
    texts.join('\n'),
  );
  for (const text of texts) {
    const told = lines.find(({ message }) => message === text);
    assert.deepEqual([told?.level, told?.fields['function']], ['warn', 'default/fn'], text);
  }
  const metrics = await (await fetch(`${url}/metrics`)).text();
  assert.match(metrics, /slimfaas_annotation_faults\{namespace="default",function="fn"\} 3/);
});

test('behaviour 12: pods that cannot come up stop further growth, and an Event says why', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn', { 'SlimFaas/NumberParallelRequest': '100' }, 1);
  await cluster.scaler();
  const message = 'pods "fn-1" is forbidden: exceeded quota';
  await cluster.setStatus('fn', { conditions: [{ type: 'ReplicaFailure', status: 'True', message }] });
  const pod = await cluster.pod('fn');
  const blocked = () => cluster.events('fn').find((event) => event.reason === 'ScalingBlocked');
  await waitFor(
    () => {
      cluster.report('fn', { pod, running: 10, runningNow: 10, waiting: 50, limit: 10 });
      return blocked();
    },
    { what: 'blocked event', intervalMs: 50 },
  );
  assert.match(blocked()?.message ?? '', /exceeded quota/);
  assert.equal(cluster.replicasOf('fn'), 1);
});
