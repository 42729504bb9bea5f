/** Leadership as callers feel it: a follower helps while no leader acts, passes wakes on, and takes over. */
import assert from 'node:assert/strict';
import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { functionSubject } from '../../../common/bus/subjects.ts';
import { decodeShare, encodeMessage } from '../../../common/bus/messages.ts';
import { writeKubeconfig } from '../../helpers/kubectl.ts';
import { isFasterThan, waitFor } from '../../helpers/wait.ts';
import { TestCluster } from '../support/test-cluster.ts';

const QUICK = ['--tick', '0.05', '--host', '127.0.0.1', '--port', '0'];

/** A leader in its own process, with a lease so long that nobody takes over within the test. */
async function startLeader(
  cluster: TestCluster,
  t: TestContext,
  flags: string[] = [],
): Promise<ChildProcess> {
  const kubeconfig = await writeKubeconfig(cluster.api.kubeconfig());
  const path = join(import.meta.dirname, '../support/scaler-process.ts');
  const child = fork(path, [kubeconfig.path, cluster.nats.url, ...QUICK, ...flags]);
  t.after(async () => {
    child.kill('SIGKILL');
    await kubeconfig.remove();
  });
  let isLeader = false;
  child.on('message', (message: { isLeader?: boolean }) => (isLeader = message.isLeader ?? isLeader));
  await waitFor(() => isLeader, { what: 'the other process leads', timeoutMs: 20_000 });
  return child;
}

test('behaviour 20: the leader is killed while a caller waits at zero: still woken, long before the lease ends', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn');
  await cluster.fn('other');
  const leader = await startLeader(cluster, t, ['--lease-duration', '60', '--renew-deadline', '50']);
  const follower = await cluster.scaler(
    { 'lease-duration': 60, 'renew-deadline': 50, 'pod-name': 'follower' },
    { leads: false },
  );
  cluster.wake('other');
  await cluster.hasReplicas('other', 1);
  assert.equal(follower.scaler.isLeader(), false);
  leader.kill('SIGKILL');
  const startedMs = performance.now();
  const timer = setInterval(() => cluster.wake('fn'), 1_000);
  t.after(() => clearInterval(timer));
  cluster.wake('fn');
  await cluster.hasReplicas('fn', 1, 15_000);
  t.diagnostic(`woken ${Math.round(performance.now() - startedMs)} ms after the leader was killed`);
  assert.equal(follower.scaler.isLeader(), false, 'it helped and did not take over');
});

test('a killed leader is replaced within the lease duration', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  const times = ['--lease-duration', '1.2', '--renew-deadline', '0.8', '--retry-period', '0.2'];
  const leader = await startLeader(cluster, t, times);
  const follower = await cluster.scaler(
    { 'pod-name': 'follower', 'lease-duration': 1.2, 'renew-deadline': 0.8 },
    { leads: false },
  );
  leader.kill('SIGKILL');
  const startedMs = performance.now();
  // 1.2 s on a quiet machine; the default lease is 12 s long.
  await waitFor(() => follower.scaler.isLeader(), { what: 'the follower leads', timeoutMs: 10_000 });
  t.diagnostic(`took over after ${Math.round(performance.now() - startedMs)} ms`);
});

test('a stopped leader releases the lease, and the next one leads at once', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  const first = await cluster.scaler({ 'pod-name': 'first', 'lease-duration': 60, 'renew-deadline': 50 });
  const second = await cluster.scaler(
    { 'pod-name': 'second', 'lease-duration': 60, 'renew-deadline': 50 },
    { leads: false },
  );
  await first.scaler.stop();
  await waitFor(() => second.scaler.isLeader(), { what: 'the second leads', timeoutMs: 20_000 });
});

test('without NATS a wake over HTTP to a follower reaches the leader at once', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  const names = ['fn', 'second', 'third'];
  for (const name of names) await cluster.fn(name, { 'SlimFaas/NumberParallelRequest': '30' });
  await cluster.scaler({ tick: 60 });
  const follower = await cluster.scaler({ tick: 60, 'pod-name': 'follower' }, { leads: false });
  await cluster.nats.kill();
  const wake = (path: string) => fetch(`${follower.url}${path}`, { method: 'POST' });
  const measure = async (): Promise<number> => {
    const name = names.shift() as string;
    const begun = performance.now();
    assert.equal((await wake(`/wake/default/${name}?waiting=30`)).status, 204);
    await cluster.hasReplicas(name, 3, 2_000).catch(() => undefined);
    return performance.now() - begun;
  };
  // After a second the follower would wake it itself. A stall may cost the hop, so there is another try.
  await isFasterThan(900, measure, { what: 'a wake over two hops', tries: names.length });
  assert.equal(follower.scaler.isLeader(), false);
  const missing = await wake('/wake/default/nobody');
  assert.equal(missing.status, 404);
  assert.equal(((await missing.json()) as { error: string }).error, 'unknown-function');
  assert.equal((await wake('/wake/default/fn?waiting=many')).status, 400);
});

test('a proxy that wakes over HTTP through several scalers, and over NATS, counts its callers once', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn', { 'SlimFaas/NumberParallelRequest': '30' });
  const leader = await cluster.scaler({ tick: 60 });
  const follower = await cluster.scaler({ tick: 60, 'pod-name': 'follower' }, { leads: false });
  const path = '/wake/default/fn?waiting=7&from=proxy-1';
  for (const { url } of [leader, follower])
    assert.equal((await fetch(`${url}${path}`, { method: 'POST' })).status, 204);
  const message = encodeMessage({ from: 'proxy-1', waiting: 7 });
  cluster.link.publish(functionSubject('wake', { namespace: 'default', name: 'fn' }), message);
  await cluster.link.connection?.flush();
  const view = (await (await fetch(`${leader.url}/functions/default/fn`)).json()) as {
    facts: { waiting: number };
  };
  assert.equal(view.facts.waiting, 7);
});

test('shares are published by the leader only, and sum to the limit', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn', { 'SlimFaas/NumberParallelRequest': '5' }, 2);
  const pods = [await cluster.pod('fn'), await cluster.pod('fn')];
  const told = new Map<string, number>();
  const subject = functionSubject('share', { namespace: 'default', name: 'fn' });
  const release = cluster.link.subscribe(subject, (_subject, data) => {
    const message = decodeShare(data);
    assert.equal(message.limit, 5);
    // A sidecar takes its share and says so.
    for (const [pod, limit] of Object.entries(message.shares)) {
      told.set(pod, limit);
      cluster.report('fn', { pod, limit });
    }
  });
  t.after(release);
  await cluster.scaler();
  await cluster.scaler({ 'pod-name': 'follower' }, { leads: false });
  // What they had from whoever led before: the leader has to hear it before it can split anything.
  for (const pod of pods) cluster.report('fn', { pod, limit: 1 });
  const sum = () => pods.reduce((total, pod) => total + (told.get(pod) ?? 0), 0);
  await waitFor(() => sum() === 5, { what: 'shares sum to 5' });
});
