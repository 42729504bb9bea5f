/**
 * The one door to the Kubernetes client library for what parts share: configuration and watching. It costs
 * 0.3–0.7 s and tens of megabytes to load, so the sidecar must never import this folder.
 *
 * Room `common/kube`: Kubernetes: clients, watches, what pods and workloads say.
 * Comes in: a kubeconfig, watch events.
 * Goes out: functions, owners, troubles, ports.
 */
import {
  AppsV1Api,
  CoordinationV1Api,
  CoreV1Api,
  DiscoveryV1Api,
  AdmissionregistrationV1Api,
  type KubeConfig,
} from '@kubernetes/client-node';

import { PartConfig } from './part-config.ts';

export type {
  V1Deployment,
  V1StatefulSet,
  V1Pod,
  V1PodSpec,
  V1Container,
  V1PodTemplateSpec,
  V1Probe,
  V1Lease,
  V1Secret,
  V1OwnerReference,
  V1Service,
  V1Endpoint,
  V1EndpointSlice,
  KubernetesObject,
} from '@kubernetes/client-node';

export interface KubeClients {
  readonly config: KubeConfig;
  readonly apps: AppsV1Api;
  readonly core: CoreV1Api;
  readonly coordination: CoordinationV1Api;
  readonly admission: AdmissionregistrationV1Api;
  readonly discovery: DiscoveryV1Api;
}

/**
 * In a pod its service account; elsewhere KUBECONFIG or ~/.kube/config. Makes no request.
 * @param userAgent by which the API server's logs and its objects' managed fields name the part
 */
export function loadKubeClients(userAgent: string): KubeClients {
  const config = new PartConfig(userAgent);
  config.loadFromDefault();
  return {
    config,
    apps: config.makeApiClient(AppsV1Api),
    core: config.makeApiClient(CoreV1Api),
    coordination: config.makeApiClient(CoordinationV1Api),
    admission: config.makeApiClient(AdmissionregistrationV1Api),
    discovery: config.makeApiClient(DiscoveryV1Api),
  };
}
