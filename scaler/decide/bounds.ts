/**
 * How many pods a function can use at all. ReplicaMax is set by the user. NumberParallelRequest is a limit over all
 * pods, so a pod beyond it would never be given a request. With a limit of 3, a fourth pod has a share of 0.
 * ReplicasMin is not bounded by it: a user that asks for idle replicas gets them.
 */
import type { FunctionSpec } from '../../common/function/spec.ts';

/** The most replicas that any rule but ReplicasMin may ask for. */
export function mostReplicas(spec: FunctionSpec): number {
  return Math.max(1, Math.min(spec.scale?.replicaMax ?? Infinity, spec.parallelLimit ?? Infinity));
}

/** Clamps to [ReplicasMin, mostReplicas]; where they contradict each other ReplicaMax wins. */
export function clampReplicas(spec: FunctionSpec, wanted: number): number {
  const atLeast = Math.max(wanted, spec.replicasMin);
  const atMost = Math.max(mostReplicas(spec), spec.replicasMin);
  return Math.min(atLeast, atMost, spec.scale?.replicaMax ?? Infinity);
}

/**
 * Pods that `work` requests fill, with NumberParallelRequest 40 and 10 per pod at most 4 of them. A function that
 * sets neither SlimFaas/Scale nor NumberParallelRequest has not asked to grow: 0.
 */
export function podsForWork(spec: FunctionSpec, work: number): number {
  if (!mayGrow(spec)) return 0;
  const usable = Math.min(work, spec.parallelLimit ?? Infinity);
  return Math.ceil(usable / spec.parallelPerPod);
}

export function mayGrow(spec: FunctionSpec): boolean {
  return spec.scale !== undefined || spec.parallelLimit !== undefined;
}
