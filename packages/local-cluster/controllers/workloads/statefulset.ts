/**
 * StatefulSets: pods with stable names and their own volume claims. They come one after the other (OrderedReady) or
 * all at once (Parallel). A rolling update goes from the highest ordinal down to the partition. Claims outlive pods
 * and set. What it gives up: ControllerRevision objects, so no `kubectl rollout undo`, and a pod below the partition
 * that has to be made again gets the current template.
 */
import { isDeepStrictEqual } from 'node:util';
import type { ClusterApi, KubeObject } from '../../api/objects/types.ts';
import type { ControllerContext } from '../context.ts';
import {
  isActive,
  isOwnedBy,
  isPodReady,
  isTerminal,
  msUntilAvailable,
  splitKey,
  withoutEmpty,
} from './objects.ts';
import { followOwners } from './owner-watch.ts';
import { podFromTemplate, templateHash } from './pods.ts';
import { createWorkqueue, type Workqueue } from '../workqueue.ts';

const REVISION_LABEL = 'controller-revision-hash';

export function startStatefulSets(context: ControllerContext): Workqueue {
  const { api, log } = context;
  const queue = createWorkqueue('statefulset', (key) => reconcile(context, key, queue), log);
  return followOwners(api, queue, { resource: 'statefulsets', kind: 'StatefulSet' });
}

async function reconcile(context: ControllerContext, key: string, queue: Workqueue): Promise<void> {
  const { namespace, name } = splitKey(key);
  const set = context.api.get('statefulsets', namespace, name);
  if (!set || set.metadata.deletionTimestamp !== undefined) return;
  try {
    await step(context, set);
  } finally {
    await writeStatus(context, set);
  }
  const waits = podsOf(context.api, set).map((pod) => untilAvailable(set, pod, context.now()));
  const pending = waits.filter((wait) => wait > 0 && wait < Infinity);
  if (pending.length > 0) queue.addAfter(key, Math.min(...pending));
}

function podsOf(api: ClusterApi, set: KubeObject): KubeObject[] {
  const pods = api.list('pods', { namespace: set.metadata.namespace ?? '' });
  return pods.filter((pod) => isOwnedBy(pod, set));
}

function ordinalOf(pod: KubeObject): number {
  return Number(pod.metadata.name.slice(pod.metadata.name.lastIndexOf('-') + 1));
}

function wantedOrdinals(set: KubeObject): number[] {
  const start = (set.spec.ordinals?.start as number | undefined) ?? 0;
  const count = (set.spec.replicas as number | undefined) ?? 1;
  return Array.from({ length: count }, (_, i) => start + i);
}

function untilAvailable(set: KubeObject, pod: KubeObject, now: number): number {
  return isActive(pod)
    ? msUntilAvailable(pod, (set.spec.minReadySeconds as number | undefined) ?? 0, now)
    : Infinity;
}

/** One step towards what is wanted; the events that it causes bring the next one. */
async function step(context: ControllerContext, set: KubeObject): Promise<void> {
  const isOrdered = set.spec.podManagementPolicy !== 'Parallel';
  const pods = podsOf(context.api, set);
  const byOrdinal = new Map(pods.map((pod) => [ordinalOf(pod), pod]));
  const wanted = wantedOrdinals(set);
  for (const ordinal of wanted) {
    const pod = byOrdinal.get(ordinal);
    if (!pod) await createPod(context, set, ordinal);
    else if (isTerminal(pod) && pod.metadata.deletionTimestamp === undefined)
      await deletePod(context, set, pod);
    const isSettled = pod !== undefined && untilAvailable(set, pod, context.now()) === 0;
    if (isOrdered && !isSettled) return;
  }
  const condemned = pods
    .filter((pod) => !wanted.includes(ordinalOf(pod)))
    .toSorted((a, b) => ordinalOf(b) - ordinalOf(a));
  for (const pod of condemned) {
    if (pod.metadata.deletionTimestamp === undefined) await deletePod(context, set, pod);
    if (isOrdered) return;
  }
  await update(context, set, byOrdinal);
}

/** Highest ordinal first; the next one only when this one is back and available. */
async function update(
  context: ControllerContext,
  set: KubeObject,
  byOrdinal: ReadonlyMap<number, KubeObject>,
): Promise<void> {
  if (set.spec.updateStrategy?.type === 'OnDelete') return;
  const partition = (set.spec.updateStrategy?.rollingUpdate?.partition as number | undefined) ?? 0;
  const revision = revisionOf(set);
  for (const ordinal of wantedOrdinals(set).toReversed()) {
    if (ordinal < partition) return;
    const pod = byOrdinal.get(ordinal);
    if (!pod || !isActive(pod)) return;
    if (pod.metadata.labels?.[REVISION_LABEL] !== revision) return deletePod(context, set, pod);
    if (untilAvailable(set, pod, context.now()) > 0) return;
  }
}

