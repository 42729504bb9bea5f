/**
 * Which port of a pod is the function's, where no annotation says it, and what is known of it from the manifest. Used
 * by the webhook and by the code that calls pods without a sidecar. Pure; types only.
 */
import { isTcp, userContainers } from './containers.ts';
import type { V1Container, V1Pod, V1PodSpec, V1Probe } from '../client.ts';

/** Names the container that a person means; service meshes set it to the user's when they add their own. */
const DEFAULT_CONTAINER_ANNOTATION = 'kubectl.kubernetes.io/default-container';
/** What meshes put into `containers`, by the names that they document. */
const MESH_PROXIES = new Set(['istio-proxy', 'linkerd-proxy', 'consul-dataplane', 'kuma-sidecar']);
const HTTP_PORT_NAME = /^(https?|http2|h2c|grpc|web)(-|$)/;

export interface AppPort {
  readonly container: string;
  readonly port: number;
  /** Other ports that it might be as well; empty where name or probe tells. */
  readonly rivals: readonly number[];
}

type PodParts = Pick<V1Pod, 'spec'> & {
  readonly metadata?: Pick<NonNullable<V1Pod['metadata']>, 'annotations'>;
};

/**
 * In the order of the manifest, except in two cases: the default container comes first, and a mesh's proxy last. Other
 * webhooks run before ours (their configurations' names decide). So `containers[0]` may well be theirs, with a port
 * and a probe that are not the function's.
 */
function rankedContainers({ spec, metadata }: PodParts): V1Container[] {
  const all = userContainers(spec);
  if (all.length < 2) return all;
  const preferred = metadata?.annotations?.[DEFAULT_CONTAINER_ANNOTATION];
  const rank = ({ name }: V1Container) => (name === preferred ? 0 : MESH_PROXIES.has(name) ? 2 : 1);
  return all.toSorted((a, b) => rank(a) - rank(b));
}

/**
 * The port of the first container that declares TCP ports: the one named `http`, the only one whose name says HTTP, the one
 * that a probe asks, else the first. Undefined where none declares one.
 */
export function findAppPort(pod: PodParts): AppPort | undefined {
  for (const container of rankedContainers(pod)) {
    // UDP carries neither HTTP/1.1 nor h2c.
    const ports = (container.ports ?? []).filter(isTcp);
    const [first, ...others] = ports.map(({ containerPort }) => containerPort);
    if (first === undefined) continue;
    const named = ports.filter(({ name }) => HTTP_PORT_NAME.test(name ?? ''));
    const sure =
      ports.find(({ name }) => name === 'http')?.containerPort ??
      (named.length === 1 ? named[0]?.containerPort : undefined) ??
      probedPort(container, ports);
    const { name } = container;
    return sure === undefined
      ? { container: name, port: first, rivals: others }
      : { container: name, port: sure, rivals: [] };
  }
  return undefined;
}

/** The name that a container gives the port; undefined where none does. */
export function nameOfPort(pod: PodParts, port: number): string | undefined {
  return rankedContainers(pod)
    .flatMap(({ ports }) => ports ?? [])
    .find(({ containerPort }) => containerPort === port)?.name;
}

/** That a probe asks the port over TLS. */
export function isProbedOverTls(pod: PodParts, port: number): boolean {
  return rankedContainers(pod).some((container) =>
    probesOf(container).some(
      ({ httpGet }) => httpGet?.scheme === 'HTTPS' && probeTarget(container, httpGet.port) === port,
    ),
  );
}

function probedPort(container: V1Container, ports: NonNullable<V1Container['ports']>): number | undefined {
  for (const { httpGet, tcpSocket, grpc } of probesOf(container)) {
    const port = probeTarget(container, (httpGet ?? tcpSocket ?? grpc)?.port);
    if (ports.some(({ containerPort }) => containerPort === port)) return port;
  }
  return undefined;
}

function probesOf({ readinessProbe, startupProbe, livenessProbe }: V1Container): V1Probe[] {
  return [readinessProbe, startupProbe, livenessProbe].filter((probe) => probe !== undefined);
}

/** A port number, or that of the port which a probe names; undefined where the container declares none of that name. */
export function probeTarget(container: V1Container, port: unknown): number | undefined {
  if (typeof port === 'number') return port;
  const named = container.ports?.find(({ name }) => name === port)?.containerPort;
  // YAML authors quote numbers: `port: "8080"` is an int-or-string that means 8080.
  return named ?? (typeof port === 'string' && /^\d+$/.test(port) ? Number(port) : undefined);
}

/** The first containerPort that the user's own containers declare: where metrics are looked for. */
export function firstContainerPort(spec: V1PodSpec | undefined): number | undefined {
  for (const container of userContainers(spec)) {
    const port = container.ports?.[0]?.containerPort;
    if (port !== undefined) return port;
  }
  return undefined;
}
