/** StatefulSets, EndpointSlices, garbage: with real pods. */
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { KubeObject } from '../../../packages/local-cluster/api/objects/types.ts';
import { startTestCluster } from '../../helpers/cluster.ts';
import { waitFor } from '../../helpers/wait.ts';
import { idle, isReady, podOf, untilGone, untilReady } from '../support/pods.ts';

const cluster = await startTestCluster({ backoffBaseMs: 50 });
after(() => cluster.stop());
const { api } = cluster;

function setOf(name: string, spec: object, containers: object[] = [idle()]): KubeObject {
  const labels = { app: name };
  const template = { metadata: { labels }, spec: { containers } };
  const metadata = { name, namespace: 'default' } as KubeObject['metadata'];
  return {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata,
    spec: { serviceName: name, selector: { matchLabels: labels }, template, ...spec },
  };
}

const podsOf = (name: string) => api.list('pods', { namespace: 'default', labelSelector: `app=${name}` });
const namesOf = (name: string) =>
  podsOf(name)
    .map((pod) => pod.metadata.name)
    .toSorted();
const isSettled = (name: string, count: number) => () => {
  const pods = podsOf(name);
  return (
    pods.length === count &&
    pods.every(isReady) &&
    api.get('statefulsets', 'default', name)?.['status']?.readyReplicas === (count || undefined)
  );
};

/** Comings and goings of a set's pods, as `+name` and `-name`; and which were not ready as another one came. */
function recordPods(name: string, atEnd: (release: () => void) => void) {
  const seen: string[] = [];
  const early: string[] = [];
  const stop = api.watch('pods', (type, pod) => {
    if (pod.metadata.labels?.['app'] !== name || type === 'MODIFIED') return;
    seen.push(`${type === 'ADDED' ? '+' : '-'}${pod.metadata.name}`);
    const others = podsOf(name).filter((other) => other.metadata.uid !== pod.metadata.uid);
    if (type === 'ADDED' && !others.every(isReady)) early.push(pod.metadata.name);
  });
  atEnd(stop);
  return { seen, early };
}

async function scale(name: string, replicas: number): Promise<void> {
  await api.modify('statefulsets', 'default', name, (draft) => void (draft['spec'].replicas = replicas));
}

