/** Pods that break under their callers, through real processes: killed, deaf, late, or silent towards the scaler. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { operatorHeaders } from '../helpers/cluster.ts';
import { staysTrue, waitFor } from '../helpers/wait.ts';
import { processesWith } from '../local-cluster/support/pods.ts';
import { NAMESPACE } from './functions.ts';
import { startWorld, type World } from './world.ts';

let world: World;
before(async () => {
  world = await startWorld({ backoffBaseMs: 200 });
});
after(() => world[Symbol.asyncDispose]());

const CONTAINERS = ['app', 'slimfaas-sidecar'];

/** SIGKILL for all of it; it does not come back before the returned release. */
function killForGood(pod: string): () => void {
  const releases = CONTAINERS.map((container) => world.system.failures.crash(container));
  world.system.failures.killPod(NAMESPACE, pod);
  return () => releases.forEach((release) => release());
}

const nameOf = (pod: { metadata: { name: string } } | undefined) => pod?.metadata.name ?? '';

function isReady(pod: { [field: string]: unknown } | undefined): boolean {
  const status = pod?.['status'] as { conditions?: { type: string; status: string }[] } | undefined;
  return status?.conditions?.some(({ type, status: is }) => type === 'Ready' && is === 'True') ?? false;
}

test('behaviour 14: one of two pods is killed -9 while it is called: all 200, by the other one', async () => {
  await world.deploy({ name: 'pair', annotations: { ReplicasMin: 2 }, replicas: 2 });
  await world.waitForReady('pair', 2);
  const [victim, other] = world.pods('pair').map(nameOf);
  const seen = new Set<string>();
  const client = async (until: () => boolean) => {
    do seen.add((await world.work('pair', 5)).pod);
    while (!until());
  };
  await Promise.all([1, 2, 3, 4].map(() => client(() => seen.size === 2)));
  // The proxy is not told: until it tries to connect, it counts on the pod.
  world.system.failures.setAway(true);
  const release = killForGood(victim ?? '');
  seen.clear();
  let left = 200;
  await Promise.all(Array.from({ length: 8 }, () => client(() => --left <= 0)));
  world.system.failures.setAway(false);
  release();
  assert.deepEqual([...seen], [other], 'only it can answer, and nobody heard of the first');
  await world.waitForReady('pair', 2);
});

test('behaviour 14: the only pod is killed -9: its callers wait in the queue, and get 200 when it is back', async () => {
  await world.deploy({ name: 'only', annotations: { ReplicasMin: 1 }, replicas: 1 });
  await world.waitForReady('only', 1);
  assert.equal((await world.call('only', '/hello/x')).status, 200);
  const release = killForGood(nameOf(world.pods('only')[0]));
  const calls = Array.from({ length: 20 }, (_, i) => world.call('only', `/hello/${i}`));
  await waitFor(async () => (await world.waiting('only')) === 20, { what: 'all wait' });
  release();
  assert.deepEqual(new Set((await Promise.all(calls)).map(({ status }) => status)), new Set([200]));
});

test('a sidecar that restarts alone: its pod takes calls and jobs again', async () => {
  const name = 'resumed';
  await world.deploy({ name, annotations: { ReplicasMin: 1, NumberParallelRequest: 4 }, replicas: 1 });
  await world.waitForReady(name, 1);
  assert.equal((await world.call(name, '/hello/x')).status, 200);
  const [pod] = world.pods(name);
  const sidecars = new Set(processesWith('\0sidecar\0'));
  const pid = processesWith(`SLIMFAAS_POD_NAME=${nameOf(pod)}`).find((it) => sidecars.has(it));
  process.kill(pid ?? NaN, 'SIGTERM'); // as the kubelet does over a failed liveness probe
  const statuses = () => world.pods(name)[0]?.['status'].containerStatuses as { restartCount: number }[];
  await waitFor(() => statuses().some(({ restartCount }) => restartCount === 1), { what: 'it has ended' });
  await world.waitForReady(name, 1);
  assert.equal((await world.call(name, '/hello/again')).status, 200);
  const posted = await fetch(`${world.system.proxyUrl}/async-function/${name}/hello/job`, { method: 'POST' });
  const id = posted.headers.get('slimfaas-element-id');
  const job = await fetch(`${world.system.proxyUrl}/async-function-job/${name}/${id}`, {
    headers: { Prefer: 'wait=60' },
  });
  assert.equal(((await job.json()) as { state: string }).state, 'done');
});

