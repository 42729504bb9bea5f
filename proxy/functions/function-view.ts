/**
 * A function as the proxy sees it: an annotated Deployment or StatefulSet, or pods that are annotated
 * themselves and that nobody scales.
 */
import type { AnnotationFault, FunctionSpec } from '../../common/function/spec.ts';
import type { V1Deployment, V1StatefulSet } from '../../common/kube/client.ts';
import { functionOfWorkload } from '../../common/kube/model/function-info.ts';
import type { PodOwner } from '../../common/kube/model/ownership.ts';
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
}

/** Undefined for a workload that has not opted in. */
export function viewWorkload(
  kind: 'Deployment' | 'StatefulSet',
  workload: V1Deployment | V1StatefulSet,
): FunctionView | undefined {
  const info = functionOfWorkload(kind, workload);
  if (!info) return undefined;
  const failure = workload.status?.conditions?.find(
    (c) => c.type === 'ReplicaFailure' && c.status === 'True',
  );
  return {
    id: info.id,
    kind,
    owner: { kind, id: info.id },
    spec: info.spec,
    createdAtMs: info.createdAtMs,
    faults: info.faults,
    noSidecar: info.noSidecar,
    replicas: info.replicas,
    blocked: failure && (failure.message ?? failure.reason ?? 'ReplicaFailure'),
  };
}

/** Undefined while none of them is there. One that has ended, as a Job's pod does, is nobody's function any more. */
export function viewBarePods(owner: PodOwner, all: readonly PodView[]): FunctionView | undefined {
  const pods = all.filter((pod) => !pod.isEnded);
  const spec = pods.find((pod) => pod.spec)?.spec;
  if (!spec) return undefined;
  const unknown = { noSidecar: undefined, blocked: undefined, createdAtMs: Number.MAX_SAFE_INTEGER };
  return { id: owner.id, kind: 'Pod', owner, spec, faults: [], replicas: pods.length, ...unknown };
}
