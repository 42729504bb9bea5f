/** Following a resource with the real client library, against the local API server. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { CoreV1Api, type KubernetesObject, type V1Pod } from '@kubernetes/client-node';
import { inPages, keepIdentity, type PageRequest } from '../../../common/kube/lists.ts';
import { createObjectFailures } from '../../../common/kube/object-failures.ts';
import { watchResource } from '../../../common/kube/watched.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { createRegistry } from '../../../common/runtime/metrics.ts';
import { configFor, podManifest, startLocalApi } from '../../helpers/local-api.ts';
import { recordingLog } from '../../helpers/recording-log.ts';
import { waitFor } from '../../helpers/wait.ts';

const OWNER = { apiVersion: 'apps/v1', kind: 'ReplicaSet', name: 'rs', uid: 'u', controller: true };

test('a list longer than a page is heard whole, and nothing is kept of an object but who it is', async (t) => {
  const server = await startLocalApi((release) => t.after(release));
  const create = (i: number) => {
    const metadata = {
      labels: { app: 'a' },
      annotations: { big: 'x'.repeat(100) },
      ownerReferences: [OWNER],
    };
    return server.api.create('pods', podManifest(`p-${i}`, { metadata }));
  };
  for (let i = 0; i < 1_201; i++) await create(i);
  const config = configFor(server);
  const core = config.makeApiClient(CoreV1Api);
  const pages: PageRequest[] = [];
  const seen = new Map<string, { containers: number; object: V1Pod }>();
  const gone: V1Pod[] = [];
  const watched = watchResource<V1Pod>(
    config,
    (page) => {
      pages.push(page);
      return core.listNamespacedPod({ namespace: 'default', ...page });
    },
    {
      onSet: (pod) =>
        void seen.set(pod.metadata?.name ?? '', {
          containers: pod.spec?.containers.length ?? 0,
          object: pod,
        }),
      onDelete: (pod) => void gone.push(pod),
    },
    { path: '/api/v1/namespaces/default/pods', log: silentLog },
  );
  t.after(() => watched.stop());
  await waitFor(() => watched.isSynced, { what: 'listed' });
  assert.equal(seen.size, 1_201);
  assert.deepEqual(
    pages.map(({ limit, _continue }) => [limit, _continue !== undefined]),
    [
      [500, false],
      [500, true],
      [500, true],
    ],
  );
  await create(1_201);
  await waitFor(() => seen.size === 1_202, { what: 'the watch goes on where the list ended' });
  for (const { containers, object } of seen.values()) {
    assert.equal(containers, 1, 'a handler sees the whole object');
    assert.deepEqual(Object.keys(object), ['metadata']);
    assert.deepEqual(Object.keys(object.metadata ?? {}).toSorted(), [
      'labels',
      'name',
      'namespace',
      'ownerReferences',
      'resourceVersion',
      'uid',
    ]);
  }
  // Deleted while the watch is blind: only the next list tells, from what the informer has kept.
  server.failures.setAway(true);
  await waitFor(() => !watched.isSynced, { what: 'the watch is broken' });
  await server.api.delete('pods', 'default', 'p-7', { gracePeriodSeconds: 0 });
  server.failures.expireWatches();
  server.failures.setAway(false);
  await waitFor(() => gone.length > 0, { what: 'the deletion is noticed' });
  assert.deepEqual(
    gone.map(({ metadata }) => metadata?.name),
    ['p-7'],
  );
  assert.equal(gone[0]?.metadata?.ownerReferences?.[0]?.name, 'rs');
  assert.deepEqual(gone[0]?.metadata?.labels, { app: 'a' });
});

test('a selector of a resource holds for its list and for its watch', async (t) => {
  const server = await startLocalApi((release) => t.after(release));
  const create = (name: string, labels: Record<string, string>) =>
    server.api.create('pods', podManifest(name, { metadata: { labels } }));
  await create('ours', { app: 'a' });
  await create('other', { app: 'b' });
  const config = configFor(server);
  const core = config.makeApiClient(CoreV1Api);
  const pages: PageRequest[] = [];
  const seen = new Set<string>();
  const watched = watchResource<V1Pod>(
    config,
    (page) => {
      pages.push(page);
      return core.listNamespacedPod({ namespace: 'default', ...page });
    },
    { onSet: ({ metadata }) => void seen.add(metadata?.name ?? ''), onDelete: () => undefined },
    { path: '/api/v1/namespaces/default/pods', labelSelector: 'app=a', log: silentLog },
  );
  t.after(() => watched.stop());
  await waitFor(() => watched.isSynced, { what: 'listed' });
  await create('other-2', { app: 'b' });
  await create('ours-2', { app: 'a' });
  await waitFor(() => seen.has('ours-2'), { what: 'the watch goes on' });
  assert.deepEqual([...seen], ['ours', 'ours-2']);
  assert.deepEqual(pages, [{ labelSelector: 'app=a', limit: 500 }]);
});

test('an object that a handler throws at costs itself alone, in the list and in the watch', async (t) => {
  const server = await startLocalApi((release) => t.after(release));
  const create = (name: string) => server.api.create('pods', podManifest(name));
  for (const name of ['a', 'bad-1', 'c']) await create(name);
  const config = configFor(server);
  const core = config.makeApiClient(CoreV1Api);
  const registry = createRegistry('test', '0');
  const { log, lines } = recordingLog();
  const seen: string[] = [];
  const gone: string[] = [];
  const refuse = (name = '') => {
    if (name.startsWith('bad')) throw new RangeError('Maximum call stack size exceeded');
    return name;
  };
  const watched = watchResource<V1Pod>(
    config,
    (page) => core.listNamespacedPod({ namespace: 'default', ...page }),
    {
      onSet: ({ metadata }) => void seen.push(refuse(metadata?.name)),
      onDelete: ({ metadata }) => void gone.push(refuse(metadata?.name)),
    },
    { path: '/api/v1/namespaces/default/pods', log, onFailed: createObjectFailures(registry, log) },
  );
  t.after(() => watched.stop());
  await waitFor(() => watched.isSynced, { what: 'listed' });
  for (const name of ['bad-2', 'e']) await create(name);
  await waitFor(() => seen.includes('e'), { what: 'the watch goes on after the bad one' });
  for (const name of ['bad-1', 'a'])
    await server.api.delete('pods', 'default', name, { gracePeriodSeconds: 0 });
  await waitFor(() => gone.length === 1, { what: 'and so do deletions' });
  assert.deepEqual(seen.filter((name) => !name.startsWith('bad')).toSorted(), ['a', 'c', 'e'].toSorted());
  assert.match(await registry.metrics(), /slimfaas_object_failures_total\{resource="pods"[^}]*\} [345]/);
  const told = lines.filter(({ message }) => message === 'this object cannot be handled');
  assert.deepEqual(told.map(({ fields }) => fields['name']).toSorted(), ['bad-1', 'bad-2']);
});

test('pages end with the last one, and who wrote a field is dropped', async () => {
  const page = (name: string, next?: string) => ({
    metadata: { resourceVersion: '9', ...(next ? { _continue: next } : {}) },
    items: [{ metadata: { name, managedFields: [{ manager: 'kubectl' }] } }],
  });
  const asked: (string | undefined)[] = [];
  const list = await inPages<KubernetesObject>(async ({ _continue }) => {
    asked.push(_continue);
    return _continue === undefined ? page('a', 'more') : page('b');
  })();
  assert.deepEqual(asked, [undefined, 'more']);
  assert.deepEqual(list.items, [{ metadata: { name: 'a' } }, { metadata: { name: 'b' } }]);
  assert.equal(list.metadata?.resourceVersion, '9');
});

test('identity is what is left, and only what was there', () => {
  const pod = { kind: 'Pod', metadata: { name: 'p', annotations: { a: 'b' } }, spec: {}, status: {} };
  keepIdentity(pod);
  assert.deepEqual(pod, { metadata: { name: 'p' } });
});
