/**
 * What ReplicaSets and StatefulSets share: a pod made from a template, and which pod goes first when there
 * are too many. Pure.
 */
import type { KubeObject } from '../../api/objects/types.ts';
import { conditionOf, controllerReference, isPodReady } from './objects.ts';

/** `name` or `generateName`, and what the controller adds to the template's labels. */
export function podFromTemplate(
  owner: KubeObject,
  naming: { name: string } | { generateName: string },
  labels: Record<string, string> = {},
): Partial<KubeObject> & { kind: string } {
  const template = structuredClone(owner.spec.template) as {
    metadata?: KubeObject['metadata'];
    spec: unknown;
  };
  const metadata = {
    ...naming,
    ...(owner.metadata.namespace === undefined ? {} : { namespace: owner.metadata.namespace }),
    labels: { ...template.metadata?.labels, ...labels },
    ...(template.metadata?.annotations ? { annotations: template.metadata.annotations } : {}),
    ...(template.metadata?.finalizers ? { finalizers: template.metadata.finalizers } : {}),
    ownerReferences: [controllerReference(owner)],
  } as KubeObject['metadata'];
  return { apiVersion: 'v1', kind: 'Pod', metadata, spec: template.spec };
}

const PHASE_RANK: Record<string, number> = { Pending: 0, Unknown: 1, Running: 2 };

/**
 * The order in which a ReplicaSet gives pods up, as in kube-controller-manager. Unassigned goes before assigned,
 * Pending before Running, not ready before ready, cheap before dear (pod-deletion-cost). Recently ready goes before
 * long ready, often restarted before steady, young before old.
 */
export function compareForDeletion(a: KubeObject, b: KubeObject): number {
  return (
    Number(Boolean(a.spec.nodeName)) - Number(Boolean(b.spec.nodeName)) ||
    phaseRank(a) - phaseRank(b) ||
    Number(isPodReady(a)) - Number(isPodReady(b)) ||
    deletionCost(a) - deletionCost(b) ||
    readySince(b) - readySince(a) ||
    restarts(b) - restarts(a) ||
    Date.parse(b.metadata.creationTimestamp) - Date.parse(a.metadata.creationTimestamp) ||
    Number(b.metadata.resourceVersion) - Number(a.metadata.resourceVersion)
  );
}

function phaseRank(pod: KubeObject): number {
  return PHASE_RANK[(pod.status?.phase as string | undefined) ?? 'Pending'] ?? 0;
}

function deletionCost(pod: KubeObject): number {
  return Number(pod.metadata.annotations?.['controller.kubernetes.io/pod-deletion-cost'] ?? 0) || 0;
}

function readySince(pod: KubeObject): number {
  return Date.parse(conditionOf(pod, 'Ready')?.lastTransitionTime ?? '') || 0;
}

function restarts(pod: KubeObject): number {
  const statuses = (pod.status?.containerStatuses ?? []) as { restartCount?: number }[];
  return Math.max(0, ...statuses.map((status) => status.restartCount ?? 0));
}

const SAFE = 'bcdfghjklmnpqrstvwxz2456789';

/** FNV-1a of the canonical JSON, in the alphabet that Kubernetes uses for such suffixes (no vowels). */
export function templateHash(template: unknown): string {
  let hash = 0x811c9dc5;
  for (const char of canonicalJson(template)) {
    hash = Math.imul(hash ^ (char.codePointAt(0) ?? 0), 0x01000193) >>> 0;
  }
  return [...String(hash)].map((digit) => SAFE[digit.charCodeAt(0) % SAFE.length]).join('');
}

/** Keys sorted, so that an equal template in another order is the same revision. */
function canonicalJson(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
