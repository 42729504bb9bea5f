/**
 * From Kubernetes objects to what the decisions need of them: a few fields, so that ten thousand workloads fit
 * in memory as small records. Pure; the library is imported for its types only.
 */
import type { V1Deployment, V1Pod, V1StatefulSet } from '../../common/kube/client.ts';
import { firstContainerPort } from '../../common/kube/model/app-port.ts';
import { functionOfWorkload } from '../../common/kube/model/function-info.ts';
import { readPod } from '../../common/kube/model/pod.ts';
import type { Trouble } from '../../common/kube/model/trouble.ts';
import type { FunctionInfo, WorkloadKind } from '../../common/function/spec.ts';
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import { scrapeHint, type ScrapeHint } from './scrape-hint.ts';

export interface Workload {
  readonly key: string;
  readonly id: FunctionId;
  readonly kind: WorkloadKind;
  /** {@link ownerKeyOf} kind and key, made once: pods are looked up by it several times a tick. */
  readonly ownerKey: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly replicas: number;
  readonly readyReplicas: number;
  /** Pods that exist, ready or not, as its controller counts them. */
  readonly createdReplicas: number;
  /** Its controller has seen the latest change of it, and is not in the middle of another. */
  readonly isObserved: boolean;
  /** Undefined for a workload that has not opted in; it may still be a dependency. */
  readonly fn: FunctionInfo | undefined;
  /** Identity, annotations and port, from which `fn` was read. */
  readonly written: string;
  /** What the workload's own conditions say, such as an exceeded quota. */
  readonly trouble: Trouble | undefined;
}

export interface Pod {
  readonly name: string;
  /** `kind/namespace/name` of the workload: a Deployment and a StatefulSet may share a name. */
  readonly ownerKey: string;
  readonly ip: string | undefined;
  readonly isReady: boolean;
  /** Deleted or ended: it takes no new work. */
  readonly isEnding: boolean;
  readonly hasSidecar: boolean;
  /** Why it does not come up, or what it is at; see {@link isFailing}. */
  readonly trouble: Trouble | undefined;
  /** It asks to be scraped. */
  readonly scrape: ScrapeHint | undefined;
}

export function ownerKeyOf(kind: WorkloadKind, key: string): string {
  return `${kind}/${key}`;
}

/**
 * @param previous the same workload as last seen. Its annotations are read again only if they changed. Code that
 *   compares specs (the dependency graph, the windows of triggers) must not take a new count for a new spec.
 */
export function workloadOf(
  kind: WorkloadKind,
  object: V1Deployment | V1StatefulSet,
  previous: Workload | undefined,
): Workload {
  const meta = object.metadata ?? {};
  const id = { namespace: meta.namespace ?? '', name: meta.name ?? '' };
  const template = object.spec?.template;
  const annotations = template?.metadata?.annotations ?? {};
  const written = JSON.stringify([meta.uid, annotations, firstContainerPort(template?.spec)]);
  return {
    key: functionKey(id),
    id,
    kind,
    ownerKey: ownerKeyOf(kind, functionKey(id)),
    uid: meta.uid ?? '',
    resourceVersion: meta.resourceVersion ?? '',
    replicas: object.spec?.replicas ?? 1,
    readyReplicas: object.status?.readyReplicas ?? 0,
    createdReplicas: object.status?.replicas ?? 0,
    isObserved: isObserved(object),
    fn: previous?.written === written ? previous.fn : functionOfWorkload(kind, object),
    written,
    trouble: troubleOfWorkload(object),
  };
}

/** Undefined for a pod that no workload of ours owns. */
export function podOf(object: V1Pod): Pod | undefined {
  const pod = readPod(object);
  if (!pod || pod.owner.kind === 'Other') return undefined;
  return {
    name: pod.name,
    ownerKey: ownerKeyOf(pod.owner.kind, functionKey(pod.owner.id)),
    ip: pod.ip,
    isReady: pod.isReady,
    isEnding: pod.isEnded || pod.isTerminating,
    hasSidecar: pod.sidecar !== undefined,
    trouble: pod.trouble,
    scrape: scrapeHint(pod.annotations),
  };
}

/** A Deployment says so when its pods cannot even be created: quota, or an admission that refuses them. */
function troubleOfWorkload(object: V1Deployment | V1StatefulSet): Trouble | undefined {
  const failure = object.status?.conditions?.find((c) => c.type === 'ReplicaFailure' && c.status === 'True');
  if (!failure) return undefined;
  return creationTrouble(failure.message ?? failure.reason ?? 'pods cannot be created');
}

/** From the words of a failed creation: the API tells a used-up quota from other refusals in no other way. */
export function creationTrouble(message: string): Trouble {
  return { kind: /exceeded quota/.test(message) ? 'quota' : 'refused', message };
}

/** A paused Deployment's rollout is in somebody's hands. */
function isObserved({ metadata, spec, status }: V1Deployment | V1StatefulSet): boolean {
  const isPaused = spec !== undefined && 'paused' in spec && spec.paused === true;
  return !isPaused && (status?.observedGeneration ?? 0) >= (metadata?.generation ?? 0);
}
