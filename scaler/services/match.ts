/**
 * Which Services are a function's own and which of them can lead to the proxies, or why not. A Service is a
 * function's if its selector fits the labels of the function's pods. Pure; types only.
 */
import type { V1Service } from '../../common/kube/client.ts';
import { isTcp } from '../../common/kube/model/containers.ts';
import type { Workload } from '../world/kube-objects.ts';

export interface ServicePort {
  readonly name: string;
  /** On the pods: a number, or a name that a container gives its port. */
  readonly target: string;
}

/** What is kept of a Service. */
export interface ServiceView {
  readonly namespace: string;
  readonly name: string;
  readonly selector: Readonly<Record<string, string>>;
  readonly families: readonly string[];
  /** TCP ports alone. */
  readonly ports: readonly ServicePort[];
  /** Why no proxy can stand in for its pods; undefined: one can. */
  readonly obstacle: string | undefined;
}

/** Undefined for a Service without a selector: its endpoints are set by others. */
export function viewService({ metadata, spec }: V1Service): ServiceView | undefined {
  const { namespace, name } = metadata ?? {};
  const selector = spec?.selector ?? {};
  if (!namespace || !name || Object.keys(selector).length === 0 || spec?.type === 'ExternalName')
    return undefined;
  const ports = (spec?.ports ?? []).filter(isTcp).map(({ name: portName = '', port, targetPort }) => ({
    name: portName,
    target: String(targetPort ?? port),
  }));
  return {
    namespace,
    name,
    selector,
    families: spec?.ipFamilies ?? [],
    ports,
    obstacle: obstacleOf(spec, ports.length),
  };
}

function obstacleOf(spec: V1Service['spec'], tcpPorts: number): string | undefined {
  if (spec?.clusterIP === 'None')
    return 'it is headless (clusterIP: None): its names are those of pods, and there is none to call';
  if (spec?.publishNotReadyAddresses === true)
    return 'publishNotReadyAddresses sends callers to pods that are not ready';
  if (spec?.internalTrafficPolicy === 'Local')
    return 'internalTrafficPolicy: Local drops calls on nodes that have no proxy; use Cluster';
  if (tcpPorts === 0) return 'it has no TCP port';
  return undefined;
}

export interface Match {
  readonly service: ServiceView;
  readonly workload: Workload;
}

export class ServiceIndex {
  readonly #byKey = new Map<string, ServiceView>();
  /** By one pair of its selector: then a function looks at few Services, however many its namespace has. */
  readonly #byPair = new Map<string, Map<string, ServiceView>>();
  /** Counts changes. */
  version = 0;

  get(key: string): ServiceView | undefined {
    return this.#byKey.get(key);
  }

  set(service: ServiceView): void {
    const key = `${service.namespace}/${service.name}`;
    this.delete(key);
    this.version++;
    this.#byKey.set(key, service);
    const pair = pairOf(service);
    const same = this.#byPair.get(pair) ?? new Map<string, ServiceView>();
    this.#byPair.set(pair, same.set(key, service));
  }

  delete(key: string): void {
    const service = this.#byKey.get(key);
    if (!service) return;
    this.version++;
    this.#byKey.delete(key);
    const same = this.#byPair.get(pairOf(service));
    same?.delete(key);
    if (same?.size === 0) this.#byPair.delete(pairOf(service));
  }

  *of({ id, podLabels = {} }: Workload): Iterable<[string, ServiceView]> {
    for (const [label, value] of Object.entries(podLabels))
      for (const [key, service] of this.#byPair.get(`${id.namespace} ${label}=${value}`) ?? [])
        if (Object.entries(service.selector).every(([name, text]) => podLabels[name] === text))
          yield [key, service];
  }
}

function pairOf({ namespace, selector }: ServiceView): string {
  const [first = ['', '']] = Object.entries(selector).toSorted();
  return `${namespace} ${first[0]}=${first[1]}`;
}

/**
 * @param family that the proxies' addresses have; undefined while none is known
 * @param refuse takes each Service that is a function's own and cannot lead to the proxies
 * @returns by the Service's `namespace/name`
 */
export function matchServices(
  workloads: Iterable<Workload>,
  services: ServiceIndex,
  family: 'IPv4' | 'IPv6' | undefined,
  refuse: (workload: Workload, service: string, why: string) => void,
): Map<string, Match> {
  const matches = new Map<string, Match>();
  const shared = new Map<string, Workload[]>();
  for (const workload of workloads) {
    if (workload.fn?.spec.services !== 'wake') continue;
    for (const [key, service] of services.of(workload)) {
      const why = service.obstacle ?? wrongFamily(service, family);
      const other = matches.get(key)?.workload ?? shared.get(key)?.[0];
      if (why !== undefined) refuse(workload, key, why);
      else if (other) shared.set(key, [...(shared.get(key) ?? [other]), workload]);
      else matches.set(key, { service, workload });
      if (other) matches.delete(key);
    }
  }
  for (const [key, all] of shared)
    for (const workload of all)
      refuse(
        workload,
        key,
        `it selects the pods of several functions (${all.map(({ id }) => id.name).join(', ')})`,
      );
  return matches;
}

function wrongFamily({ families }: ServiceView, family: string | undefined): string | undefined {
  if (family === undefined || families.length === 0 || families.includes(family)) return undefined;
  return `it is ${families.join(', ')} only, and the proxies' addresses are ${family}`;
}
