/**
 * What the sidecar must know of the user's containers, read from the pod: the port that it calls and what that port
 * speaks. Pure, and read-only: the user's containers stay as they are.
 */
import type { AppProtocol } from '../common/function-spec.ts';
import type { V1Container, V1Pod } from '../common/kube/client.ts';
import { userContainers } from '../common/kube/sidecar.ts';

/** Names the container that a person means; service meshes set it to the user's when they add their own. */
const DEFAULT_CONTAINER_ANNOTATION = 'kubectl.kubernetes.io/default-container';
/** What meshes put into `containers`, by the names that they document. */
const MESH_PROXIES = new Set(['istio-proxy', 'linkerd-proxy', 'consul-dataplane', 'kuma-sidecar']);

/** 0 for a workload that speaks no HTTP as far as its manifest says. */
export function appPort(pod: V1Pod, annotated: number | undefined): number {
  if (annotated !== undefined) return annotated;
  for (const container of byRank(pod)) {
    const port = container.ports?.[0]?.containerPort;
    if (port !== undefined) return port;
  }
  return 0;
}

/**
 * Kubernetes has `appProtocol` on ports of Services only, and which Services select a pod is not in the pod. On a
 * container's port there is the name, by which Istio (`grpc`, `grpc-web`, `http2`) and Knative (`h2c`) go too.
 */
const H2C_PORT_NAME = /^(h2c|grpc|http2)(-|$)/;

/** What the port speaks: the annotation's word, else the name that a container gave the port, else HTTP/1.1. */
export function appProtocolOf(pod: V1Pod, port: number, annotated: AppProtocol | undefined): AppProtocol {
  if (annotated !== undefined) return annotated;
  const declared = byRank(pod)
    .flatMap(({ ports }) => ports ?? [])
    .find(({ containerPort }) => containerPort === port);
  return H2C_PORT_NAME.test(declared?.name ?? '') ? 'h2c' : 'http1';
}

/**
 * In the order of the manifest, but for two cases: the default container comes first, and a mesh's proxy last.
 * Other webhooks run before this one (their configurations' names decide), so `containers[0]` may well be theirs,
 * with a port and a probe that say nothing about the function.
 */
function byRank(pod: V1Pod): V1Container[] {
  const preferred = pod.metadata?.annotations?.[DEFAULT_CONTAINER_ANNOTATION];
  const rank = ({ name }: V1Container) => (name === preferred ? 0 : MESH_PROXIES.has(name) ? 2 : 1);
  return userContainers(pod.spec).toSorted((a, b) => rank(a) - rank(b));
}
