/**
 * EndpointSlices (and Endpoints, for old clients) of services with a selector: one slice for each set of
 * resolved ports, ready as the pods say. What it gives up: more than 100 endpoints still share one slice.
 */
import { isDeepStrictEqual } from 'node:util';
import { compileLabelSelector } from '../api/objects/selectors.ts';
import type { ClusterApi, KubeObject } from '../api/objects/types.ts';
import type { ControllerContext } from './context.ts';
import {
  controllerReference,
  isOwnedBy,
  isPodReady,
  isTerminal,
  objectKey,
  splitKey,
} from './workloads/objects.ts';
import { createWorkqueue, type Workqueue } from './workqueue.ts';

interface SlicePort {
  name: string;
  port: number;
  protocol: string;
}

export function startEndpoints({ api, log }: ControllerContext): Workqueue {
  const queue = createWorkqueue('endpoints', (key) => reconcile(api, key), log);
  const unwatchServices = api.watch('services', (type, service) => {
    if (type !== 'DELETED') queue.add(objectKey(service));
  });
  const unwatchPods = api.watch('pods', (_type, pod, previous) => {
    for (const service of api.list('services', { namespace: pod.metadata.namespace ?? '' })) {
      if (selects(service, pod) || (previous && selects(service, previous))) queue.add(objectKey(service));
    }
  });
  return {
    ...queue,
    async stop() {
      unwatchServices();
      unwatchPods();
      await queue.stop();
    },
  };
}

function selects(service: KubeObject, pod: KubeObject): boolean {
  const selector = service.spec?.selector as Record<string, string> | undefined;
  if (!selector || Object.keys(selector).length === 0) return false;
  return compileLabelSelector({ matchLabels: selector })(pod.metadata.labels ?? {});
}

async function reconcile(api: ClusterApi, key: string): Promise<void> {
  const { namespace, name } = splitKey(key);
  const service = api.get('services', namespace, name);
  if (!service?.spec.selector || service.spec.type === 'ExternalName') return;
  const pods = api
    .list('pods', { namespace })
    .filter((pod) => selects(service, pod) && pod.status?.podIP && !isTerminal(pod));
  const groups = groupByPorts(service, pods);
  const slices = api.list('endpointslices', { namespace }).filter((slice) => isOwnedBy(slice, service));
  const spare = new Set(slices);
  for (const { ports, endpoints } of groups) {
    const found = slices.find((slice) => spare.has(slice) && isDeepStrictEqual(slice.ports, ports));
    if (found) spare.delete(found);
    await (found ? updateSlice(api, found, endpoints) : createSlice(api, service, ports, endpoints));
  }
  for (const slice of spare) await api.delete('endpointslices', namespace, slice.metadata.name);
  await writeEndpoints(api, service, groups);
}

interface Group {
  readonly ports: SlicePort[];
  readonly endpoints: Record<string, unknown>[];
}

/** A named target port may be another number in another pod (in the middle of a rollout). */
function groupByPorts(service: KubeObject, pods: readonly KubeObject[]): Group[] {
  const groups = new Map<string, Group>();
  for (const pod of pods) {
    const ports = resolvePorts(service, pod);
    const key = JSON.stringify(ports);
    const group = groups.get(key) ?? { ports, endpoints: [] };
    group.endpoints.push(endpointOf(service, pod));
    groups.set(key, group);
  }
  return [...groups.values()];
}

interface ServicePort {
  name?: string;
  port: number;
  targetPort?: number | string;
  protocol?: string;
}

function resolvePorts(service: KubeObject, pod: KubeObject): SlicePort[] {
  const ports: SlicePort[] = [];
  for (const { name = '', port, targetPort, protocol = 'TCP' } of (service.spec.ports ??
    []) as ServicePort[]) {
    const number = typeof targetPort === 'string' ? namedPort(pod, targetPort) : (targetPort ?? port);
    if (number !== undefined) ports.push({ name, port: number, protocol });
  }
  return ports;
}

