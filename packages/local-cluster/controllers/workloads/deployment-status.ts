/**
 * A Deployment's status, as `kubectl rollout status` and `kubectl wait` read it. Pure.
 */
import type { KubeObject } from '../../api/objects/types.ts';
import { conditionOf, timeText, withoutEmpty, type Condition } from './objects.ts';
import { rollingLimits } from './rolling.ts';

export interface SetCounts {
  readonly replicas: number;
  readonly ready: number;
  readonly available: number;
}

export function countsOf(set: KubeObject | undefined): SetCounts {
  const status = set?.status as Record<string, number | undefined> | undefined;
  return {
    replicas: status?.['replicas'] ?? 0,
    ready: status?.['readyReplicas'] ?? 0,
    available: status?.['availableReplicas'] ?? 0,
  };
}

export interface StatusInput {
  readonly deployment: KubeObject;
  readonly newSet: KubeObject | undefined;
  readonly oldSets: readonly KubeObject[];
  readonly now: number;
}

export function deploymentStatus({ deployment, newSet, oldSets, now }: StatusInput): Record<string, unknown> {
  const sets = newSet ? [newSet, ...oldSets] : oldSets;
  const total = sets.map(countsOf).reduce(
    (sum, counts) => ({
      replicas: sum.replicas + counts.replicas,
      ready: sum.ready + counts.ready,
      available: sum.available + counts.available,
    }),
    { replicas: 0, ready: 0, available: 0 },
  );
  const specified = sets.reduce((sum, set) => sum + ((set.spec.replicas as number | undefined) ?? 0), 0);
  const updated = countsOf(newSet).replicas;
  const counts = {
    observedGeneration: deployment.metadata.generation ?? 0,
    replicas: total.replicas,
    updatedReplicas: updated,
    readyReplicas: total.ready,
    availableReplicas: total.available,
    unavailableReplicas: Math.max(0, specified - total.available),
  };
  const wanted = wantedReplicas(deployment);
  const isComplete = updated === wanted && total.replicas === wanted && total.available === wanted;
  const conditions = [
    available(deployment, total.available, now),
    progressing(deployment, { newSet, isComplete, counts, now }),
    replicaFailure(deployment, sets, now),
  ].filter((condition) => condition !== undefined);
  return { ...withoutEmpty(counts), conditions };
}

export function wantedReplicas(deployment: KubeObject): number {
  return (deployment.spec.replicas as number | undefined) ?? 1;
}

function available(deployment: KubeObject, count: number, now: number): Condition {
  const wanted = wantedReplicas(deployment);
  const limits = rollingLimits(wanted, deployment.spec.strategy?.rollingUpdate);
  const isAvailable = count >= wanted - limits.maxUnavailable;
  return settle(deployment, now, {
    type: 'Available',
    status: isAvailable ? 'True' : 'False',
    reason: isAvailable ? 'MinimumReplicasAvailable' : 'MinimumReplicasUnavailable',
    message: isAvailable
      ? 'Deployment has minimum availability.'
      : 'Deployment does not have minimum availability.',
  });
}

interface Progress {
  readonly newSet: KubeObject | undefined;
  readonly isComplete: boolean;
  readonly counts: { updatedReplicas: number; readyReplicas: number; availableReplicas: number };
  readonly now: number;
}

function progressing(deployment: KubeObject, progress: Progress): Condition | undefined {
  const { newSet, isComplete, counts, now } = progress;
  if (!newSet) return conditionOf(deployment, 'Progressing');
  const name = newSet.metadata.name;
  const before = conditionOf(deployment, 'Progressing');
  const say = (status: Condition['status'], reason: string, message: string) =>
    settle(deployment, now, { type: 'Progressing', status, reason, message });
  if (isComplete)
    return say('True', 'NewReplicaSetAvailable', `ReplicaSet "${name}" has successfully progressed.`);
  // A finished rollout that merely lost or gained pods stays finished.
  const isSettled = before?.reason === 'NewReplicaSetAvailable' && before.message?.includes(`"${name}"`);
  if (isSettled) return before;
  const deadlineMs = ((deployment.spec.progressDeadlineSeconds as number | undefined) ?? 600) * 1000;
  const hasMoved = hasProgressed(deployment, counts) || before === undefined;
  const since = Date.parse(before?.lastUpdateTime ?? '') || now;
  if (!hasMoved && now - since >= deadlineMs)
    return say('False', 'ProgressDeadlineExceeded', `ReplicaSet "${name}" has timed out progressing.`);
  const progressing = say('True', 'ReplicaSetUpdated', `ReplicaSet "${name}" is progressing.`);
  return hasMoved ? { ...progressing, lastUpdateTime: timeText(now) } : progressing;
}

function hasProgressed(deployment: KubeObject, counts: Progress['counts']): boolean {
  const before = (deployment.status ?? {}) as Record<string, number | undefined>;
  return (
    counts.updatedReplicas > (before['updatedReplicas'] ?? 0) ||
    counts.readyReplicas > (before['readyReplicas'] ?? 0) ||
    counts.availableReplicas > (before['availableReplicas'] ?? 0)
  );
}

function replicaFailure(
  deployment: KubeObject,
  sets: readonly KubeObject[],
  now: number,
): Condition | undefined {
  const failed = sets.map((set) => conditionOf(set, 'ReplicaFailure')).find((c) => c?.status === 'True');
  if (!failed) return undefined;
  return settle(deployment, now, {
    type: 'ReplicaFailure',
    status: 'True',
    reason: failed.reason ?? 'FailedCreate',
    message: failed.message ?? '',
  });
}

/** Times change only with what they tell of, so that an unchanged status is an equal one. */
function settle(deployment: KubeObject, now: number, next: Condition): Condition {
  const before = conditionOf(deployment, next.type);
  const at = timeText(now);
  const isSame = before?.status === next.status && before.reason === next.reason;
  return {
    ...next,
    lastUpdateTime: isSame ? (before.lastUpdateTime ?? at) : at,
    lastTransitionTime: before?.status === next.status ? (before.lastTransitionTime ?? at) : at,
  };
}