test('behaviour 15: the pod is ready and its app refuses connections: tried again, 200, also for a POST', async () => {
  await world.deploy({ name: 'deaf', annotations: { ReplicasMin: 1 }, replicas: 1, readinessProbe: null });
  await world.waitForReady('deaf', 1);
  const [pod] = world.pods('deaf');
  assert.equal((await world.call('deaf', '/hello/x')).status, 200);
  const release = world.system.failures.crash('app');
  world.system.failures.killPod(NAMESPACE, nameOf(pod), 'app');
  const calls = [
    world.call('deaf', '/hello/x'),
    world.call('deaf', '/echo/x', { method: 'POST', body: 'once' }),
  ];
  const retries = async () => {
    const metrics = await fetch(`http://${pod?.['status'].podIP}:15081/metrics`);
    const [, count] = /slimfaas_sidecar_retries_total\{[^}]*\} (\d+)/.exec(await metrics.text()) ?? [];
    return Number(count ?? 0);
  };
  await waitFor(async () => (await retries()) + (await world.waiting('deaf')) >= 2, {
    what: 'both try again',
  });
  release();
  const [got, posted] = await Promise.all(calls);
  assert.deepEqual([got?.status, posted?.status], [200, 200]);
  assert.equal((JSON.parse(posted?.body ?? '') as { body: string }).body, 'once');
});

test('Kubernetes sees a pod ready only much later: it is called as soon as its sidecar says so', async () => {
  await world.deploy({ name: 'late' });
  const release = world.system.failures.slowReadiness(60_000);
  assert.equal((await world.call('late', '/hello/x')).status, 200);
  assert.equal(isReady(world.pods('late')[0]), false);
  release();
});

test('behaviour 36: a sidecar is stopped and its reports with it: missing data never scales down', async () => {
  await world.deploy({
    name: 'silent',
    annotations: { ReplicasAtStart: 2, TimeoutSecondBeforeSetReplicasMin: 2 },
  });
  await fetch(`${world.system.proxyUrl}/wake-function/silent`, { method: 'POST' });
  await world.waitForReady('silent', 2);
  const victim = nameOf(world.pods('silent')[0]);
  const stopped = processesWith(`SLIMFAAS_POD_NAME=${victim}`);
  assert.equal(stopped.length, 1, 'the sidecar, and not the app');
  for (const pid of stopped) process.kill(pid, 'SIGSTOP');
  // New scalers have heard of neither pod; the other one will say that it is idle, this one says nothing.
  for (const pod of scalers()) world.system.failures.killPod(NAMESPACE, nameOf(pod));
  const headers = operatorHeaders(world.system);
  const reasons = async () =>
    Promise.all(
      scalers().map(async (pod) => {
        const url = `http://${pod['status'].podIP}:5001/functions/${NAMESPACE}/silent`;
        const view = await fetch(url, { headers });
        return ((await view.json()) as { reason: string }).reason;
      }),
    );
  const isHeld = async () =>
    (await reasons()).every((reason) => reason.startsWith(`${victim} has not reported`));
  await waitFor(isHeld, { what: 'both scalers miss its report, and only its', timeoutMs: 40_000 });
  await staysTrue(() => world.replicas('silent') === 2, { what: 'two replicas', forMs: 4_000 });
  for (const pid of stopped) process.kill(pid, 'SIGCONT');
  await world.waitForReplicas('silent', 0, 40_000);
});

function scalers() {
  return world.system.api.list('pods', {
    namespace: NAMESPACE,
    labelSelector: 'app.kubernetes.io/component=scaler',
  });
}
