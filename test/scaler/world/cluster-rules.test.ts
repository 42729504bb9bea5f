/** What the cluster around a function means for it, against the real local API server, with the rights of the manifest. */
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseAllDocuments } from 'yaml';
import type { KubeObject } from '../../../packages/local-cluster/api/objects/types.ts';
import { recordingLog } from '../../helpers/recording-log.ts';
import { staysTrue, waitFor } from '../../helpers/wait.ts';
import { TestCluster } from '../support/test-cluster.ts';

const IDLE_0 = { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '0' };

/** The scaler's ServiceAccount, roles and bindings as users install them. */
async function installRights(cluster: TestCluster): Promise<void> {
  const path = join(import.meta.dirname, '../../../manifests/install.yaml');
  const documents = parseAllDocuments(readFileSync(path, 'utf8')).map((d) => d.toJSON() as KubeObject | null);
  const resources: Record<string, string> = {
    Namespace: 'namespaces',
    ServiceAccount: 'serviceaccounts',
    ClusterRole: 'clusterroles',
    ClusterRoleBinding: 'clusterrolebindings',
    Role: 'roles',
    RoleBinding: 'rolebindings',
  };
  for (const object of documents) {
    const resource = object && resources[object.kind];
    const isWanted = object?.kind === 'Namespace' || object?.metadata?.name === 'slimfaas-scaler';
    if (object && resource && isWanted) await cluster.api.api.create(resource, object);
  }
}

test('the rights in install.yaml are enough: lease, watches, patch, Event', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await installRights(cluster);
  await cluster.fn('fn');
  const user = 'system:serviceaccount:slimfaas:slimfaas-scaler';
  const api = { ...cluster.api, kubeconfig: () => cluster.api.kubeconfig(user) };
  const { scaler } = await cluster.scaler({ namespace: 'slimfaas' }, { api });
  cluster.wake('fn');
  await cluster.hasReplicas('fn', 1);
  await waitFor(() => cluster.events('fn').some(({ reason }) => reason === 'Wake'), { what: 'Wake event' });
  assert.equal(scaler.isLeader(), true);
  assert.ok(cluster.api.api.get('leases', 'slimfaas', 'slimfaas-scaler'));
});

test('behaviour 18: A depends on B depends on a database: up in that order', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('a', { 'SlimFaas/DependsOn': 'b' });
  await cluster.fn('b', { 'SlimFaas/DependsOn': 'db' });
  await cluster.fn('db');
  await cluster.scaler();
  const timer = setInterval(() => cluster.wake('a'), 1_000);
  t.after(() => clearInterval(timer));
  cluster.wake('a');
  await cluster.hasReplicas('db', 1);
  assert.deepEqual([cluster.replicasOf('a'), cluster.replicasOf('b')], [0, 0]);
  const startedMs = performance.now();
  await cluster.pod('db');
  await cluster.hasReplicas('b', 1);
  assert.equal(cluster.replicasOf('a'), 0);
  await cluster.pod('b');
  await cluster.hasReplicas('a', 1);
  t.diagnostic(`two steps of readiness took ${Math.round(performance.now() - startedMs)} ms`);
});

test('a HorizontalPodAutoscaler: woken to its minimum, left alone above, slept to zero', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn', { ...IDLE_0, 'SlimFaas/NumberParallelRequest': '100' });
  await cluster.api.api.create('horizontalpodautoscalers', {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'hpa', namespace: 'default' } as KubeObject['metadata'],
    spec: {
      scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: 'fn' },
      minReplicas: 2,
      maxReplicas: 9,
    },
  });
  const { url } = await cluster.scaler();
  const reason = async () =>
    ((await (await fetch(`${url}/functions/default/fn`)).json()) as { reason: string }).reason;
  cluster.wake('fn', 90);
  await cluster.hasReplicas('fn', 2);
  await cluster.api.api.modify('deployments', 'default', 'fn', (d) => void (d['spec'].replicas = 7));
  const pods: string[] = [];
  for (let i = 0; i < 7; i++) pods.push(await cluster.pod('fn'));
  const report = (runningNow: number) => {
    for (const pod of pods) cluster.report('fn', { pod, runningNow, running: runningNow });
  };
  report(1);
  await waitFor(async () => /HorizontalPodAutoscaler/.test(await reason()), {
    what: 'left to the autoscaler',
  });
  assert.equal(cluster.replicasOf('fn'), 7);
  report(0);
  await cluster.hasReplicas('fn', 0);
});

test('the API server goes away and comes back: a wake that came meanwhile is carried out', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn');
  const { log, line } = recordingLog();
  const { url } = await cluster.scaler({}, { log });
  cluster.api.failures.setAway(true);
  const timer = setInterval(() => cluster.wake('fn'), 200);
  t.after(() => clearInterval(timer));
  cluster.wake('fn');
  await waitFor(async () => (await fetch(`${url}/ready`)).status === 503, { what: 'the scaler has noticed' });
  assert.equal(cluster.replicasOf('fn'), 0);
  const watch = await line('watch broke; restarting');
  assert.equal(watch.level, 'warn');
  assert.match(String(watch.fields['path']), /^\/apis?\//, 'which of the watches');
  assert.match(String(watch.fields['error']), /ECONN|socket|fetch|network|abort/i);
  for (const message of ['lease not reached', 'scaling failed; trying again'])
    assert.match(String((await line(message)).fields['error']), /ECONN|socket|fetch|network|abort/i, message);
  cluster.api.failures.setAway(false);
  await cluster.hasReplicas('fn', 1, 15_000);
});

test('NATS goes away and comes back: nothing sleeps meanwhile, wakes are heard again', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('up', { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '4' }, 1);
  await cluster.fn('fn');
  const pod = await cluster.pod('up');
  const { log, line } = recordingLog();
  const { url, link } = await cluster.scaler({}, { log });
  const view = async () =>
    (await (await fetch(`${url}/functions/default/up`)).json()) as {
      reason: string;
      facts: { blind?: string };
    };
  // It has said that it is idle, so that but for NATS it would sleep 4 s later.
  cluster.report('up', { pod });
  await waitFor(async () => (await view()).facts.blind === undefined, { what: 'its report is heard' });
  await cluster.nats.kill();
  await waitFor(async () => (await view()).facts.blind === 'NATS is not connected: activity is unknown', {
    what: 'NATS is missed',
  });
  assert.deepEqual((await line('NATS lost')).fields, { servers: cluster.nats.url });
  await staysTrue(
    async () => cluster.replicasOf('up') === 1 && (await view()).reason === 'idle for 0 of 4 s',
    {
      what: 'it stays up, and its idle clock stands still',
      forMs: 4_500,
    },
  );
  await cluster.nats.restart();
  await waitFor(() => link.isConnected && cluster.link.isConnected, { what: 'connected again' });
  cluster.wake('fn');
  await cluster.hasReplicas('fn', 1);
  cluster.report('up', { pod });
  await cluster.hasReplicas('up', 0);
});

test('only the named namespaces are looked at', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn');
  const { url } = await cluster.scaler({ namespaces: ['elsewhere'] });
  assert.deepEqual(await (await fetch(`${url}/functions`)).json(), []);
});