function revisionOf(set: KubeObject): string {
  return `${set.metadata.name}-${templateHash(set.spec.template)}`;
}

async function createPod(
  { api, events }: ControllerContext,
  set: KubeObject,
  ordinal: number,
): Promise<void> {
  const name = `${set.metadata.name}-${ordinal}`;
  const pod = podFromTemplate(
    set,
    { name },
    {
      [REVISION_LABEL]: revisionOf(set),
      'statefulset.kubernetes.io/pod-name': name,
      'apps.kubernetes.io/pod-index': String(ordinal),
    },
  );
  const claims = (set.spec.volumeClaimTemplates ?? []) as KubeObject[];
  const volumes = await Promise.all(claims.map((claim) => ensureClaim(api, set, claim, name)));
  const spec = pod.spec as { volumes?: { name: string }[] };
  const own = new Set(volumes.map((volume) => volume.name));
  const others = (spec.volumes ?? []).filter((volume) => !own.has(volume.name));
  pod.spec = {
    ...spec,
    hostname: name,
    ...(set.spec.serviceName ? { subdomain: set.spec.serviceName as string } : {}),
    ...(others.length + volumes.length > 0 ? { volumes: [...others, ...volumes] } : {}),
  };
  try {
    await api.create('pods', pod);
    events.normal(
      set,
      'SuccessfulCreate',
      `create Pod ${name} in StatefulSet ${set.metadata.name} successful`,
    );
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    const what = `create Pod ${name} in StatefulSet ${set.metadata.name} failed error: ${why}`;
    events.warning(set, 'FailedCreate', what);
    throw error;
  }
}

async function ensureClaim(api: ClusterApi, set: KubeObject, claim: KubeObject, pod: string) {
  const name = `${claim.metadata.name}-${pod}`;
  const namespace = set.metadata.namespace;
  if (!api.get('persistentvolumeclaims', namespace, name)) {
    const labels = (set.spec.selector?.matchLabels ?? {}) as Record<string, string>;
    await api.create('persistentvolumeclaims', {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { ...claim.metadata, name, namespace, labels } as KubeObject['metadata'],
      spec: structuredClone(claim.spec),
    });
  }
  return { name: claim.metadata.name, persistentVolumeClaim: { claimName: name } };
}

async function deletePod(
  { api, events }: ControllerContext,
  set: KubeObject,
  pod: KubeObject,
): Promise<void> {
  const { name, uid } = pod.metadata;
  await api.delete('pods', set.metadata.namespace, name, { uid });
  const message = `delete Pod ${name} in StatefulSet ${set.metadata.name} successful`;
  events.normal(set, 'SuccessfulDelete', message);
}

async function writeStatus({ api, now }: ControllerContext, { metadata }: KubeObject): Promise<void> {
  await api.modify(
    'statefulsets',
    metadata.namespace,
    metadata.name,
    (draft) => {
      const status = statusOf(draft, podsOf(api, draft), now());
      if (isDeepStrictEqual(status, draft.status)) return false;
      draft.status = status;
      return undefined;
    },
    'status',
  );
}

function statusOf(set: KubeObject, pods: readonly KubeObject[], now: number): Record<string, unknown> {
  const updateRevision = revisionOf(set);
  const active = pods.filter(isActive);
  const updated = active.filter((pod) => pod.metadata.labels?.[REVISION_LABEL] === updateRevision).length;
  const ready = active.filter(isPodReady).length;
  const wanted = (set.spec.replicas as number | undefined) ?? 1;
  const before = set.status?.currentRevision as string | undefined;
  // The current revision moves on only when the last pod has moved and is ready.
  const isDone = updated === wanted && ready === wanted && active.length === wanted;
  const currentRevision = isDone || before === undefined ? updateRevision : before;
  const current = active.filter((pod) => pod.metadata.labels?.[REVISION_LABEL] === currentRevision).length;
  return {
    replicas: active.length,
    availableReplicas: active.filter((pod) => untilAvailable(set, pod, now) === 0).length,
    collisionCount: 0,
    currentRevision,
    updateRevision,
    ...withoutEmpty({
      observedGeneration: set.metadata.generation ?? 0,
      readyReplicas: ready,
      currentReplicas: current,
      updatedReplicas: updated,
    }),
  };
}