describe('statefulsets', { concurrency: true }, () => {
  test('stable names, one after the other, each ready before the next; down from the last', async (t) => {
    const { seen, early } = recordPods('ordered', (release) => t.after(release));
    await api.create('statefulsets', setOf('ordered', { replicas: 3 }));
    await waitFor(isSettled('ordered', 3), { what: 'three pods' });
    await scale('ordered', 0);
    await waitFor(isSettled('ordered', 0), { what: 'none' });
    assert.deepEqual(seen, [
      '+ordered-0',
      '+ordered-1',
      '+ordered-2',
      '-ordered-2',
      '-ordered-1',
      '-ordered-0',
    ]);
    assert.deepEqual(early, []);
  });

  test('Parallel waits for nobody', async () => {
    const release = cluster.failures.unschedulable((pod) => pod.metadata.labels?.['app'] === 'parallel');
    await api.create('statefulsets', setOf('parallel', { replicas: 3, podManagementPolicy: 'Parallel' }));
    await waitFor(() => podsOf('parallel').length === 3, { what: 'all are made though none runs' });
    release();
    await waitFor(isSettled('parallel', 3), { what: 'all run' });
  });

  test('a pod that is killed or deleted comes back under its name, with its claim', async () => {
    const claim = {
      metadata: { name: 'data' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
    };
    const container = {
      ...idle(),
      command: ['sh', '-c', 'echo run >> /data/runs; exec sleep 1000'],
      volumeMounts: [{ name: 'data', mountPath: '/data' }],
      readinessProbe: {
        exec: { command: ['sh', '-c', 'test $(wc -l < /data/runs) = "$(cat /data/runs | wc -l)"'] },
        periodSeconds: 1,
      },
    };
    await api.create(
      'statefulsets',
      setOf('kept', { replicas: 1, volumeClaimTemplates: [claim] }, [container]),
    );
    await waitFor(isSettled('kept', 1), { what: 'it runs' });
    const uid = podsOf('kept')[0]?.metadata.uid;
    await api.delete('pods', 'default', 'kept-0');
    await waitFor(() => isSettled('kept', 1)() && podsOf('kept')[0]?.metadata.uid !== uid, {
      what: 'another one',
    });
    assert.deepEqual(namesOf('kept'), ['kept-0']);
    assert.equal(podsOf('kept')[0]?.['spec'].hostname, 'kept-0');
    await api.delete('statefulsets', 'default', 'kept');
    await untilGone(api, 'kept-0');
    assert.equal(
      api.get('persistentvolumeclaims', 'default', 'data-kept-0')?.['status'].phase,
      'Bound',
      'claims outlive the set',
    );
  });

  test('an update goes from the last to the first, down to the partition', async (t) => {
    await api.create(
      'statefulsets',
      setOf('updated', {
        replicas: 3,
        updateStrategy: { type: 'RollingUpdate', rollingUpdate: { partition: 1 } },
      }),
    );
    await waitFor(isSettled('updated', 3), { what: 'three pods' });
    const { seen } = recordPods('updated', (release) => t.after(release));
    seen.length = 0;
    await api.modify('statefulsets', 'default', 'updated', (draft) => {
      draft['spec'].template.spec.containers[0].env = [{ name: 'VERSION', value: '2' }];
    });
    const status = () => api.get('statefulsets', 'default', 'updated')?.['status'];
    await waitFor(() => isSettled('updated', 3)() && status().updatedReplicas === 2, { what: 'two are new' });
    assert.deepEqual(seen, ['-updated-2', '+updated-2', '-updated-1', '+updated-1']);
    assert.notEqual(status().currentRevision, status().updateRevision);
  });
});

describe('endpoints and garbage', { concurrency: true }, () => {
  test('an EndpointSlice says who is ready, who is not, and who is ending', async () => {
    await cluster.apply(`
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { selector: { app: web }, ports: [{ name: http, port: 80, targetPort: web }] }`);
    const ports = [{ name: 'web', containerPort: 8080 }];
    const readinessProbe = { exec: { command: ['false'] }, periodSeconds: 1 };
    await api.create('pods', podOf('web-good', { containers: [idle('main', { ports })] }, { app: 'web' }));
    await api.create(
      'pods',
      podOf('web-bad', { containers: [idle('main', { ports, readinessProbe })] }, { app: 'web' }),
    );
    const lifecycle = { preStop: { exec: { command: ['sleep', '600'] } } };
    const slow = { containers: [idle('main', { ports, lifecycle })], terminationGracePeriodSeconds: 600 };
    await api.create('pods', podOf('web-ending', slow, { app: 'web' }));
    await untilReady(api, 'web-good');
    await untilReady(api, 'web-ending');
    await api.delete('pods', 'default', 'web-ending');
    const slice = () => api.list('endpointslices', { labelSelector: 'kubernetes.io/service-name=web' })[0];
    const conditions = () =>
      Object.fromEntries(
        ((slice()?.['endpoints'] ?? []) as { targetRef: { name: string }; conditions: object }[]).map(
          ({ targetRef, conditions }) => [targetRef.name, conditions],
        ),
      );
    const expected = {
      'web-good': { ready: true, serving: true, terminating: false },
      'web-bad': { ready: false, serving: false, terminating: false },
      'web-ending': { ready: false, serving: true, terminating: true },
    };
    await waitFor(() => assert.deepEqual(conditions(), expected) === undefined, {
      what: 'the slice is right',
    });
    assert.deepEqual(slice()?.['ports'], [{ name: 'http', port: 8080, protocol: 'TCP' }]);
    await api.delete('pods', 'default', 'web-ending', { gracePeriodSeconds: 0 });
    await api.delete('services', 'default', 'web');
    await waitFor(() => slice() === undefined && !api.get('endpoints', 'default', 'web'), {
      what: 'slice and endpoints go with the service',
    });
  });

  test('an object whose owner never was is collected; one with another owner left stays', async () => {
    const owner = await api.create('configmaps', {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      metadata: { name: 'parent', namespace: 'default' } as never,
    });
    const pod = await api.create('pods', podOf('parent', { containers: [idle()] }));
    const reference = (name: string, uid: string) => ({ apiVersion: 'v1', kind: 'Pod', name, uid });
    const child = (name: string, ownerReferences: object[]) =>
      api.create('configmaps', {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name, namespace: 'default', ownerReferences } as never,
      });
    await child('orphan', [reference('nobody', owner.metadata.uid)]);
    await child('halved', [reference('nobody', owner.metadata.uid), reference('parent', pod.metadata.uid)]);
    await waitFor(() => !api.get('configmaps', 'default', 'orphan'), { what: 'the orphan is gone' });
    assert.ok(api.get('configmaps', 'default', 'halved'));
    await api.delete('pods', 'default', 'parent');
    await waitFor(() => !api.get('configmaps', 'default', 'halved'), { what: 'the last owner has gone' });
  });

  test('a deleted namespace takes everything along', async () => {
    await cluster.apply(`
apiVersion: v1
kind: Namespace
metadata: { name: brief }
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: app, namespace: brief }
spec:
  replicas: 2
  selector: { matchLabels: { app: app } }
  template:
    metadata: { labels: { app: app } }
    spec: { containers: [{ name: main, image: none, command: [sleep, '1000'] }] }`);
    await waitFor(() => api.list('pods', { namespace: 'brief' }).filter(isReady).length === 2, {
      what: 'it runs',
    });
    await api.delete('namespaces', undefined, 'brief');
    const left = () =>
      ['deployments', 'replicasets', 'pods'].flatMap((resource) =>
        api.list(resource, { namespace: 'brief' }),
      );
    await waitFor(() => left().length === 0, { what: 'nothing is left' });
  });
});
