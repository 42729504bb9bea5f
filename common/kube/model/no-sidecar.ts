/**
 * Why the pods of a workload get no sidecar, as its pod template and its namespace say. Such pods are called by the
 * proxy without one, but run no jobs and hear no events. The webhook decides pod by pod (webhook/inject/match.ts); this is
 * its answer beforehand, for a function at zero. Pure; types only.
 */
import type { AnnotationFault, FunctionSpec } from '../../function/spec.ts';
import { ANNOTATION } from '../../function/annotations/names.ts';
import type { V1PodSpec } from '../client.ts';
import { findSidecar } from './containers.ts';

/** The webhook is called for none of their pods: the chart's namespaceSelector (test/manifests/chart.test.ts). */
export const NAMESPACES_NOT_INJECTED: readonly string[] = ['kube-system', 'kube-node-lease'];

/** @returns undefined: the webhook will inject, or has; else the reason, as the end of "it has no sidecar: …" */
export function whyNoSidecar(
  namespace: string,
  spec: Pick<FunctionSpec, 'inject'>,
  pod: V1PodSpec | undefined,
): string | undefined {
  if (findSidecar(pod)) return undefined; // by `slimfaas inject`
  if (!spec.inject) return `${ANNOTATION.inject} is "false"`;
  const obstacle = obstacleToSidecar(pod);
  if (obstacle !== undefined) return OBSTACLES[obstacle];
  if (NAMESPACES_NOT_INJECTED.includes(namespace)) return `the namespace ${namespace} is excluded`;
  return undefined;
}

/** The label of every node; pods without `os` choose Windows by it. */
const OS_LABEL = 'kubernetes.io/os';

export type SidecarObstacle = 'host-network' | 'windows';

const OBSTACLES: Readonly<Record<SidecarObstacle, string>> = {
  'host-network': 'its pods use hostNetwork',
  windows: 'its pods run on Windows',
};

/** What in a pod's own manifest rules a sidecar out; the webhook goes by it too. */
export function obstacleToSidecar(pod: V1PodSpec | undefined): SidecarObstacle | undefined {
  // On the host's network the sidecar's ports would be the node's, and collide with the next such pod.
  if (pod?.hostNetwork === true) return 'host-network';
  const isWindows = pod?.os?.name === 'windows' || pod?.nodeSelector?.[OS_LABEL] === 'windows';
  return isWindows ? 'windows' : undefined;
}

export function noSidecarFault(why: string, spec: Pick<FunctionSpec, 'inject'>): AnnotationFault {
  return {
    annotation: ANNOTATION.inject,
    value: String(spec.inject),
    problem: `the pods get no sidecar: ${why}`,
    inForce: 'calls go to the pods directly and without limits; jobs and events are refused',
  };
}
