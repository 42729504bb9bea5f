/** Which object of the cluster it is. Pure; types only. */
import type { KubernetesObject } from '@kubernetes/client-node';
import type { FunctionId } from '../../bus/subjects.ts';

/** Empty texts for an object without a name, which no API server sends. */
export function idOf({ metadata }: Pick<KubernetesObject, 'metadata'>): FunctionId {
  return { namespace: metadata?.namespace ?? '', name: metadata?.name ?? '' };
}
