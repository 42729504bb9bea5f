/**
 * The containers of a pod: the user's, and our sidecar. The sidecar stands beside the app in pods whose containers are
 * always restarted, and is a native sidecar in pods of Jobs (docs/decisions/sidecar-container.md). Pods of an older
 * webhook have a native one everywhere. Pure; types only.
 */
import { SIDECAR_CONTAINER } from '../../function/names.ts';
import type { SidecarFlagName } from '../../function/sidecar-flags.ts';
import { envName } from '../../runtime/flags.ts';
import type { V1Container, V1PodSpec } from '../client.ts';

type WithContainers = Pick<V1PodSpec, 'containers' | 'initContainers'>;

/**
 * By the container, not by an annotation: one that was copied from a live pod into a manifest brings no sidecar.
 * @returns undefined: the pod has none
 */
export function findSidecar(spec: WithContainers | undefined): V1Container | undefined {
  return spec?.containers?.find(isSidecar) ?? spec?.initContainers?.find(isSidecar);
}

/** @returns what the webhook has set; undefined where it has not, or from a field of the pod */
export function sidecarVariable(sidecar: V1Container, flag: SidecarFlagName): string | undefined {
  const wanted = envName(flag);
  return sidecar.env?.find(({ name }) => name === wanted)?.value;
}

/** Init containers first, as the kubelet starts them. */
export function allContainers(spec: WithContainers | undefined): V1Container[] {
  return [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
}

/** What is listed under `containers`, without ours. */
export function userContainers(spec: Pick<V1PodSpec, 'containers'> | undefined): V1Container[] {
  return (spec?.containers ?? []).filter((container) => !isSidecar(container));
}

/** A port of a container or of a Service: Kubernetes leaves the usual protocol out. */
export function isTcp({ protocol = 'TCP' }: { readonly protocol?: string }): boolean {
  return protocol === 'TCP';
}

function isSidecar({ name }: V1Container): boolean {
  return name === SIDECAR_CONTAINER;
}
