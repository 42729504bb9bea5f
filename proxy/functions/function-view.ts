/**
 * A function as the proxy sees it: an annotated Deployment or StatefulSet, or pods that are annotated
 * themselves and that nobody scales.
 */
import type { AnnotationFault, FunctionSpec } from '../../common/function/spec.ts';
import type { CanaryEnd } from '../../common/function/canary-end.ts';
import type { PodOwner } from '../../common/kube/model/ownership.ts';
import type { WorkloadModel } from '../../common/kube/model/workload.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { PodView } from '../pods/pod-view.ts';

export interface FunctionView {
  readonly id: FunctionId;
  readonly kind: 'Deployment' | 'StatefulSet' | 'Pod';
  /** Whose pods are this function's. */
  readonly owner: PodOwner;
  readonly spec: FunctionSpec;
  /** Bare pods come after all workloads. */
  readonly createdAtMs: number;
  readonly faults: readonly AnnotationFault[];
  /** Why its pods get no sidecar, as its workload says; undefined: they do, or nobody knows. */
  readonly noSidecar: string | undefined;
  readonly replicas: number;
  /** What Kubernetes says when it cannot create pods: quota, admission. */
  readonly blocked: string | undefined;
  /** This version of it gets no calls as a canary. */
  readonly canaryEnd?: CanaryEnd | undefined;
}

/**
 * Undefined for a workload that has not opted in.
 * @param trouble why its pods cannot be created, where an Event says it and not the workload
 */
export function viewWorkload(
  { fn, kind, id, replicas, canaryEnd, trouble: ofWorkload }: WorkloadModel,
  trouble = ofWorkload,
): FunctionView | undefined {
  if (!fn) return undefined;
  const { spec, createdAtMs, faults, noSidecar } = fn;
  const blocked = trouble?.message;
  const own = { id, kind, owner: { kind, id }, spec, createdAtMs, faults, noSidecar };
  return { ...own, replicas, blocked, canaryEnd };
}

/** Undefined while none of them is there. One that has ended, as a Job's pod does, is nobody's function any more. */
export function viewBarePods(owner: PodOwner, all: readonly PodView[]): FunctionView | undefined {
  const pods = all.filter((pod) => !pod.isEnded);
  const spec = pods.find((pod) => pod.spec)?.spec;
  if (!spec) return undefined;
  const unknown = { noSidecar: undefined, blocked: undefined, createdAtMs: Number.MAX_SAFE_INTEGER };
  return { id: owner.id, kind: 'Pod', owner, spec, faults: [], replicas: pods.length, ...unknown };
}
