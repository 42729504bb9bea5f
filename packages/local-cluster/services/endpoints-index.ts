/**
 * The addresses to which each service leads, from the EndpointSlices, as kube-proxy chooses them: the ready ones.
 * Where there is none, those that end and serve still.
 */
import type { ClusterApi, KubeObject } from '../api/objects/types.ts';
import { objectKey } from '../controllers/workloads/objects.ts';

export interface Address {
  readonly host: string;
  readonly port: number;
}

interface PortAddresses {
  readonly ready: readonly Address[];
  readonly ending: readonly Address[];
}

const SERVICE_LABEL = 'kubernetes.io/service-name';

export class EndpointsIndex {
  /** `namespace/service` → slice key → port name → addresses. */
  readonly #slices = new Map<string, Map<string, Map<string, PortAddresses>>>();
  readonly #release: () => void;

  constructor(api: ClusterApi, onChange: (serviceKey: string) => void) {
    this.#release = api.watch('endpointslices', (type, slice) => {
      const service = slice.metadata.labels?.[SERVICE_LABEL];
      if (service === undefined) return;
      const serviceKey = `${slice.metadata.namespace}/${service}`;
      const slices = this.#slices.get(serviceKey) ?? new Map<string, Map<string, PortAddresses>>();
      this.#slices.set(serviceKey, slices);
      if (type === 'DELETED') slices.delete(objectKey(slice));
      else slices.set(objectKey(slice), addressesOf(slice));
      if (slices.size === 0) this.#slices.delete(serviceKey);
      onChange(serviceKey);
    });
  }

  /** @param portName as the service names the port; '' for a single unnamed one */
  callable(serviceKey: string, portName: string): readonly Address[] {
    const slices = [...(this.#slices.get(serviceKey)?.values() ?? [])];
    const found = slices.flatMap((ports) => ports.get(portName) ?? []);
    const ready = found.flatMap((addresses) => addresses.ready);
    return ready.length > 0 ? ready : found.flatMap(({ ending }) => ending);
  }

  stop(): void {
    this.#release();
  }
}

interface SliceEndpoint {
  readonly addresses: readonly string[];
  readonly conditions: {
    readonly ready: boolean;
    readonly serving?: boolean;
    readonly terminating?: boolean;
  };
}

function addressesOf(slice: KubeObject): Map<string, PortAddresses> {
  const endpoints = (slice['endpoints'] ?? []) as SliceEndpoint[];
  const hosts = (isWanted: (conditions: SliceEndpoint['conditions']) => boolean): string[] =>
    endpoints.filter(({ conditions }) => isWanted(conditions)).flatMap(({ addresses }) => addresses);
  const ready = hosts((conditions) => conditions.ready);
  const ending = hosts(
    ({ ready, serving, terminating }) => !ready && serving === true && terminating === true,
  );
  const ports = (slice['ports'] ?? []) as { name?: string; port: number }[];
  const at = (all: readonly string[], port: number): Address[] => all.map((host) => ({ host, port }));
  return new Map(
    ports.map(({ name = '', port }) => [name, { ready: at(ready, port), ending: at(ending, port) }]),
  );
}
