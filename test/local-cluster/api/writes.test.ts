/** Creating, changing and deleting over HTTPS: versions, conflicts, subresources, graceful deletes, evictions. */
// oxlint-disable unicorn/consistent-function-scoping -- helpers stand beside the tests that use them
import assert from 'node:assert/strict';
import { after, describe, test } from 'node:test';
import type { KubeObject } from '../../../packages/local-cluster/api/objects/types.ts';
import { call, deploymentManifest, podManifest, startLocalApi } from '../../helpers/local-api.ts';

const server = await startLocalApi(after);
const { api } = server;
const DEPLOYMENTS = '/apis/apps/v1/namespaces/default/deployments';
const PODS = '/api/v1/namespaces/default/pods';
const MERGE = 'application/merge-patch+json';

let count = 0;
/** A name that no other test of this file has. */
function fresh(): string {
  count += 1;
  return `web-${count}`;
}

async function deployed(spec: object = {}): Promise<KubeObject> {
  return api.create('deployments', deploymentManifest(fresh(), spec));
}

describe('create', () => {
  test('fills in what the server owns', async () => {
    const { status, body } = await call(server, DEPLOYMENTS, {
      method: 'POST',
      body: deploymentManifest(fresh()),
    });
    assert.equal(status, 201);
    assert.match(body.metadata.uid, /^[0-9a-f-]{36}$/);
    assert.match(body.metadata.creationTimestamp, /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    assert.ok(Number(body.metadata.resourceVersion) > 0);
    assert.equal(body.metadata.generation, 1);
    assert.equal(body.spec.replicas, 1);
  });

  test('generateName makes names that differ', async () => {
    const make = () => api.create('pods', podManifest('', { metadata: { generateName: 'job-' } }));
    const [first, second] = [await make(), await make()];
    assert.match(first.metadata.name, /^job-[a-z0-9]{5}$/);
    assert.notEqual(first.metadata.name, second.metadata.name);
  });

  test("ignores a creator's status and system fields", async () => {
    const body = { ...podManifest(fresh()), status: { phase: 'Running' } };
    Object.assign(body.metadata, { uid: 'mine', deletionTimestamp: '2020-01-01T00:00:00Z' });
    const made = (await call(server, PODS, { method: 'POST', body })).body;
    assert.deepEqual(made.status, { phase: 'Pending', qosClass: 'BestEffort' });
    assert.notEqual(made.metadata.uid, 'mine');
    assert.equal(made.metadata.deletionTimestamp, undefined);
  });

  const refused: [what: string, path: string, body: unknown, status: number, message: RegExp][] = [
    [
      'into a namespace that is not there',
      '/api/v1/namespaces/gone/pods',
      podManifest('a', { metadata: { namespace: 'gone' } }),
      404,
      /namespaces "gone" not found/,
    ],
    [
      'into another namespace than the URL says',
      PODS,
      podManifest('a', { metadata: { namespace: 'kube-system' } }),
      400,
      /does not match the namespace/,
    ],
    [
      'of another kind than the URL says',
      PODS,
      deploymentManifest('a'),
      400,
      /is a Deployment, but the URL is of kind Pod/,
    ],
    [
      'with a resourceVersion',
      PODS,
      podManifest('a', { metadata: { resourceVersion: '5' } }),
      400,
      /resourceVersion should not be set/,
    ],
    [
      'with an account that is not there',
      PODS,
      podManifest('a', { spec: { serviceAccountName: 'ghost' } }),
      403,
      /serviceaccount "ghost" not found/,
    ],
    [
      'of something malformed',
      PODS,
      podManifest('a', { spec: { containers: [] } }),
      422,
      /spec\.containers: Required value/,
    ],
    ['of nothing', PODS, '', 400, /must have an object/],
    ['of broken JSON', PODS, '{', 400, /cannot be read/],
    [
      'at a kind that is not there',
      '/api/v1/namespaces/default/pads',
      {},
      404,
      /could not find the requested resource/,
    ],
    ['in all namespaces at once', '/api/v1/pods', podManifest('a'), 405, /does not allow this method/],
  ];
  for (const [what, path, body, status, message] of refused) {
    test(`${what} is ${status}, as a Status`, async () => {
      const answer = await call(server, path, { method: 'POST', body });
      assert.equal(answer.status, status, JSON.stringify(answer.body));
      assert.equal(answer.body.kind, 'Status');
      assert.equal(answer.body.code, status);
      assert.match(answer.body.message, message);
    });
  }

  test('the same name twice is 409 AlreadyExists', async () => {
    const body = podManifest(fresh());
    await call(server, PODS, { method: 'POST', body });
    const again = await call(server, PODS, { method: 'POST', body });
    assert.deepEqual([again.status, again.body.reason], [409, 'AlreadyExists']);
    assert.equal(again.body.details.name, body.metadata.name);
  });

  test('dryRun=All answers as if, and stores nothing', async () => {
    const body = podManifest(fresh());
    const answer = await call(server, `${PODS}?dryRun=All`, { method: 'POST', body });
    assert.equal(answer.status, 201);
    assert.equal(api.get('pods', 'default', body.metadata.name), undefined);
  });

  test('a body above 3 MiB is 413', async () => {
    const body = { kind: 'ConfigMap', metadata: { name: 'big' }, data: { x: 'x'.repeat(3.2e6) } };
    const answer = await call(server, '/api/v1/namespaces/default/configmaps', { method: 'POST', body });
    assert.equal(answer.status, 413);
  });

  test('YAML is read too', async () => {
    const body = 'kind: ConfigMap\nmetadata: {name: from-yaml}\ndata: {a: b}\n';
    const type = 'application/yaml';
    const answer = await call(server, '/api/v1/namespaces/default/configmaps', {
      method: 'POST',
      body,
      type,
    });
    assert.deepEqual([answer.status, answer.body.data], [201, { a: 'b' }]);
  });
});

describe('update', () => {
  test('a stale resourceVersion is 409 Conflict; without one the last write wins', async () => {
    const object = await deployed();
    const { name } = object.metadata;
    await api.modify('deployments', 'default', name, (draft) => void (draft.spec.replicas = 2));
    const stale = await call(server, `${DEPLOYMENTS}/${name}`, { method: 'PUT', body: object });
    assert.deepEqual([stale.status, stale.body.reason], [409, 'Conflict']);
    assert.match(
      stale.body.message,
      /the object has been modified; please apply your changes to the latest version/,
    );
    const { resourceVersion: _, ...metadata } = object.metadata;
    const blind = await call(server, `${DEPLOYMENTS}/${name}`, {
      method: 'PUT',
      body: { ...object, metadata },
    });
    assert.deepEqual([blind.status, blind.body.spec.replicas], [200, 1]);
  });

  test('another uid is 409, another name 400, nothing there 404', async () => {
    const object = await deployed();
    const path = `${DEPLOYMENTS}/${object.metadata.name}`;
    const put = async (metadata: object, at = path) => {
      const body = { ...object, metadata: { ...object.metadata, resourceVersion: '', ...metadata } };
      return (await call(server, at, { method: 'PUT', body })).status;
    };
    assert.equal(await put({ uid: 'x' }), 409);
    assert.equal(await put({ name: 'x' }), 400);
    assert.equal(await put({}, `${DEPLOYMENTS}/ghost`), 404);
  });

  test('generation counts changes of the spec only; a write that changes nothing makes no version', async () => {
    const { metadata } = await deployed();
    const patch = async (body: object) =>
      (await call(server, `${DEPLOYMENTS}/${metadata.name}`, { method: 'PATCH', type: MERGE, body })).body
        .metadata;
    const labelled = await patch({ metadata: { labels: { a: 'b' } } });
    assert.equal(labelled.generation, 1);
    const scaled = await patch({ spec: { replicas: 3 } });
    assert.equal(scaled.generation, 2);
    const same = await patch({ spec: { replicas: 3 } });
    assert.deepEqual([same.generation, same.resourceVersion], [2, scaled.resourceVersion]);
  });

  test('the status is written through its own door only, and the spec not through that', async () => {
    const { metadata } = await deployed();
    const path = `${DEPLOYMENTS}/${metadata.name}`;
    const body = { spec: { replicas: 7 }, status: { readyReplicas: 5 } };
    const plain = (await call(server, path, { method: 'PATCH', type: MERGE, body })).body;
    assert.deepEqual([plain.spec.replicas, plain.status], [7, {}]);
    const other = { spec: { replicas: 9 }, status: { readyReplicas: 6 } };
    const status = (await call(server, `${path}/status`, { method: 'PATCH', type: MERGE, body: other })).body;
    assert.deepEqual([status.spec.replicas, status.status], [7, { readyReplicas: 6 }]);
    assert.equal(status.metadata.generation, 2, 'a status is no new generation');
    assert.equal((await call(server, `${path}/status`)).body.status.readyReplicas, 6);
  });

  test('fifty patches at once are all applied', async () => {
    const { metadata } = await deployed();
    const path = `${DEPLOYMENTS}/${metadata.name}`;
    const patches = Array.from({ length: 50 }, (_, index) =>
      call(server, path, {
        method: 'PATCH',
        type: MERGE,
        body: { metadata: { labels: { [`l${index}`]: 'x' } } },
      }),
    );
    for (const { status } of await Promise.all(patches)) assert.equal(status, 200);
    const labels = Object.keys(api.get('deployments', 'default', metadata.name)?.metadata.labels ?? {});
    assert.equal(labels.length, 51);
  });

  test('a patch that names a stale resourceVersion is 409', async () => {
    const { metadata } = await deployed();
    const body = { metadata: { resourceVersion: '1', labels: { a: 'b' } } };
    const path = `${DEPLOYMENTS}/${metadata.name}`;
    assert.equal((await call(server, path, { method: 'PATCH', type: MERGE, body })).status, 409);
  });

  test('a patch that makes it malformed is 422, of an unknown type 415', async () => {
    const { metadata } = await deployed();
    const path = `${DEPLOYMENTS}/${metadata.name}`;
    const bad = await call(server, path, { method: 'PATCH', type: MERGE, body: { spec: { replicas: -1 } } });
    assert.deepEqual([bad.status, bad.body.reason], [422, 'Invalid']);
    assert.deepEqual(bad.body.details.causes[0].field, 'spec.replicas');
    assert.equal((await call(server, path, { method: 'PATCH', type: 'text/plain', body: '{}' })).status, 415);
  });
});

describe('scale', () => {
  test('shows and sets the replicas of a workload', async () => {
    const { metadata } = await deployed({ replicas: 2 });
    const path = `${DEPLOYMENTS}/${metadata.name}/scale`;
    const { body } = await call(server, path);
    assert.equal(body.kind, 'Scale');
    assert.deepEqual(body.spec, { replicas: 2 });
    assert.deepEqual(body.status, { replicas: 0, selector: `app=${metadata.name}` });
    const patched = await call(server, path, {
      method: 'PATCH',
      type: MERGE,
      body: { spec: { replicas: 0 } },
    });
    assert.deepEqual([patched.status, patched.body.spec], [200, {}], 'a count of 0 is left out');
    assert.equal(api.get('deployments', 'default', metadata.name)?.spec.replicas, 0);
    assert.equal(api.get('deployments', 'default', metadata.name)?.metadata.generation, 2);
  });

  test('a stale resourceVersion is 409 for PUT and PATCH: the fence against two leaders', async () => {
    const { metadata } = await deployed();
    const path = `${DEPLOYMENTS}/${metadata.name}/scale`;
    const stale = (await call(server, path)).body;
    await call(server, path, { method: 'PATCH', type: MERGE, body: { spec: { replicas: 4 } } });
    const put = await call(server, path, { method: 'PUT', body: { ...stale, spec: { replicas: 9 } } });
    assert.equal(put.status, 409);
    const body = { metadata: { resourceVersion: stale.metadata.resourceVersion }, spec: { replicas: 9 } };
    assert.equal((await call(server, path, { method: 'PATCH', type: MERGE, body })).status, 409);
    assert.equal(api.get('deployments', 'default', metadata.name)?.spec.replicas, 4);
  });

  test('refuses replicas that cannot be, and kinds that have none', async () => {
    const { metadata } = await deployed();
    const path = `${DEPLOYMENTS}/${metadata.name}/scale`;
    for (const replicas of [-1, 1.5, 'three']) {
      const answer = await call(server, path, { method: 'PATCH', type: MERGE, body: { spec: { replicas } } });
      assert.equal(answer.status, 422);
      assert.match(answer.body.message, /spec\.replicas: Invalid value: .*greater than or equal to 0/);
    }
    assert.equal((await call(server, '/api/v1/namespaces/default/services/x/scale')).status, 404);
    assert.equal((await call(server, `${DEPLOYMENTS}/ghost/scale`)).status, 404);
  });
});

describe('delete', () => {
  async function runningPod(spec: object = {}, metadata: object = {}): Promise<string> {
    const name = fresh();
    await api.create('pods', podManifest(name, { spec: { nodeName: 'n1', ...spec }, metadata }));
    await api.modify('pods', 'default', name, (draft) => void (draft.status.phase = 'Running'), 'status');
    return name;
  }
  const remove = (name: string, body?: object) => call(server, `${PODS}/${name}`, { method: 'DELETE', body });

  test('a running pod gets its time, shortened by a second delete, and goes with 0', async () => {
    const name = await runningPod({ terminationGracePeriodSeconds: 20 });
    const { status, body } = await remove(name);
    assert.equal(status, 200);
    assert.equal(body.metadata.deletionGracePeriodSeconds, 20);
    assert.ok(Date.parse(body.metadata.deletionTimestamp) > Date.now() + 15_000);
    const longer = (await remove(name, { gracePeriodSeconds: 60 })).body;
    assert.equal(longer.metadata.deletionGracePeriodSeconds, 20, 'never prolonged');
    const shorter = (await remove(name, { gracePeriodSeconds: 5 })).body;
    assert.equal(shorter.metadata.deletionGracePeriodSeconds, 5);
    const gone = await remove(name, { gracePeriodSeconds: 0 });
    assert.equal(gone.body.kind, 'Status');
    assert.equal((await remove(name)).status, 404);
  });

  test('a pod on no node, or one that has ended, goes at once', async () => {
    const waiting = fresh();
    await api.create('pods', podManifest(waiting));
    await remove(waiting);
    assert.equal(api.get('pods', 'default', waiting), undefined);
    const ended = await runningPod();
    await api.modify('pods', 'default', ended, (draft) => void (draft.status.phase = 'Succeeded'), 'status');
    await remove(ended);
    assert.equal(api.get('pods', 'default', ended), undefined);
  });

  test('preconditions: another uid or version is 409 and nothing happens', async () => {
    const name = await runningPod();
    for (const preconditions of [{ uid: 'x' }, { resourceVersion: '1' }]) {
      const answer = await remove(name, { preconditions });
      assert.deepEqual([answer.status, answer.body.reason], [409, 'Conflict']);
    }
    assert.equal(api.get('pods', 'default', name)?.metadata.deletionTimestamp, undefined);
  });

  test('finalizers hold an object until the last is taken away', async () => {
    const name = fresh();
    const metadata = { ...deploymentManifest(name).metadata, finalizers: ['a.b/c'] };
    await api.create('deployments', { ...deploymentManifest(name), metadata });
    const path = `${DEPLOYMENTS}/${name}`;
    const marked = (await call(server, path, { method: 'DELETE' })).body;
    assert.ok(marked.metadata.deletionTimestamp);
    assert.ok(api.get('deployments', 'default', name));
    await call(server, path, { method: 'PATCH', type: MERGE, body: { metadata: { finalizers: null } } });
    assert.equal(api.get('deployments', 'default', name), undefined);
  });

  test('Orphan releases the dependents first', async () => {
    const owner = await deployed();
    const { uid, name } = owner.metadata;
    const ownerReferences = [{ apiVersion: 'apps/v1', kind: 'Deployment', name, uid, controller: true }];
    const pod = await api.create('pods', podManifest(fresh(), { metadata: { ownerReferences } }));
    await call(server, `${DEPLOYMENTS}/${name}`, { method: 'DELETE', body: { propagationPolicy: 'Orphan' } });
    assert.equal(api.get('deployments', 'default', name), undefined);
    assert.deepEqual(api.get('pods', 'default', pod.metadata.name)?.metadata.ownerReferences, []);
  });

  test('a collection by selector', async () => {
    const make = (name: string, group: string) =>
      api.create('pods', podManifest(name, { metadata: { labels: { group } } }));
    for (const name of ['c-1', 'c-2']) await make(name, 'x');
    await make('c-3', 'y');
    const answer = await call(server, `${PODS}?labelSelector=group%3Dx`, { method: 'DELETE' });
    assert.equal(answer.body.items.length, 2);
    assert.deepEqual(
      api.list('pods', { labelSelector: 'group' }).map(({ metadata }) => metadata.name),
      ['c-3'],
    );
  });

  test('dryRun=All deletes nothing', async () => {
    const { metadata } = await deployed();
    await call(server, `${DEPLOYMENTS}/${metadata.name}?dryRun=All`, { method: 'DELETE' });
    assert.ok(api.get('deployments', 'default', metadata.name));
  });
});

describe('evictions and quota', () => {
  async function readyPods(namespace: string, replicas: number): Promise<void> {
    await api.create('namespaces', {
      kind: 'Namespace',
      metadata: { name: namespace } as KubeObject['metadata'],
    });
    const set = { ...deploymentManifest('set', { replicas }), kind: 'ReplicaSet', apiVersion: 'apps/v1' };
    const { metadata } = await api.create('replicasets', {
      ...set,
      metadata: { ...set.metadata, namespace },
    });
    const owner = {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      name: 'set',
      uid: metadata.uid,
      controller: true,
    };
    for (let index = 0; index < replicas; index += 1) {
      const name = `p-${index}`;
      const own = { namespace, labels: { app: 'set' }, ownerReferences: [owner] };
      await api.create('pods', podManifest(name, { metadata: own, spec: { nodeName: 'n1' } }));
      const conditions = [{ type: 'Ready', status: 'True' }];
      await api.modify(
        'pods',
        namespace,
        name,
        (d) => void (d.status = { phase: 'Running', conditions }),
        'status',
      );
    }
  }
  const evict = (namespace: string, name: string) =>
    call(server, `/api/v1/namespaces/${namespace}/pods/${name}/eviction`, {
      method: 'POST',
      body: { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace } },
    });
  const budget = (namespace: string, spec: object) =>
    api.create('poddisruptionbudgets', {
      kind: 'PodDisruptionBudget',
      metadata: { name: 'b', namespace } as KubeObject['metadata'],
      spec: { selector: { matchLabels: { app: 'set' } }, ...spec },
    });

  const budgets: [spec: object, replicas: number, evictable: number][] = [
    [{ minAvailable: 2 }, 3, 1],
    [{ minAvailable: '50%' }, 3, 1],
    [{ maxUnavailable: 1 }, 3, 1],
    [{ maxUnavailable: '50%' }, 3, 2],
    [{ maxUnavailable: 0 }, 2, 0],
    [{ minAvailable: 0 }, 2, 2],
  ];
  for (const [index, [spec, replicas, evictable]] of budgets.entries()) {
    test(`${JSON.stringify(spec)} of ${replicas} pods lets ${evictable} go, then 429`, async () => {
      const namespace = `evict-${index}`;
      await readyPods(namespace, replicas);
      await budget(namespace, spec);
      const statuses: number[] = [];
      for (let pod = 0; pod < replicas; pod += 1) statuses.push((await evict(namespace, `p-${pod}`)).status);
      const expected = Array.from({ length: replicas }, (_, pod) => (pod < evictable ? 201 : 429));
      assert.deepEqual(statuses, expected);
    });
  }

  test('a 429 says which budget, and an evicted pod ends gracefully', async () => {
    await readyPods('evict-x', 1);
    const evicted = await evict('evict-x', 'p-0');
    assert.equal(evicted.status, 201);
    assert.equal(api.get('pods', 'evict-x', 'p-0')?.metadata.deletionGracePeriodSeconds, 30);
    await readyPods('evict-y', 1);
    await budget('evict-y', { minAvailable: 1 });
    const refused = await evict('evict-y', 'p-0');
    assert.equal(refused.body.reason, 'TooManyRequests');
    assert.match(refused.body.details.causes[0].message, /budget b needs 1 healthy pods and has 1/);
    assert.equal((await evict('evict-y', 'ghost')).status, 404);
  });

  test('a quota of pods is 403 with the figures, and has room again when one ends', async () => {
    await api.create('namespaces', {
      kind: 'Namespace',
      metadata: { name: 'quota' } as KubeObject['metadata'],
    });
    await api.create('resourcequotas', {
      kind: 'ResourceQuota',
      metadata: { name: 'q', namespace: 'quota' } as KubeObject['metadata'],
      spec: { hard: { pods: '1' } },
    });
    const make = (name: string) => {
      const body = podManifest(name, { metadata: { namespace: 'quota' } });
      return call(server, '/api/v1/namespaces/quota/pods', { method: 'POST', body });
    };
    assert.equal((await make('a')).status, 201);
    const over = await make('b');
    assert.deepEqual([over.status, over.body.reason], [403, 'Forbidden']);
    assert.match(over.body.message, /exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1/);
    await api.modify('pods', 'quota', 'a', (draft) => void (draft.status.phase = 'Failed'), 'status');
    assert.equal((await make('b')).status, 201);
  });

  test('a restricted namespace refuses pods that are not, and says why', async () => {
    const labels = { 'pod-security.kubernetes.io/enforce': 'restricted' };
    const metadata = { name: 'safe', labels } as unknown as KubeObject['metadata'];
    await api.create('namespaces', { kind: 'Namespace', metadata });
    const make = (name: string, spec: object) => {
      const body = podManifest(name, { metadata: { namespace: 'safe' }, spec });
      return call(server, '/api/v1/namespaces/safe/pods', { method: 'POST', body });
    };
    const open = await make('open', {});
    assert.equal(open.status, 403);
    for (const part of ['allowPrivilegeEscalation', 'capabilities', 'runAsNonRoot', 'seccompProfile']) {
      assert.ok(open.body.message.includes(part), part);
    }
    const securityContext = { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } };
    const shut = await make('shut', {
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [{ name: 'a', image: 'a', securityContext }],
    });
    assert.equal(shut.status, 201, shut.body.message);
  });
});
