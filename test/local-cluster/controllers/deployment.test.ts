/** Deployments and ReplicaSets with real pods: rollouts within their limits, undo, who goes first, refusals. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { ClusterApi, KubeObject } from '../../../packages/local-cluster/api/objects/types.ts';
import { startTestCluster } from '../../helpers/cluster.ts';
import { kubectl } from '../../helpers/kubectl.ts';
import { waitFor } from '../../helpers/wait.ts';
import { eventsAbout, idle, isReady } from '../support/pods.ts';

const cluster = await startTestCluster({ backoffBaseMs: 50 });
after(() => cluster.stop());
const { api } = cluster;

function deploymentOf(name: string, spec: object, pod: object = {}): KubeObject {
  const labels = { app: name };
  const template = { metadata: { labels }, spec: { containers: [idle()], ...pod } };
  const metadata = { name, namespace: 'default' } as KubeObject['metadata'];
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata,
    spec: { selector: { matchLabels: labels }, template, ...spec },
  };
}

/** Another template: a variable with this value. */
async function setVersion(name: string, value: string): Promise<void> {
  await api.modify('deployments', 'default', name, (draft) => {
    draft['spec'].template.spec.containers[0].env = [{ name: 'VERSION', value }];
  });
}

const get = (name: string) => api.get('deployments', 'default', name) as KubeObject;
const podsOf = (name: string) => api.list('pods', { namespace: 'default', labelSelector: `app=${name}` });
const isEnding = (pod: KubeObject) => pod.metadata.deletionTimestamp !== undefined;
const setsOf = (name: string) =>
  api.list('replicasets').filter((set) => set.metadata.name.startsWith(`${name}-`));

function isRolledOut(name: string): boolean {
  const { metadata, spec, status = {} } = get(name) as KubeObject & { status?: Record<string, number> };
  const { observedGeneration, updatedReplicas = 0, availableReplicas = 0, replicas = 0 } = status;
  return (
    observedGeneration === metadata.generation &&
    [updatedReplicas, availableReplicas, replicas].every((n) => n === spec.replicas)
  );
}

async function untilRolledOut(name: string): Promise<void> {
  await waitFor(() => isRolledOut(name), { what: `${name} is rolled out`, timeoutMs: 20_000 });
}

/** The most pods and the fewest ready ones at any moment, those that are ending apart. */
function recordPods(watched: ClusterApi, name: string) {
  const pods = new Map<string, KubeObject>();
  const seen = { most: 0, fewestReady: Infinity };
  let isRecording = false;
  const stop = watched.watch('pods', (type, pod) => {
    if (pod.metadata.labels?.['app'] !== name) return;
    if (type === 'DELETED' || isEnding(pod)) pods.delete(pod.metadata.uid);
    else pods.set(pod.metadata.uid, pod);
    if (!isRecording) return;
    seen.most = Math.max(seen.most, pods.size);
    seen.fewestReady = Math.min(seen.fewestReady, [...pods.values()].filter(isReady).length);
  });
  isRecording = true;
  return { seen, stop };
}

async function run(...args: string[]): Promise<string> {
  const { code, stdout, stderr } = await kubectl(cluster.kubeconfigPath, args);
  assert.equal(code, 0, `kubectl ${args.join(' ')}: ${stderr}`);
  return stdout;
}

