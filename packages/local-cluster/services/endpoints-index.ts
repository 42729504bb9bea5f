/** The ready addresses of every service, from the EndpointSlices, as kube-proxy keeps them. */
import type { ClusterApi, KubeObject } from '../api/objects/types.ts';
import { objectKey } from '../controllers/workloads/objects.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

const SERVICE_LABEL = 'kubernetes.io/service-name';

export class EndpointsIndex {
  /** `namespace/service` → slice key → port name → addresses. */
  readonly #slices = new Map<string, Map<string, Map<string, Address[]>>>();
  readonly #release: () => void;

  constructor(api: ClusterApi, onChange: (serviceKey: string) => void) {
    this.#release = api.watch('endpointslices', (type, slice) => {
      const service = slice.metadata.labels?.[SERVICE_LABEL];
      if (service === undefined) return;
      const serviceKey = `${slice.metadata.namespace}/${service}`;
      const slices = this.#slices.get(serviceKey) ?? new Map<string, Map<string, Address[]>>();
      this.#slices.set(serviceKey, slices);
      if (type === 'DELETED') slices.delete(objectKey(slice));
      else slices.set(objectKey(slice), readyAddresses(slice));
      if (slices.size === 0) this.#slices.delete(serviceKey);
      onChange(serviceKey);
    });
  }

  /** @param portName as the service names the port; '' for a single unnamed one */
  ready(serviceKey: string, portName: string): Address[] {
    const slices = this.#slices.get(serviceKey)?.values() ?? [];
    return [...slices].flatMap((ports) => ports.get(portName) ?? []);
  }

  stop(): void {
    this.#release();
  }
}

function readyAddresses(slice: KubeObject): Map<string, Address[]> {
  const endpoints = (slice['endpoints'] ?? []) as { addresses: string[]; conditions: { ready: boolean } }[];
  const hosts = endpoints.filter(({ conditions }) => conditions.ready).flatMap(({ addresses }) => addresses);
  const ports = (slice['ports'] ?? []) as { name?: string; port: number }[];
  return new Map(ports.map(({ name = '', port }) => [name, hosts.map((host) => ({ host, port }))]));
}
