/** EndpointSlices as they should be, and as they are: pure, and comparable by one text. */
import type { V1Endpoint, V1EndpointSlice, V1OwnerReference } from '../../common/kube/client.ts';
import {
  readWakeSlice,
  wakeFieldsOf,
  wakeMetadata,
  wakeSliceName,
  type WakePort,
} from '../../common/kube/wake-slice.ts';
import type { Match } from './match.ts';
import type { ProxyPod } from './proxies.ts';

/** One write at a time for each slice; see `slice-writer.ts`. */
export interface SliceWrites {
  isBusy(key: string): boolean;
  /** Somebody else has a slice of that name, which is not ours to change. */
  isTaken(key: string): boolean;
  create(key: string, body: V1EndpointSlice): void;
  replace(key: string, body: V1EndpointSlice): void;
  remove(key: string, slice: WrittenSlice): void;
}

/** A slice of ours, as last written. */
export interface WrittenSlice {
  readonly namespace: string;
  readonly name: string;
  readonly uid: string;
  readonly resourceVersion: string;
  readonly addressType: string;
  readonly ports: readonly WakePort[];
  readonly addresses: ReadonlySet<string>;
  /** New connections go to the proxies, and not to them only where there is nobody else. */
  readonly leads: boolean;
  /** {@link sliceText} of it. */
  readonly text: string;
}

export function viewSlice(slice: V1EndpointSlice): WrittenSlice {
  const { namespace = '', name = '', uid = '', resourceVersion = '' } = slice.metadata ?? {};
  return {
    namespace,
    name,
    uid,
    resourceVersion,
    addressType: slice.addressType,
    ports: readWakeSlice(slice)?.ports ?? [],
    addresses: new Set((slice.endpoints ?? []).flatMap(({ addresses }) => addresses)),
    leads: (slice.endpoints ?? []).some(({ conditions }) => conditions?.ready === true),
    text: sliceText(slice),
  };
}

/**
 * `first`: the proxies are ready endpoints. `last`: they are endpoints that end and serve still. To these Kubernetes
 * sends new connections only where a Service has no ready endpoint.
 */
export type Stand = 'first' | 'last';

export interface SlicePlan {
  readonly match: Match;
  readonly ports: readonly WakePort[];
  readonly proxies: readonly ProxyPod[];
  /** See {@link Stand}. */
  readonly stand: Stand;
  readonly family: 'IPv4' | 'IPv6';
  /** Goes with the installation; undefined: nothing takes the slice along. */
  readonly owner: V1OwnerReference | undefined;
  readonly installation: string;
}

export function sliceOf(plan: SlicePlan): V1EndpointSlice {
  const { match, ports, proxies, stand, family, owner, installation } = plan;
  const { service, workload } = match;
  return {
    apiVersion: 'discovery.k8s.io/v1',
    kind: 'EndpointSlice',
    metadata: {
      name: wakeSliceName(service.name),
      namespace: service.namespace,
      ...wakeMetadata({ service: service.name, wakes: workload.id.name, ports }, installation),
      ...(owner ? { ownerReferences: [owner] } : {}),
    },
    addressType: family,
    ports: ports.map(({ name, port }) => ({ name, port, protocol: 'TCP' })),
    endpoints: proxies.map((proxy) => endpointOf(proxy, stand)),
  };
}

/** Every condition is said: some readers take a missing one for `false`. */
function endpointOf({ ip, node, name, namespace, uid }: ProxyPod, stand: Stand): V1Endpoint {
  return {
    addresses: [ip],
    conditions: { ready: stand === 'first', serving: true, terminating: stand === 'last' },
    ...(node === undefined ? {} : { nodeName: node }),
    targetRef: { kind: 'Pod', name, namespace, uid },
  };
}

/** All that we write, and nothing that others add. */
export function sliceText(slice: V1EndpointSlice): string {
  const { metadata, addressType, ports, endpoints } = slice;
  const picked = [
    wakeFieldsOf(slice),
    metadata?.ownerReferences?.map(({ uid }) => uid) ?? [],
    addressType,
    (ports ?? []).map(({ name, port, protocol }) => [name ?? '', port, protocol]),
    (endpoints ?? []).map((e) => [
      e.addresses,
      e.conditions?.ready,
      e.conditions?.serving,
      e.conditions?.terminating,
      e.nodeName,
      e.targetRef?.uid,
    ]),
  ];
  return JSON.stringify(picked);
}
