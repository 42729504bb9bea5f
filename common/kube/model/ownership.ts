/**
 * Which workload a pod belongs to, from the pod alone: owner references and `pod-template-hash`. A name prefix would
 * be a guess, and the webhook must answer without a request. Pure; types only.
 */
import type { FunctionId } from '../../bus/subjects.ts';
import type { V1Pod } from '../client.ts';

export type PodOwner =
  | { readonly kind: 'Deployment' | 'StatefulSet'; readonly id: FunctionId }
  /** Injected, limited and routable, but nobody scales it. */
  | { readonly kind: 'Other'; readonly id: FunctionId };

/**
 * @param namespace the pod's; given apart because an admission request carries it outside the object
 * @returns undefined for a pod without a name, a generateName and an owner
 */
export function ownerOfPod(pod: Pick<V1Pod, 'metadata'>, namespace: string): PodOwner | undefined {
  const meta = pod.metadata;
  const owner = meta?.ownerReferences?.find((reference) => reference.controller);
  if (owner?.kind === 'ReplicaSet') {
    const suffix = `-${meta?.labels?.['pod-template-hash'] ?? ''}`;
    const isOfDeployment = suffix.length > 1 && owner.name.endsWith(suffix);
    if (isOfDeployment)
      return { kind: 'Deployment', id: { namespace, name: owner.name.slice(0, -suffix.length) } };
    return { kind: 'Other', id: { namespace, name: owner.name } };
  }
  if (owner) {
    const kind = owner.kind === 'StatefulSet' ? 'StatefulSet' : 'Other';
    return { kind, id: { namespace, name: owner.name } };
  }
  const name = meta?.name ?? meta?.generateName?.replace(/-$/, '');
  return name ? { kind: 'Other', id: { namespace, name } } : undefined;
}
