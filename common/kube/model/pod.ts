/**
 * One pod as Kubernetes reports it, read in one place for every part. A part derives its own small view from it and
 * lets the rest go: a pod is 10 KB, and a cluster has tens of thousands. Pure; types only.
 */
import { INJECT_STATUS_ANNOTATION } from '../../function/names.ts';
import type { V1Container, V1Pod } from '../client.ts';
import { findSidecar } from './containers.ts';
import { ownerOfPod, type PodOwner } from './ownership.ts';
import { troubleOfPod, type Trouble } from './trouble.ts';

export interface PodModel {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly owner: PodOwner;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** Undefined until the pod has one. */
  readonly ip: string | undefined;
  /** All that it has: two in a dual-stack cluster. */
  readonly addresses: readonly string[];
  /** Its address is the node's. */
  readonly isHostNetwork: boolean;
  /** Kubernetes sends calls to it, as far as its conditions say. Never true of one that has ended. */
  readonly isReady: boolean;
  /** Phase `Running`: at least one container has been started. */
  readonly isRunning: boolean;
  /** Somebody has deleted it; its containers are asked to end. */
  readonly isTerminating: boolean;
  /** Succeeded or Failed: its address may be another pod's by now. */
  readonly isEnded: boolean;
  /** Why it does not come up, or what it is at; undefined when it is ready or new. */
  readonly trouble: Trouble | undefined;
  /** Our container in it; undefined: the pod has none, whatever its annotations say. */
  readonly sidecar: V1Container | undefined;
}

/**
 * @param pod whole, or with its identity alone, as a watch hands on what was deleted
 * @returns undefined for a pod without a name or a namespace, which no API server sends
 */
export function readPod(pod: V1Pod): PodModel | undefined {
  const { metadata: meta, spec, status } = pod;
  if (!meta?.name || !meta.namespace) return undefined;
  const owner = ownerOfPod(pod, meta.namespace);
  if (!owner) return undefined;
  const isEnded = hasEnded(pod);
  return {
    namespace: meta.namespace,
    name: meta.name,
    uid: meta.uid ?? '',
    owner,
    labels: meta.labels ?? NOTHING,
    annotations: meta.annotations ?? NOTHING,
    ip: status?.podIP || undefined,
    addresses: addressesOf(status),
    isHostNetwork: spec?.hostNetwork === true,
    isReady: !isEnded && hasCondition(status, 'Ready'),
    isRunning: status?.phase === 'Running',
    isTerminating: meta.deletionTimestamp !== undefined,
    isEnded,
    trouble: troubleOfPod(pod),
    sidecar: findSidecar(spec),
  };
}

/** Nothing of it runs any more, as after an eviction. The object may stay for as long as nobody deletes it. */
export function hasEnded({ status }: Pick<V1Pod, 'status'>): boolean {
  return status?.phase === 'Succeeded' || status?.phase === 'Failed';
}

const NOTHING: Readonly<Record<string, string>> = Object.freeze({});
const NO_ADDRESS: readonly string[] = Object.freeze([]);

function hasCondition(status: V1Pod['status'], wanted: string): boolean {
  return status?.conditions?.some(({ type, status: is }) => type === wanted && is === 'True') ?? false;
}

/** Servers that know one address alone leave `podIPs` out. */
function addressesOf(status: V1Pod['status']): readonly string[] {
  const { podIP, podIPs = [] } = status ?? {};
  if (podIPs.length === 0) return podIP ? [podIP] : NO_ADDRESS;
  if (podIPs.length === 1 && podIPs[0]?.ip === podIP && podIP) return [podIP];
  const all = [podIP, ...podIPs.map(({ ip }) => ip)];
  return [...new Set(all.filter((ip): ip is string => ip !== undefined && ip !== ''))];
}

/** The version of slimfaas that injected the sidecar, from the pod's status annotation; undefined where that does not say. */
export function injectedVersion({ annotations }: Pick<PodModel, 'annotations'>): string | undefined {
  try {
    const status = JSON.parse(annotations[INJECT_STATUS_ANNOTATION] ?? '') as { version?: unknown } | null;
    return status?.version === undefined ? undefined : String(status.version);
  } catch {
    return undefined;
  }
}
