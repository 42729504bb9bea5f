/**
 * Deleting: pods gracefully, objects with finalizers in two steps, everything else at once. Dependents are the
 * garbage collector's business, except with `Orphan`, where they are released here before their owner goes;
 * `Foreground` is treated as `Background`.
 */
import { conflict, notFound } from './api-errors.ts';
import { KINDS } from './kinds.ts';
import type { Kind } from './kinds.ts';
import { timestamp } from './defaults.ts';
import type { Store } from './store.ts';
import type { KubeObject } from './types.ts';

export interface DeleteOptions {
  readonly gracePeriodSeconds?: number;
  readonly preconditions?: { readonly uid?: string; readonly resourceVersion?: string };
  readonly propagationPolicy?: string;
  /** The older name of `propagationPolicy: Orphan`. */
  readonly orphanDependents?: boolean;
  readonly isDryRun?: boolean;
}

export interface DeleteTarget {
  readonly kind: Kind;
  readonly namespace: string | undefined;
  readonly name: string;
}

/** The object as it is now, or as it last was. */
export function deleteObject(store: Store, target: DeleteTarget, options: DeleteOptions): KubeObject {
  const { kind, namespace, name } = target;
  const current = store.get(kind.resource, namespace, name);
  if (current === undefined) throw notFound(kind, name);
  checkPreconditions(kind, current, options);
  if (options.isDryRun) return current;
  if (options.propagationPolicy === 'Orphan' || options.orphanDependents) releaseDependents(store, current);
  const grace = kind.resource === 'pods' ? podGrace(current, options) : 0;
  if (grace === 0 && !current.metadata.finalizers?.length) {
    return store.remove(kind.resource, namespace, name) ?? current;
  }
  return mark(store, target, { current, grace });
}

function checkPreconditions(kind: Kind, current: KubeObject, { preconditions }: DeleteOptions): void {
  const { name, uid, resourceVersion } = current.metadata;
  if (preconditions?.uid && preconditions.uid !== uid) {
    const why = `Precondition failed: UID in precondition: ${preconditions.uid}, UID in object meta: ${uid}`;
    throw conflict(kind, name, why);
  }
  if (preconditions?.resourceVersion && preconditions.resourceVersion !== resourceVersion) {
    throw conflict(kind, name);
  }
}

/** No kubelet would ever confirm the end of a pod that is on no node, or that has ended already. */
function podGrace(pod: KubeObject, { gracePeriodSeconds }: DeleteOptions): number {
  if (!pod.spec.nodeName || /^(Succeeded|Failed)$/.test(pod.status?.phase ?? '')) return 0;
  return Math.max(0, gracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds ?? 30);
}

/** A pod's grace can be shortened by deleting it again, never prolonged. */
function mark(
  store: Store,
  { kind }: DeleteTarget,
  { current, grace }: { current: KubeObject; grace: number },
) {
  const { deletionTimestamp, deletionGracePeriodSeconds = Infinity } = current.metadata;
  if (deletionTimestamp !== undefined && grace >= deletionGracePeriodSeconds) return current;
  const metadata = {
    ...current.metadata,
    deletionTimestamp: timestamp(Date.now() + grace * 1000),
    deletionGracePeriodSeconds: grace,
  };
  return store.put(kind.resource, { ...current, metadata });
}

/** Each is written by itself, so their controllers see them become free before the owner goes. */
function releaseDependents(store: Store, owner: KubeObject): void {
  const { uid, namespace } = owner.metadata;
  for (const { resource } of KINDS) {
    for (const object of store.list(resource, namespace)) {
      const references = object.metadata.ownerReferences ?? [];
      if (!references.some((reference) => reference.uid === uid)) continue;
      const ownerReferences = references.filter((reference) => reference.uid !== uid);
      store.put(resource, { ...object, metadata: { ...object.metadata, ownerReferences } });
    }
  }
}
