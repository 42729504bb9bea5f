/**
 * The sidecar's resources within those of its pod. A pod that states its resources as a whole gives the sidecar a
 * part of them. A Guaranteed pod stays one. Everywhere else the sidecar has what the installation and the annotation
 * say. Pure.
 */
import type { SidecarResources } from '../../common/function/spec.ts';
import type { V1Container, V1Pod } from '../../common/kube/client.ts';
import { allContainers, userContainers } from '../../common/kube/model/containers.ts';
import { SIDECAR_CONTAINER } from '../../common/function/names.ts';
import { quantity, sidecarResources } from './sidecar-resources.ts';

export interface Envelope {
  readonly resources: {
    readonly requests?: Readonly<Record<string, string>>;
    readonly limits?: Readonly<Record<string, string>>;
  };
  /** The sidecar's own limit, or the pod's; its heap is sized by it. */
  readonly memoryLimit: string | undefined;
  readonly warning?: string;
}

/**
 * A Guaranteed pod's containers have a CPU limit each. A quarter of a core carries 2,000 calls per second; a start from
 * zero takes 0.15 s of CPU, which it has at once.
 */
const GUARANTEED = { cpu: '250m', memory: '256Mi' } as const;

/**
 * @param installed what the installation says of all sidecars
 * @param given the workload's annotation, which goes before
 */
export function envelopeOf(
  pod: V1Pod,
  installed: SidecarResources | undefined,
  given: SidecarResources | undefined,
): Envelope {
  const whole = pod.spec?.resources;
  if (whole) {
    const memoryLimit = given?.limits?.['memory'] ?? whole.limits?.['memory'];
    return { resources: given ?? {}, memoryLimit };
  }
  const wanted = merged(installed, given);
  if (isGuaranteed(pod)) return guaranteed(wanted);
  const resources = sidecarResources(wanted);
  return { resources, memoryLimit: resources.limits['memory'] };
}

function merged(installed: SidecarResources = {}, given: SidecarResources = {}): SidecarResources {
  return {
    requests: { ...installed.requests, ...given.requests },
    limits: { ...installed.limits, ...given.limits },
  };
}

function guaranteed({ requests = {}, limits = {} }: SidecarResources): Envelope {
  const equal: Record<string, string> = {};
  for (const [name, usual] of Object.entries(GUARANTEED)) {
    const [request, limit] = [requests[name], limits[name]];
    if (request !== undefined && limit !== undefined && quantity(request) !== quantity(limit)) {
      const resources = sidecarResources({ requests, limits });
      const warning = `the pod would be Guaranteed, but its sidecar asks for ${request} of ${name} with a limit of ${limit}; make them equal in slimfaas.dev/sidecar-resources`;
      return { resources, memoryLimit: resources.limits['memory'], warning };
    }
    equal[name] = limit ?? request ?? usual;
  }
  const resources = { requests: { ...requests, ...equal }, limits: { ...limits, ...equal } };
  return { resources, memoryLimit: equal['memory'] };
}

/** By the rule of Kubernetes: each container has limits for CPU and memory, and requests that are none or the same. */
function isGuaranteed(pod: V1Pod): boolean {
  const containers = allContainers(pod.spec).filter(({ name }) => name !== SIDECAR_CONTAINER);
  return containers.every(({ resources }) =>
    ['cpu', 'memory'].every((name) => {
      const limit = resources?.limits?.[name];
      const request = resources?.requests?.[name] ?? limit;
      return limit !== undefined && quantity(limit) > 0 && quantity(request ?? '') === quantity(limit);
    }),
  );
}

/**
 * What an API server would refuse: a sidecar that asks for more than its pod has left. Without an annotation it asks
 * for nothing there, so only the user's own values can be too much.
 */
export function overdraft(pod: V1Pod, given: SidecarResources | undefined): string | undefined {
  const whole = pod.spec?.resources;
  if (!whole || !given) return undefined;
  for (const [name, request] of Object.entries(given.requests ?? {})) {
    const limit = whole.requests?.[name];
    const sum = userContainers(pod.spec).reduce((total, container) => total + requestOf(container, name), 0);
    if (limit !== undefined && sum + quantity(request) > quantity(limit))
      return `slimfaas.dev/sidecar-resources asks for ${request} of ${name}, which the pod's own resources (${limit}) have not left`;
  }
  for (const [name, limit] of Object.entries(given.limits ?? {})) {
    const most = whole.limits?.[name];
    if (most !== undefined && quantity(limit) > quantity(most))
      return `slimfaas.dev/sidecar-resources has a limit of ${limit} of ${name}, above the pod's own (${most})`;
  }
  return undefined;
}

function requestOf({ resources }: V1Container, name: string): number {
  return quantity(resources?.requests?.[name] ?? '0');
}
