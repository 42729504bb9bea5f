/**
 * What the sidecar must know of the user's containers, read from the pod: the port that it calls and what that port
 * speaks. Pure, and read-only: the user's containers stay as they are.
 */
import type { AppProtocol } from '../common/function-spec.ts';
import { findAppPort, rankedContainers, speaksTls } from '../common/kube/app-port.ts';
import type { V1Pod } from '../common/kube/client.ts';

export interface AppPortChoice {
  /** 0 for a workload that speaks no HTTP as far as its manifest says. */
  readonly port: number;
  readonly warning?: string;
}

export function appPort(pod: V1Pod, annotated: number | undefined): AppPortChoice {
  if (annotated !== undefined) return { port: annotated };
  const found = findAppPort(pod);
  if (!found) return { port: 0 };
  const { container, port, rivals } = found;
  if (rivals.length === 0) return { port };
  const all = [port, ...rivals].join(', ');
  return {
    port,
    warning: `container ${container} declares ports ${all}, and ${port} is called: name the right one "http", or set slimfaas.dev/port`,
  };
}

/**
 * Kubernetes has `appProtocol` on ports of Services only, and which Services select a pod is not in the pod. On a
 * container's port there is the name, by which Istio (`grpc`, `grpc-web`, `http2`) and Knative (`h2c`) go too.
 */
const H2C_PORT_NAME = /^(h2c|grpc|http2)(-|$)/;

/** What the port speaks: the annotation's word, else the name that a container gave the port, else HTTP/1.1. */
export function appProtocolOf(pod: V1Pod, port: number, annotated: AppProtocol | undefined): AppProtocol {
  if (annotated !== undefined) return annotated;
  const declared = rankedContainers(pod)
    .flatMap(({ ports }) => ports ?? [])
    .find(({ containerPort }) => containerPort === port);
  return H2C_PORT_NAME.test(declared?.name ?? '') ? 'h2c' : 'http1';
}

/** The sidecar speaks no TLS to the app: within a pod there is nobody to hide from, and calls would all fail. */
export function tlsFault(pod: V1Pod, port: number, annotated: AppProtocol | undefined): string | undefined {
  if (annotated !== undefined || !speaksTls(pod, port)) return undefined;
  return `port ${port} speaks TLS, by its name or its probe, and the sidecar calls it without: let the app serve plain HTTP too and name that port in slimfaas.dev/port; if it does on this one, say slimfaas.dev/app-protocol: http1`;
}
