/**
 * The Eviction API: a delete that PodDisruptionBudgets may refuse. The budget is worked out at each eviction from the
 * pods themselves. A real cluster's disruption controller does it ahead of time and writes it to the budget's status,
 * which stays empty here.
 */
import { deleteObject } from '../objects/deletion.ts';
import type { DeleteOptions, DeleteTarget } from '../objects/deletion.ts';
import { ApiError, notFound, tooManyRequests } from '../objects/api-errors.ts';
import { compileLabelSelector } from '../objects/selectors.ts';
import type { Store } from '../objects/store.ts';
import type { KubeObject } from '../objects/types.ts';

export function evictPod(store: Store, target: DeleteTarget, options: DeleteOptions): void {
  const pod = store.get('pods', target.namespace, target.name);
  if (pod === undefined) throw notFound(target.kind, target.name);
  const isEnding = /^(Succeeded|Failed|Pending)$/.test(pod.status?.phase) || pod.metadata.deletionTimestamp;
  if (!isEnding) checkBudgets(store, pod);
  deleteObject(store, target, options);
}

function checkBudgets(store: Store, pod: KubeObject): void {
  const { namespace } = pod.metadata;
  const budgets = store.list('poddisruptionbudgets', namespace).filter((budget) => selects(budget, pod));
  if (budgets.length > 1) {
    const why =
      'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.';
    throw new ApiError(500, 'InternalError', why);
  }
  const [budget] = budgets;
  if (budget === undefined) return;
  const pods = store.list('pods', namespace).filter((other) => selects(budget, other));
  const healthy = pods.filter(isHealthy).length;
  const desired = desiredHealthy(budget, expectedPods(store, pods));
  // An unhealthy pod may go as long as the budget is met without it.
  if (isHealthy(pod) ? healthy > desired : healthy >= desired) return;
  const message = `The disruption budget ${budget.metadata.name} needs ${desired} healthy pods and has ${healthy} currently`;
  throw tooManyRequests("Cannot evict pod as it would violate the pod's disruption budget.", [
    { reason: 'DisruptionBudget', field: '', message },
  ]);
}

function selects(budget: KubeObject, { metadata }: KubeObject): boolean {
  return compileLabelSelector(budget.spec.selector ?? {})(metadata.labels ?? {});
}

/** A pod that is ending counts as gone: two evictions at once must not both pass for the first. */
function isHealthy({ metadata, status }: KubeObject): boolean {
  const conditions = (status?.conditions ?? []) as { type: string; status: string }[];
  const isReady = conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
  return isReady && metadata.deletionTimestamp === undefined;
}

/** What the pods' owners want to have; a pod without a known owner counts itself. */
function expectedPods(store: Store, pods: readonly KubeObject[]): number {
  const owners = new Map<string, number>();
  for (const { metadata } of pods) {
    const owner = metadata.ownerReferences?.find((reference) => reference.controller);
    const resource = `${owner?.kind.toLowerCase()}s`;
    const workload = owner && store.get(resource, metadata.namespace, owner.name);
    owners.set(workload?.metadata.uid ?? metadata.uid, workload?.spec.replicas ?? 1);
  }
  return [...owners.values()].reduce((sum, replicas) => sum + replicas, 0);
}

/** 3 pods and maxUnavailable 50 %: 2 may be away (rounded up), so 1 must be healthy. */
function desiredHealthy(budget: KubeObject, expected: number): number {
  const { minAvailable, maxUnavailable } = budget.spec as Record<string, number | string | undefined>;
  if (maxUnavailable !== undefined) return Math.max(0, expected - countOf(maxUnavailable, expected));
  return countOf(minAvailable ?? 1, expected);
}

/** Percentages are rounded up, in favour of availability for minAvailable, of progress for maxUnavailable. */
function countOf(value: number | string, expected: number): number {
  if (typeof value === 'number') return value;
  return value.endsWith('%') ? Math.ceil((Number.parseFloat(value) / 100) * expected) : Number(value);
}
