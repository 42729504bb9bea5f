/**
 * What the sidecar must know of the user's containers, read from the pod: the port that it calls and what that port
 * speaks. Pure, and read-only: the user's containers stay as they are.
 */
import type { AppProtocol } from '../../common/function/spec.ts';
import { findAppPort, isProbedOverTls, nameOfPort } from '../../common/kube/model/app-port.ts';
import type { V1Pod } from '../../common/kube/client.ts';

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
const HTTPS_PORT_NAME = /^https(-|$)/;

/** What the port speaks: the annotation's value, else the name that a container gave the port, else its probe. */
export function appProtocolOf(pod: V1Pod, port: number, annotated: AppProtocol | undefined): AppProtocol {
  if (annotated !== undefined) return annotated;
  const name = nameOfPort(pod, port) ?? '';
  if (H2C_PORT_NAME.test(name)) return 'h2c';
  return HTTPS_PORT_NAME.test(name) || isProbedOverTls(pod, port) ? 'https' : 'http1';
}

/** HTTP/2 over TLS, which the sidecar does not speak to its app. */
export function protocolFault(pod: V1Pod, port: number, protocol: AppProtocol): string | undefined {
  if (protocol !== 'h2c' || !isProbedOverTls(pod, port)) return undefined;
  return `port ${port} speaks HTTP/2, by its name or slimfaas.dev/app-protocol, and TLS, by its probe; the sidecar calls its app with HTTP/2 without TLS only: serve h2c on a port of its own and name that in slimfaas.dev/port, or say slimfaas.dev/app-protocol: https if it takes HTTP/1.1 over TLS`;
}
