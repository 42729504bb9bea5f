/**
 * What the proxy needs of a pod, read once when the watch brings it. Pure; types only. A pod's own
 * annotations count, not its workload's: during a rollout old pods still have the old limits and port.
 */
import { parseAnnotations } from '../../common/function/annotations/index.ts';
import type { V1Pod } from '../../common/kube/client.ts';
import type { FunctionSpec } from '../../common/function/spec.ts';
import { findAppPort } from '../../common/kube/model/app-port.ts';
import { ownerOfPod, type PodOwner } from '../../common/kube/model/ownership.ts';
import { podTrouble } from './pod-trouble.ts';
import {
  INJECT_STATUS_ANNOTATION,
  SIDECAR_CONTAINER,
  SIDECAR_DATA_PORT,
} from '../../common/function/names.ts';

export interface PodView {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  /** Empty until the pod has one. */
  readonly ip: string;
  /** All that it has: two in a dual-stack cluster. */
  readonly addresses: readonly string[];
  readonly owner: PodOwner;
  /** Undefined when the pod is not annotated as a function's. */
  readonly spec: FunctionSpec | undefined;
  readonly hasSidecar: boolean;
  /** Where to call it: the sidecar's port, else the function's own; undefined when nobody declares one. */
  readonly port: number | undefined;
  /** What proves that a message is its sidecar's (common/places/ready-proof.ts); undefined: it has none. */
  readonly token: string | undefined;
  readonly isKubeReady: boolean;
  readonly isTerminating: boolean;
  /** Succeeded or Failed: its address may be another pod's by now. */
  readonly isEnded: boolean;
  /** Its address is the node's, so calls from it prove nothing. */
  readonly isHostNetwork: boolean;
  /** Why it does not come up, or what it is at, as far as Kubernetes says. */
  readonly trouble: string | undefined;
  /** What it says is a failure: it will not come up by waiting alone. */
  readonly isFailing: boolean;
}

/** Undefined for a pod without a name or owner. */
export function viewPod(pod: V1Pod): PodView | undefined {
  const { metadata: meta, spec, status } = pod;
  if (!meta?.name || !meta.namespace) return undefined;
  const owner = ownerOfPod(pod, meta.namespace);
  if (!owner) return undefined;
  const annotations = meta.annotations ?? {};
  const parsed = parseAnnotations(annotations);
  const trouble = podTrouble(pod);
  const hasSidecar = annotations[INJECT_STATUS_ANNOTATION] !== undefined;
  return {
    namespace: meta.namespace,
    name: meta.name,
    uid: meta.uid ?? '',
    ip: status?.podIP ?? '',
    addresses: addressesOf(status),
    owner,
    spec: parsed.isFunction ? parsed.spec : undefined,
    hasSidecar,
    port: hasSidecar ? SIDECAR_DATA_PORT : (parsed.spec.port ?? findAppPort(pod)?.port),
    token: hasSidecar ? sidecarToken(spec) : undefined,
    isKubeReady: status?.conditions?.some((c) => c.type === 'Ready' && c.status === 'True') ?? false,
    isTerminating: meta.deletionTimestamp !== undefined,
    isEnded: status?.phase === 'Succeeded' || status?.phase === 'Failed',
    isHostNetwork: spec?.hostNetwork === true,
    trouble: trouble?.text,
    isFailing: trouble?.isFailing ?? false,
  };
}

function addressesOf(status: V1Pod['status']): readonly string[] {
  const all = [status?.podIP, ...(status?.podIPs ?? []).map(({ ip }) => ip)];
  return [...new Set(all.filter((ip): ip is string => ip !== undefined && ip !== ''))];
}

function sidecarToken(spec: V1Pod['spec']): string | undefined {
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
  const sidecar = containers.find(({ name }) => name === SIDECAR_CONTAINER);
  return sidecar?.env?.find(({ name }) => name === 'SLIMFAAS_DRAIN_TOKEN')?.value;
}