describe('deployments', { concurrency: true }, () => {
  for (const [maxSurge, maxUnavailable, most, fewest] of [
    [1, 0, 5, 4],
    [0, 1, 4, 3],
    ['50%', '25%', 6, 3],
  ] as const) {
    test(`a rollout with surge ${maxSurge} and unavailable ${maxUnavailable} keeps both at every moment`, async () => {
      const name = `roll-${String(maxSurge).replace('%', 'p')}-${String(maxUnavailable).replace('%', 'p')}`;
      const strategy = { type: 'RollingUpdate', rollingUpdate: { maxSurge, maxUnavailable } };
      await api.create('deployments', deploymentOf(name, { replicas: 4, strategy }));
      await untilRolledOut(name);
      const { seen, stop } = recordPods(api, name);
      await setVersion(name, '2');
      await waitFor(() => setsOf(name).length === 2, { what: 'a second ReplicaSet' });
      await untilRolledOut(name);
      stop();
      assert.ok(seen.most <= most, `${seen.most} pods at once, allowed ${most}`);
      assert.ok(seen.fewestReady >= fewest, `${seen.fewestReady} ready, wanted ${fewest}`);
      assert.ok(podsOf(name).every((pod) => isEnding(pod) || pod['spec'].containers[0].env[0].value === '2'));
    });
  }

  test('a new version that never becomes ready stops the rollout; the old pods stay', async () => {
    await api.create('deployments', deploymentOf('stuck', { replicas: 2 }));
    await untilRolledOut('stuck');
    await api.modify('deployments', 'default', 'stuck', (draft) => {
      const readinessProbe = { exec: { command: ['false'] }, periodSeconds: 1 };
      Object.assign(draft['spec'].template.spec.containers[0], { readinessProbe });
    });
    await waitFor(() => get('stuck')['status'].updatedReplicas === 1, { what: 'a new pod' });
    await waitFor(
      () =>
        podsOf('stuck').some((pod) =>
          eventsAbout(api, pod.metadata.name).some((e) => e.startsWith('Unhealthy')),
        ),
      { what: 'it is not ready' },
    );
    assert.equal(podsOf('stuck').filter((pod) => isReady(pod) && !isEnding(pod)).length, 2);
    assert.equal(get('stuck')['status'].updatedReplicas, 1);
  });

  test('Recreate: no new pod before the last old one is gone', async () => {
    await api.create(
      'deployments',
      deploymentOf('recreated', { replicas: 3, strategy: { type: 'Recreate' } }),
    );
    await untilRolledOut('recreated');
    const versions = new Map<string, string | undefined>();
    const mixes: string[] = [];
    const stop = api.watch('pods', (type, pod) => {
      if (pod.metadata.labels?.['app'] !== 'recreated') return;
      if (type === 'DELETED') versions.delete(pod.metadata.uid);
      else versions.set(pod.metadata.uid, pod['spec'].containers[0].env?.[0].value);
      if (new Set(versions.values()).size > 1) mixes.push(pod.metadata.name);
    });
    await setVersion('recreated', '2');
    await waitFor(() => setsOf('recreated').length === 2, { what: 'a second ReplicaSet' });
    await untilRolledOut('recreated');
    stop();
    assert.deepEqual(mixes, []);
  });

  test('kubectl rollout: status, history, undo brings the old ReplicaSet back as a new revision', async () => {
    await api.create('deployments', deploymentOf('undone', { replicas: 2 }));
    await untilRolledOut('undone');
    await setVersion('undone', '2');
    assert.match(
      await run('rollout', 'status', 'deployment/undone', '--timeout=20s'),
      /successfully rolled out/,
    );
    const revisions = () =>
      setsOf('undone')
        .map((set) => [
          set['spec'].template.spec.containers[0].env?.[0].value ?? '1',
          set.metadata.annotations?.['deployment.kubernetes.io/revision'],
        ])
        .toSorted();
    assert.deepEqual(revisions(), [
      ['1', '1'],
      ['2', '2'],
    ]);
    await run('rollout', 'undo', 'deployment/undone');
    await run('rollout', 'status', 'deployment/undone', '--timeout=20s');
    assert.deepEqual(
      revisions(),
      [
        ['1', '3'],
        ['2', '2'],
      ],
      'no third ReplicaSet',
    );
    assert.equal(get('undone').metadata.annotations?.['deployment.kubernetes.io/revision'], '3');
    assert.match(await run('rollout', 'history', 'deployment/undone'), /^3 /m);
  });

  test('paused: a new template waits, replicas are followed', async () => {
    await api.create('deployments', deploymentOf('paused', { replicas: 1 }));
    await untilRolledOut('paused');
    await run('rollout', 'pause', 'deployment/paused');
    await setVersion('paused', '2');
    await run('scale', 'deployment/paused', '--replicas=2');
    await waitFor(() => podsOf('paused').filter(isReady).length === 2, { what: 'two pods' });
    assert.equal(setsOf('paused').length, 1);
    await run('rollout', 'resume', 'deployment/paused');
    await waitFor(() => setsOf('paused').length === 2, { what: 'the rollout begins' });
    await untilRolledOut('paused');
  });

  test('only revisionHistoryLimit old ReplicaSets are kept', async () => {
    await api.create('deployments', deploymentOf('kept', { replicas: 0, revisionHistoryLimit: 1 }));
    for (const version of ['2', '3', '4']) {
      await waitFor(() => isRolledOut('kept'), { what: 'settled' });
      await setVersion('kept', version);
      await waitFor(
        () =>
          setsOf('kept').some((set) => set['spec'].template.spec.containers[0].env?.[0].value === version),
        { what: `version ${version}` },
      );
    }
    await waitFor(() => setsOf('kept').length === 2, { what: 'the oldest are gone' });
  });

  test('a pod that is deleted or fails is replaced', async () => {
    await api.create('deployments', deploymentOf('replaced', { replicas: 1 }));
    await untilRolledOut('replaced');
    const [pod] = podsOf('replaced');
    await api.delete('pods', 'default', pod?.metadata.name ?? '');
    await waitFor(
      () => podsOf('replaced').some((other) => isReady(other) && other.metadata.uid !== pod?.metadata.uid),
      { what: 'another one' },
    );
    assert.ok(
      eventsAbout(api, setsOf('replaced')[0]?.metadata.name ?? '').some((e) =>
        e.startsWith('SuccessfulCreate: Created pod: replaced-'),
      ),
    );
  });

  test('a scale-down gives up first what does not run', async () => {
    await api.create('deployments', deploymentOf('shrunk', { replicas: 3 }));
    await untilRolledOut('shrunk');
    const release = cluster.failures.unschedulable((pod) => pod.metadata.labels?.['app'] === 'shrunk');
    await run('scale', 'deployment/shrunk', '--replicas=5');
    await waitFor(() => podsOf('shrunk').length === 5, { what: 'two that cannot run' });
    await run('scale', 'deployment/shrunk', '--replicas=3');
    await waitFor(() => podsOf('shrunk').length === 3, { what: 'three are left' });
    release();
    assert.ok(podsOf('shrunk').every((pod) => isReady(pod) && !isEnding(pod)));
  });

  test('a quota: as many pods as it allows, ReplicaFailure and FailedCreate say why, and it ends with the quota', async () => {
    await cluster.apply(`
apiVersion: v1
kind: Namespace
metadata: { name: tight }
---
apiVersion: v1
kind: ResourceQuota
metadata: { name: pods, namespace: tight }
spec: { hard: { pods: '1' } }`);
    const deployment = deploymentOf('quota', { replicas: 3 });
    deployment.metadata.namespace = 'tight';
    await api.create('deployments', deployment);
    const messages = new Set<string>();
    const stop = api.watch('replicasets', (_, { metadata, status }) => {
      const found = status?.conditions?.[0]?.message as string | undefined;
      if (metadata.namespace === 'tight' && found) messages.add(found);
    });
    const status = () => api.get('deployments', 'tight', 'quota')?.['status'];
    const failure = () => status()?.conditions?.find((c: { type: string }) => c.type === 'ReplicaFailure');
    await waitFor(() => failure()?.status === 'True' && status().readyReplicas === 1, {
      what: 'the failure is shown',
    });
    assert.equal(failure().reason, 'FailedCreate');
    assert.match(failure().message, /exceeded quota: pods/);
    const event = api.list('events', { namespace: 'tight' }).find(({ reason }) => reason === 'FailedCreate');
    assert.match(event?.['message'], /^Error creating: .*exceeded quota/);
    const tries = () =>
      api.list('events', { namespace: 'tight' }).filter(({ reason }) => reason === 'FailedCreate').length;
    const before = tries();
    await waitFor(() => tries() > before, { what: 'it is tried again' });
    stop();
    assert.equal(messages.size, 1, 'a new try is no new status, or each would cause the next');
    await api.delete('resourcequotas', 'tight', 'pods');
    await waitFor(() => status().readyReplicas === 3 && failure() === undefined, {
      what: 'all run',
      timeoutMs: 20_000,
    });
  });

  test('deleting a Deployment takes its ReplicaSets and pods along', async () => {
    await api.create('deployments', deploymentOf('owner', { replicas: 2 }));
    await untilRolledOut('owner');
    await api.delete('deployments', 'default', 'owner');
    await waitFor(() => setsOf('owner').length + podsOf('owner').length === 0, { what: 'all is gone' });
  });
});
