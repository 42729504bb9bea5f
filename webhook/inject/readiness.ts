/**
 * What the sidecar must have seen before it may say `ready` in Kubernetes' place: every probe that Kubernetes waits
 * for, container by container, startup before readiness. Where it cannot see all of it, Kubernetes decides alone: a call
 * must not reach a pod that Kubernetes would not call ready. Pure.
 */
import { probeTarget } from '../../common/kube/model/app-port.ts';
import type { V1Container, V1Pod, V1Probe } from '../../common/kube/client.ts';
import { userContainers } from '../../common/kube/model/containers.ts';
import { SIDECAR_CONTAINER } from '../../common/function/names.ts';
import type { SidecarPlace } from './sidecar-place.ts';

/** One container's, with named ports resolved; the value of SLIMFAAS_PROBES is a list of them. */
export interface ContainerProbes {
  readonly startup?: V1Probe;
  readonly readiness?: V1Probe;
}

export type InjectedReadiness =
  | { readonly kind: 'sidecar'; readonly containers: readonly ContainerProbes[] }
  /** `why` finishes the sentence "Kubernetes alone decides, because …". */
  | { readonly kind: 'kubernetes'; readonly why: string; readonly isFault: boolean };

/** @param port 0: it speaks no HTTP */
export function readinessOf(pod: V1Pod, port: number, place: SidecarPlace): InjectedReadiness {
  const gates = pod.spec?.readinessGates ?? [];
  if (gates.length > 0) return kubernetes(`readiness gate ${gates[0]?.conditionType} must open`);
  const containers: ContainerProbes[] = [];
  for (const container of waitedFor(pod)) {
    const hidden = hiddenReadiness(container, place === 'native' || isAfterSidecar(pod, container));
    if (hidden) return kubernetes(`container ${container.name} ${hidden}`);
    const probes = resolved(container);
    if (typeof probes === 'string') return { ...kubernetes(probes), isFault: true };
    if (probes.startup || probes.readiness) containers.push(probes);
  }
  if (port !== 0 && !isPortProbed(pod, port, containers))
    containers.push({ readiness: { tcpSocket: { port } } });
  return { kind: 'sidecar', containers };
}

function kubernetes(why: string): Extract<InjectedReadiness, { kind: 'kubernetes' }> {
  return { kind: 'kubernetes', why, isFault: false };
}

/** A pod is ready when all of these are: its containers, and native sidecars. */
function waitedFor(pod: V1Pod): V1Container[] {
  const native = (pod.spec?.initContainers ?? []).filter(
    ({ name, restartPolicy }) => restartPolicy === 'Always' && name !== SIDECAR_CONTAINER,
  );
  return [...native, ...userContainers(pod.spec)];
}

/** A later webhook may put its own behind ours. */
function isAfterSidecar({ spec }: V1Pod, container: V1Container): boolean {
  const containers = spec?.containers ?? [];
  const own = containers.findIndex(({ name }) => name === SIDECAR_CONTAINER);
  return own >= 0 && containers.indexOf(container) > own;
}

/** @param isLater started after the sidecar, which does not know when */
function hiddenReadiness(container: V1Container, isLater: boolean): string | undefined {
  const { startupProbe, readinessProbe, lifecycle } = container;
  // An ordinary sidecar is started after the hooks of those before it.
  if (lifecycle?.postStart && isLater) return 'has a postStart hook';
  for (const [name, probe] of Object.entries({ startupProbe, readinessProbe })) {
    if (!probe) continue;
    if (probe.exec) return `has a ${name} that is a command`;
    if (probe.httpGet?.host || probe.tcpSocket?.host) return `has a ${name} to another host`;
    if (!probe.httpGet && !probe.tcpSocket && !probe.grpc) return `has a ${name} of an unknown kind`;
    if (isLater && probe.tcpSocket && (probe.initialDelaySeconds ?? 0) > 0)
      return `has a ${name} with initialDelaySeconds`;
  }
  return undefined;
}

/** Or, as text, what is wrong with them. */
function resolved(container: V1Container): ContainerProbes | string {
  const probes: { startup?: V1Probe; readiness?: V1Probe } = {};
  for (const kind of ['startup', 'readiness'] as const) {
    const given = container[`${kind}Probe`];
    if (!given) continue;
    const probe = structuredClone(given);
    const action = probe.httpGet ?? probe.tcpSocket;
    const port = action && probeTarget(container, action.port);
    if (action && port === undefined)
      return `container ${container.name}: its ${kind}Probe names port ${JSON.stringify(action.port)}, which it does not declare`;
    if (action && port !== undefined) action.port = port;
    probes[kind] = probe;
  }
  return probes;
}

/** Whether a readiness probe of the container that declares the port tells that the app is up; else a connect does. */
function isPortProbed(pod: V1Pod, port: number, probed: readonly ContainerProbes[]): boolean {
  const declaring = userContainers(pod.spec).find((container) =>
    container.ports?.some(({ containerPort }) => containerPort === port),
  );
  if (declaring) return declaring.readinessProbe !== undefined;
  return probed.some(({ readiness }) => readiness !== undefined);
}
