/**
 * Which pods get a sidecar: an ordered list of pure predicates, each of which returns a reason to leave the pod
 * alone, or nothing. The first reason wins, so the order is from the cheapest and most common to the rarest.
 * A skip lets the pod in as it is; a refusal keeps it out, because injecting would break it silently.
 */
import type { ParsedAnnotations } from '../../common/function/annotations/index.ts';
import type { V1Pod } from '../../common/kube/client.ts';
import { allContainers, findSidecar, isTcp } from '../../common/kube/model/containers.ts';
import { obstacleToSidecar, type SidecarObstacle } from '../../common/kube/model/no-sidecar.ts';
import { overdraft } from './envelope.ts';
import { SIDECAR_ADMIN_PORT, SIDECAR_CONTAINER, SIDECAR_DATA_PORT } from '../../common/function/names.ts';

/** Kubelets put this on the API's copy of a static pod; such a pod cannot be changed from here. */
const MIRROR_POD_ANNOTATION = 'kubernetes.io/config.mirror';

const OUR_PORTS = new Set([SIDECAR_DATA_PORT, SIDECAR_ADMIN_PORT]);

export type SkipReason =
  'not-annotated' | 'inject-false' | 'mirror-pod' | 'already-injected' | SidecarObstacle;

export type MatchResult =
  | { readonly kind: 'inject' }
  /** `warning` only where the user asked for something that they do not get. */
  | { readonly kind: 'skip'; readonly reason: SkipReason; readonly warning?: string }
  | { readonly kind: 'refuse'; readonly message: string };

type Predicate = (pod: V1Pod, parsed: ParsedAnnotations) => MatchResult | undefined;

const PREDICATES: readonly Predicate[] = [
  isNotAnnotated,
  isOptedOut,
  isAlreadyInjected,
  isMirrorPod,
  hasObstacle,
  hasPortConflict,
  exceedsItsPod,
];

export function matchPod(pod: V1Pod, parsed: ParsedAnnotations): MatchResult {
  for (const predicate of PREDICATES) {
    const verdict = predicate(pod, parsed);
    if (verdict) return verdict;
  }
  return { kind: 'inject' };
}

function isNotAnnotated(_pod: V1Pod, parsed: ParsedAnnotations): MatchResult | undefined {
  return parsed.isFunction ? undefined : { kind: 'skip', reason: 'not-annotated' };
}

function isOptedOut(_pod: V1Pod, parsed: ParsedAnnotations): MatchResult | undefined {
  return parsed.spec.inject ? undefined : { kind: 'skip', reason: 'inject-false' };
}

/**
 * By the container, not by the status annotation. An annotation copied from a live pod into a manifest must not cost
 * that workload its sidecar, and two containers of one name would make the pod invalid.
 */
function isAlreadyInjected(pod: V1Pod): MatchResult | undefined {
  return findSidecar(pod.spec) ? { kind: 'skip', reason: 'already-injected' } : undefined;
}

function isMirrorPod(pod: V1Pod): MatchResult | undefined {
  return pod.metadata?.annotations?.[MIRROR_POD_ANNOTATION] === undefined
    ? undefined
    : { kind: 'skip', reason: 'mirror-pod', warning: 'a static pod cannot carry the sidecar: not injected' };
}

function hasObstacle(pod: V1Pod): MatchResult | undefined {
  const reason = obstacleToSidecar(pod.spec);
  return reason && { kind: 'skip', reason, warning: OBSTACLE_WARNINGS[reason] };
}

const OBSTACLE_WARNINGS: Readonly<Record<SidecarObstacle, string>> = {
  'host-network':
    'the pod uses hostNetwork: not injected, so calls reach it without limits, and jobs and events are refused',
  windows: 'the sidecar runs on Linux only: not injected, so jobs and events are refused',
};

function hasPortConflict(pod: V1Pod, parsed: ParsedAnnotations): MatchResult | undefined {
  const advice = 'free it, or set slimfaas.dev/inject: "false"';
  for (const container of allContainers(pod.spec))
    for (const { containerPort } of (container.ports ?? []).filter(isTcp))
      if (OUR_PORTS.has(containerPort))
        return deniedBecause(`container ${quoted(container.name)} declares port ${containerPort}`, advice);
  const { port } = parsed.spec;
  if (port !== undefined && OUR_PORTS.has(port))
    return deniedBecause(`annotation slimfaas.dev/port names port ${port}`, advice);
  return undefined;
}

function exceedsItsPod(pod: V1Pod, parsed: ParsedAnnotations): MatchResult | undefined {
  const message = overdraft(pod, parsed.spec.sidecarResources);
  return message === undefined ? undefined : { kind: 'refuse', message };
}

function deniedBecause(what: string, advice: string): MatchResult {
  return { kind: 'refuse', message: `${what}, which ${SIDECAR_CONTAINER} needs; ${advice}` };
}

function quoted(text: string): string {
  return JSON.stringify(text);
}
