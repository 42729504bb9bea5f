/**
 * ReplicaSets: as many active pods as asked for. It reads the store itself and keeps no cache, so it needs
 * none of the "expectations" by which the real controller protects itself from its own stale cache.
 */
import { isDeepStrictEqual } from 'node:util';
import { describeError } from '../../../../common/runtime/errors.ts';
import type { ClusterApi, KubeObject } from '../../api/objects/types.ts';
import type { KubeEventRecorder } from '../events.ts';
import {
  conditionOf,
  isActive,
  isOwnedBy,
  isPodReady,
  msUntilAvailable,
  splitKey,
  timeText,
  withoutEmpty,
  type Condition,
} from './objects.ts';
import { followOwners } from './owner-watch.ts';
import { compareForDeletion, podFromTemplate } from './pods.ts';
import { createWorkqueue, type Workqueue } from '../workqueue.ts';
import type { ControllerContext } from '../context.ts';

export function startReplicaSets({ api, events, log, now }: ControllerContext): Workqueue {
  const queue = createWorkqueue('replicaset', (key) => reconcile(key), log);
  const reconcile = async (key: string) => {
    const { namespace, name } = splitKey(key);
    const set = api.get('replicasets', namespace, name);
    if (!set || set.metadata.deletionTimestamp !== undefined) return;
    let failure: unknown;
    try {
      await manage(api, events, set);
    } catch (error) {
      failure = error;
    }
    const nextLookMs = await writeStatus(api, set, failure, now());
    if (nextLookMs > 0) queue.addAfter(key, nextLookMs);
    if (failure !== undefined) throw failure;
  };
  return followOwners(api, queue, { resource: 'replicasets', kind: 'ReplicaSet' });
}

function podsOf(api: ClusterApi, set: KubeObject): KubeObject[] {
  const pods = api.list('pods', { namespace: set.metadata.namespace ?? '' });
  return pods.filter((pod) => isOwnedBy(pod, set));
}

async function manage(api: ClusterApi, events: KubeEventRecorder, set: KubeObject): Promise<void> {
  const active = podsOf(api, set).filter(isActive);
  const missing = ((set.spec.replicas as number | undefined) ?? 1) - active.length;
  if (missing > 0) return createPods(api, events, set, missing);
  const surplus = active.toSorted(compareForDeletion).slice(0, -missing);
  await Promise.all(
    surplus.map(async (pod) => {
      const { name, uid } = pod.metadata;
      await api.delete('pods', set.metadata.namespace, name, { uid });
      events.normal(set, 'SuccessfulDelete', `Deleted pod: ${name}`);
    }),
  );
}

/** Batches of 1, 2, 4 …: if the quota or the webhook refuses the first, a thousand others are not tried. */
async function createPods(
  api: ClusterApi,
  events: KubeEventRecorder,
  set: KubeObject,
  count: number,
): Promise<void> {
  const create = async () => {
    const pod = podFromTemplate(set, { generateName: `${set.metadata.name}-` });
    const created = await api.create('pods', pod);
    events.normal(set, 'SuccessfulCreate', `Created pod: ${created.metadata.name}`);
  };
  for (let left = count, batch = 1; left > 0; left -= batch, batch = Math.min(left, batch * 2)) {
    const results = await Promise.allSettled(Array.from({ length: batch }, create));
    const failed = results.find((result) => result.status === 'rejected');
    if (!failed) continue;
    events.warning(set, 'FailedCreate', `Error creating: ${describeError(failed.reason)}`);
    throw failed.reason;
  }
}

/** Returns the milliseconds after which a ready pod will have become available; 0: none is on its way. */
async function writeStatus(api: ClusterApi, set: KubeObject, failure: unknown, now: number): Promise<number> {
  const active = podsOf(api, set).filter(isActive);
  const minReadySeconds = (set.spec.minReadySeconds as number | undefined) ?? 0;
  const waits = active.map((pod) => msUntilAvailable(pod, minReadySeconds, now));
  const counts = withoutEmpty({
    fullyLabeledReplicas: active.length,
    readyReplicas: active.filter(isPodReady).length,
    availableReplicas: waits.filter((wait) => wait === 0).length,
    observedGeneration: set.metadata.generation ?? 0,
  });
  await api.modify(
    'replicasets',
    set.metadata.namespace,
    set.metadata.name,
    (draft) => {
      const conditions = failureCondition(draft, failure, now);
      const status = { replicas: active.length, ...counts, ...(conditions ? { conditions } : {}) };
      if (isDeepStrictEqual(status, draft.status)) return false;
      draft.status = status;
      return undefined;
    },
    'status',
  );
  const pending = waits.filter((wait) => wait > 0 && wait < Infinity);
  return pending.length === 0 ? 0 : Math.min(...pending);
}

/** Said once and kept while it lasts: the message names the pod that was tried, so it differs at each try. */
function failureCondition(set: KubeObject, failure: unknown, now: number): Condition[] | undefined {
  if (failure === undefined) return undefined;
  const before = conditionOf(set, 'ReplicaFailure');
  if (before) return [before];
  return [
    {
      type: 'ReplicaFailure',
      status: 'True',
      lastTransitionTime: timeText(now),
      reason: 'FailedCreate',
      message: describeError(failure),
    },
  ];
}
