/**
 * Garbage: what belonged to a deleted owner, and whatever lay in a deleted namespace. An object whose owner never
 * existed (or was replaced by a namesake) goes as well. Background deletion only.
 */
import { kindOf } from '../api/objects/kinds.ts';
import type { ClusterApi, KubeObject } from '../api/objects/types.ts';
import type { Running } from '../../../common/runtime/lifecycle.ts';
import type { ControllerContext } from './context.ts';
import { createWorkqueue } from './workqueue.ts';

/** What can be owned here, and what can own. */
const OWNED = [
  'replicasets',
  'pods',
  'endpointslices',
  'endpoints',
  'persistentvolumeclaims',
  'secrets',
  'configmaps',
  'controllerrevisions',
];
const OWNERS: Readonly<Record<string, string>> = {
  Deployment: 'deployments',
  ReplicaSet: 'replicasets',
  StatefulSet: 'statefulsets',
  Service: 'services',
  Pod: 'pods',
};
const IN_NAMESPACE = [
  'deployments',
  'daemonsets',
  'cronjobs',
  'jobs',
  'statefulsets',
  'services',
  'serviceaccounts',
  'leases',
  'horizontalpodautoscalers',
  'poddisruptionbudgets',
  'resourcequotas',
  'networkpolicies',
  'roles',
  'rolebindings',
  ...OWNED,
  'events',
];

export function startGarbageCollector({ api, log }: ControllerContext): Running {
  /** Owner uid → `resource namespace/name` of what it owns. */
  const dependents = new Map<string, Set<string>>();
  const queue = createWorkqueue('garbage', (item) => collect(api, item), log);
  const unwatch = OWNED.map((resource) =>
    api.watch(resource, (type, object) => {
      const item = itemOf(resource, object);
      for (const { uid } of object.metadata.ownerReferences ?? []) {
        if (type === 'DELETED') dependents.get(uid)?.delete(item);
        else setOf(dependents, uid).add(item);
      }
      if (type === 'ADDED' && object.metadata.ownerReferences) queue.add(item);
    }),
  );
  for (const resource of Object.values(OWNERS)) {
    const release = api.watch(resource, (type, owner) => {
      if (type !== 'DELETED') return;
      for (const item of dependents.get(owner.metadata.uid) ?? []) queue.add(item);
      dependents.delete(owner.metadata.uid);
    });
    unwatch.push(release);
  }
  unwatch.push(
    api.watch('namespaces', (type, { metadata }) => {
      if (type !== 'DELETED') return;
      for (const resource of IN_NAMESPACE)
        for (const object of api.list(resource, { namespace: metadata.name }))
          void api.delete(resource, metadata.name, object.metadata.name).catch(() => undefined);
    }),
  );
  return {
    async stop() {
      for (const release of unwatch) release();
      await queue.stop();
    },
  };
}

function setOf(map: Map<string, Set<string>>, key: string): Set<string> {
  const found = map.get(key) ?? new Set<string>();
  map.set(key, found);
  return found;
}

function itemOf(resource: string, { metadata }: KubeObject): string {
  return `${resource} ${metadata.namespace ?? ''}/${metadata.name}`;
}

async function collect(api: ClusterApi, item: string): Promise<void> {
  const [, resource = '', namespace = '', name = ''] = /^(\S+) ([^/]*)\/(.*)$/.exec(item) ?? [];
  const object = api.get(resource, namespace, name);
  const references = object?.metadata.ownerReferences ?? [];
  if (!object || object.metadata.deletionTimestamp !== undefined || references.length === 0) return;
  const isOwned = references.some(({ kind, name: owner, uid }) => {
    const ownerResource = OWNERS[kind];
    if (ownerResource === undefined) return true; // not ours to judge
    const ownerNamespace = kindOf(ownerResource).isNamespaced ? namespace : undefined;
    return api.get(ownerResource, ownerNamespace, owner)?.metadata.uid === uid;
  });
  if (!isOwned) await api.delete(resource, namespace, name, { uid: object.metadata.uid });
}
