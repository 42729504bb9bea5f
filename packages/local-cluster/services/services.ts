/**
 * Services: an address of the cluster's own range for each, and a listener behind it for as long as an endpoint is
 * there to be called. So a connection is refused when none is, as with kube-proxy. NodePorts and host ports listen on 127.0.0.1,
 * as does whatever is published like a `kubectl port-forward`.
 *
 * Room `packages/local-cluster/services`: Services as loopback listeners.
 * Comes in: services and endpoints.
 * Goes out: open ports.
 */
import type { Running } from '../../../common/runtime/lifecycle.ts';
import type { Log } from '../../../common/runtime/log.ts';
import type { ServiceResolver } from '../api/verbs/runtime-hooks.ts';
import type { ClusterApi, KubeObject } from '../api/objects/types.ts';
import { objectKey, splitKey } from '../controllers/workloads/objects.ts';
import { createWorkqueue } from '../controllers/workqueue.ts';
import { EndpointsIndex, type Address } from './endpoints-index.ts';
import { startHostPorts } from './host-ports.ts';
import type { Forwarder } from './forwarder.ts';
import { Listeners, type WantedListener } from './listeners.ts';

export interface ServicesOptions {
  readonly api: ClusterApi;
  readonly allocateIp: () => string;
  readonly isPodAddress: (address: string) => boolean;
  readonly log: Log;
}

export interface Services extends Running {
  readonly resolve: ServiceResolver;
  /** Listens on 127.0.0.1:`port` (0: a free one) for a service, whether it has endpoints or not. */
  publish(port: number, namespace: string, service: string, servicePort: number): Promise<Address>;
}

interface ServicePort {
  readonly name?: string;
  readonly port: number;
  readonly nodePort?: number;
}

const NODE_PORT_FIRST = 30_000;
const NODE_PORTS = 2_768;

export function startServices(options: ServicesOptions): Services {
  const { api, log } = options;
  const listeners = new Listeners(options);
  const queue = createWorkqueue('services', (key) => reconcile(key, options, listeners, index), log);
  const index = new EndpointsIndex(api, (key) => queue.add(key));
  const unwatch = api.watch('services', (_, service) => queue.add(objectKey(service)));
  const hostPorts = startHostPorts(api, listeners, log);
  const published: Forwarder[] = [];
  const choose = (namespace: string, name: string, port: number): Address | undefined => {
    const service = api.get('services', namespace, name);
    const found = portsOf(service).find((candidate) => candidate.port === port);
    return found && pick(index.callable(`${namespace}/${name}`, found.name ?? ''));
  };
  return {
    resolve: choose,
    async publish(port, namespace, service, servicePort) {
      const forwarder = await listeners.open({
        host: '127.0.0.1',
        port,
        choose: () => choose(namespace, service, servicePort),
      });
      published.push(forwarder);
      return forwarder.address;
    },
    async stop() {
      unwatch();
      index.stop();
      await Promise.all([queue.stop(), hostPorts.stop()]);
      for (const forwarder of published) forwarder.close();
      listeners.closeAll();
    },
  };
}

async function reconcile(
  key: string,
  options: ServicesOptions,
  listeners: Listeners,
  index: EndpointsIndex,
): Promise<void> {
  const { namespace, name } = splitKey(key);
  const service = options.api.get('services', namespace, name);
  const wanted = service ? await addressed(service, options) : undefined;
  await listeners.apply(`service ${key}`, wanted ? listenersOf(wanted, index) : []);
}

/** With its cluster address and node ports filled in; undefined: headless, or a mere alias. */
async function addressed(
  service: KubeObject,
  { api, allocateIp }: ServicesOptions,
): Promise<KubeObject | undefined> {
  const { clusterIP, type, selector } = service.spec;
  if (clusterIP === 'None' || type === 'ExternalName' || !selector) return undefined;
  const wantsNodePorts = type === 'NodePort' || type === 'LoadBalancer';
  if (clusterIP && !(wantsNodePorts && portsOf(service).some((port) => !port.nodePort))) return service;
  return api.modify('services', service.metadata.namespace, service.metadata.name, (draft) => {
    draft['spec'].clusterIP ??= allocateIp();
    draft['spec'].clusterIPs ??= [draft['spec'].clusterIP];
    if (!wantsNodePorts) return;
    for (const port of draft['spec'].ports) port.nodePort ??= freeNodePort(api);
  });
}

/** By chance, as in a real cluster, and so that two clusters on this machine hardly meet. */
function freeNodePort(api: ClusterApi): number {
  const taken = new Set(
    api.list('services').flatMap((service) => portsOf(service).map((port) => port.nodePort)),
  );
  for (;;) {
    const port = NODE_PORT_FIRST + Math.floor(Math.random() * NODE_PORTS);
    if (!taken.has(port)) return port;
  }
}

function listenersOf(service: KubeObject, index: EndpointsIndex): WantedListener[] {
  const key = objectKey(service);
  return portsOf(service).flatMap(({ name = '', port, nodePort }) => {
    if (index.callable(key, name).length === 0) return [];
    const choose = () => pick(index.callable(key, name));
    const cluster = { host: service['spec'].clusterIP as string, port, purpose: name, choose };
    return nodePort === undefined
      ? [cluster]
      : [cluster, { host: '127.0.0.1', port: nodePort, purpose: name, choose }];
  });
}

function portsOf(service: KubeObject | undefined): ServicePort[] {
  return (service?.['spec'].ports ?? []) as ServicePort[];
}

function pick(addresses: readonly Address[]): Address | undefined {
  return addresses[Math.floor(Math.random() * addresses.length)];
}