/** The number of a container port by its name (or the number itself, written as text). */
function namedPort(pod: KubeObject, name: string): number | undefined {
  const containers = [...(pod.spec.initContainers ?? []), ...pod.spec.containers] as {
    ports?: { name?: string; containerPort: number }[];
  }[];
  const found = containers.flatMap((container) => container.ports ?? []).find((port) => port.name === name);
  return found?.containerPort ?? (/^\d+$/.test(name) ? Number(name) : undefined);
}

function endpointOf(service: KubeObject, pod: KubeObject): Record<string, unknown> {
  const { name, namespace, uid, deletionTimestamp } = pod.metadata;
  const isServing = isPodReady(pod) || service.spec.publishNotReadyAddresses === true;
  const isTerminating = deletionTimestamp !== undefined;
  const isUnderService = pod.spec.subdomain === service.metadata.name && pod.spec.hostname;
  return {
    addresses: [pod.status.podIP as string],
    conditions: {
      ready: isServing && (!isTerminating || service.spec.publishNotReadyAddresses === true),
      serving: isServing,
      terminating: isTerminating,
    },
    ...(isUnderService ? { hostname: pod.spec.hostname as string } : {}),
    nodeName: pod.spec.nodeName as string,
    targetRef: { kind: 'Pod', name, namespace, uid },
  };
}

async function createSlice(
  api: ClusterApi,
  service: KubeObject,
  ports: SlicePort[],
  endpoints: Record<string, unknown>[],
): Promise<void> {
  const { name, namespace } = service.metadata;
  await api.create('endpointslices', {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      generateName: `${name}-`,
      namespace,
      labels: {
        'kubernetes.io/service-name': name,
        'endpointslice.kubernetes.io/managed-by': 'endpointslice-controller.k8s.io',
      },
      ownerReferences: [controllerReference(service)],
    } as unknown as KubeObject['metadata'],
    addressType: 'IPv4',
    ports,
    endpoints,
  });
}

async function updateSlice(
  api: ClusterApi,
  slice: KubeObject,
  endpoints: Record<string, unknown>[],
): Promise<void> {
  await api.modify('endpointslices', slice.metadata.namespace, slice.metadata.name, (draft) => {
    if (isDeepStrictEqual(draft.endpoints, endpoints)) return false;
    draft.endpoints = endpoints;
    return undefined;
  });
}

async function writeEndpoints(api: ClusterApi, service: KubeObject, groups: readonly Group[]): Promise<void> {
  const { name, namespace, labels } = service.metadata;
  const subsets = groups.map(({ ports, endpoints }) => {
    const addresses = endpoints.filter((e) => isReadyEndpoint(e)).map(legacyAddress);
    const notReadyAddresses = endpoints.filter((e) => !isReadyEndpoint(e)).map(legacyAddress);
    return {
      ...(addresses.length > 0 ? { addresses } : {}),
      ...(notReadyAddresses.length > 0 ? { notReadyAddresses } : {}),
      ports,
    };
  });
  const existing = api.get('endpoints', namespace, name);
  if (!existing) {
    const metadata = {
      name,
      namespace,
      ...(labels ? { labels } : {}),
      ownerReferences: [controllerReference(service)],
    } as unknown as KubeObject['metadata'];
    await api.create('endpoints', { apiVersion: 'v1', kind: 'Endpoints', metadata, subsets });
    return;
  }
  await api.modify('endpoints', namespace, name, (draft) => {
    if (isDeepStrictEqual(draft.subsets ?? [], subsets)) return false;
    draft.subsets = subsets;
    return undefined;
  });
}

function isReadyEndpoint(endpoint: Record<string, unknown>): boolean {
  return (endpoint.conditions as { ready: boolean }).ready;
}

function legacyAddress(endpoint: Record<string, unknown>) {
  const { addresses, nodeName, targetRef } = endpoint as Record<string, unknown> & { addresses: string[] };
  return { ip: addresses[0], nodeName, targetRef };
}
