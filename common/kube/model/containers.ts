/**
 * Where our sidecar is in a pod. It stands beside the app in pods whose containers are always restarted, and as a
 * native sidecar in pods of Jobs (docs/decisions/sidecar-container.md). Pods of an older webhook have a native one
 * everywhere. Pure; types only.
 */
import { SIDECAR_CONTAINER } from '../../function/names.ts';
import type { V1Container, V1PodSpec } from '../client.ts';

/** undefined: the pod has none. */
export function findSidecar(
  spec: Pick<V1PodSpec, 'containers' | 'initContainers'> | undefined,
): V1Container | undefined {
  return allContainers(spec).find(({ name }) => name === SIDECAR_CONTAINER);
}

/** Init containers first, as the kubelet starts them. */
export function allContainers(
  spec: Pick<V1PodSpec, 'containers' | 'initContainers'> | undefined,
): V1Container[] {
  return [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
}

/** What is listed under `containers`, without ours. */
export function userContainers(spec: Pick<V1PodSpec, 'containers'> | undefined): V1Container[] {
  return (spec?.containers ?? []).filter(({ name }) => name !== SIDECAR_CONTAINER);
}
