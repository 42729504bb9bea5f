/**
 * Leads the Services of sleeping functions to the proxies. For each Service of a function with
 * `slimfaas.dev/services: wake` it keeps one EndpointSlice. It names the proxies that listen for that Service. While
 * the function has no ready pod they are ready endpoints. Else they are endpoints that end and serve still, which
 * Kubernetes takes only where a Service has no ready one. The Service is never changed.
 *
 * So no connection is refused, whoever hears first of a change. The last ready pod may go at any time, also when this
 * scaler is away: the proxies stand behind it. They come first as soon as the count is set to 0, and stand back
 * {@link AWAKE_MS} after a pod has become ready. That is for readers that take ready endpoints alone. In between both
 * answer. A pod that ends is taken out well before it stops (webhook/inject/sidecar-container.ts).
 *
 * The leader alone writes. Nothing is decided before all watches have listed once, or while one is broken.
 *
 * Room `scaler/services`: Leads the Services of sleeping functions to the proxies.
 * Comes in: Services, EndpointSlices, pods of proxies, and the ports on which they listen.
 * Goes out: EndpointSlices, faults.
 */
import type { V1EndpointSlice, V1OwnerReference, V1Pod, V1Service } from '../../common/kube/client.ts';
import type { ServicePortsMessage } from '../../common/bus/service-ports.ts';
import { functionKey } from '../../common/bus/subjects.ts';
import { idOf } from '../../common/kube/model/identity.ts';
import type { WakePort } from '../../common/kube/wake-slice.ts';
import { wakeSliceName } from '../../common/kube/wake-slice.ts';
import type { ServiceFaults } from '../faults/service-faults.ts';
import type { Workload } from '../world/kube-objects.ts';
import { isOlder, type WorldView } from '../world/world.ts';
import { matchServices, ServiceIndex, viewService, type Match } from './match.ts';
import type { PortRange } from './ports.ts';
import { Proxies } from './proxies.ts';
import { sliceOf, sliceText, viewSlice, type Stand, type WrittenSlice } from './slices.ts';

/** Endpoint controller and kube-proxy have heard of a ready pod by then, as a rule. */
const AWAKE_MS = 3_000;

/** One write at a time for each slice; see `slice-writer.ts`. */
export interface SliceWrites {
  isBusy(key: string): boolean;
  create(key: string, body: V1EndpointSlice): void;
  replace(key: string, body: V1EndpointSlice): void;
  remove(key: string, slice: WrittenSlice): void;
}

/** Undefined: it is not known yet, nothing is written. `unreadable`: neither, and functions are told. */
export type SliceOwner = V1OwnerReference | 'none' | 'unreadable' | undefined;

export interface KeeperOptions {
  readonly world: Pick<WorldView, 'workloads' | 'podsOf' | 'workload'>;
  readonly ports: PortRange;
  readonly writes: SliceWrites;
  readonly installation: string;
  readonly owner: () => SliceOwner;
  /** Leads, and all that decisions rest on is known. */
  readonly mayAct: () => boolean;
  /** NATS is away, or came back a moment ago. */
  readonly mayMissReports: () => boolean;
  readonly faults: ServiceFaults;
  readonly onFaultsChanged: (workload: Workload) => void;
  readonly now: () => number;
}

export class ServiceKeeper {
  readonly #options: KeeperOptions;
  readonly #services = new ServiceIndex();
  readonly #slices = new Map<string, WrittenSlice>();
  readonly #proxies: Proxies;
  /** Since when a function has had a ready pod. */
  readonly #awakeSince = new Map<string, number>();
  /** In this pass. */
  #refused = new Map<string, string[]>();
  #matches = new Map<string, Match>();
  /** By slice and by name of the Service's port: the proxies' port. */
  readonly #given = new Map<string, Map<string, number>>();

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#proxies = new Proxies(options.now, options.mayMissReports);
  }

  onService(object: V1Service): void {
    const view = viewService(object);
    if (view) this.#services.set(view);
    else this.#services.delete(keyOf(object));
  }

  onServiceGone(object: V1Service): void {
    this.#services.delete(keyOf(object));
  }

  /** Also told by a write of ours, before the watch tells it. */
  onSlice(object: V1EndpointSlice): void {
    const written = viewSlice(object);
    const known = this.#slices.get(keyOf(object));
    if (known?.uid === written.uid && isOlder(written.resourceVersion, known.resourceVersion)) return;
    this.#slices.set(keyOf(object), written);
    const given = this.#givenTo(keyOf(object));
    for (const { name, port } of written.ports)
      if (!given.has(name) && this.#options.ports.claim(port, keyOf(object))) given.set(name, port);
  }

  /** @param key `namespace/name` of the slice */
  onSliceGone(key: string): void {
    this.#slices.delete(key);
  }

  onProxy(pod: V1Pod): void {
    this.#proxies.setPod(pod);
  }

  onProxyGone(pod: V1Pod): void {
    this.#proxies.deletePod(pod.metadata?.name ?? '');
  }

  heard(message: ServicePortsMessage): void {
    this.#proxies.heard(message);
  }

  /** Services that lead to proxies or would, and those of them that do now. */
  get counts(): { readonly services: number; readonly asleep: number; readonly refused: number } {
    let asleep = 0;
    for (const { leads } of this.#slices.values()) if (leads) asleep++;
    return { services: this.#matches.size, asleep, refused: this.#options.faults.size };
  }

  /** Brings all slices in line with what the watches tell. Cheap where nothing has changed. */
  pass(): void {
    const { mayAct, owner, world } = this.#options;
    if (!mayAct()) return;
    this.#refused = new Map();
    const { family } = this.#proxies;
    this.#matches = matchServices(world.workloads(), this.#services, family, (...args) =>
      this.#refuse(...args),
    );
    // Asked for only where it is needed: most installations keep no slice.
    const ownedBy = this.#matches.size > 0 ? owner() : 'none';
    if (ownedBy === 'unreadable') this.#refuseAll();
    else if (ownedBy !== undefined)
      for (const match of this.#sleepingFirst())
        this.#keep(match, family, ownedBy === 'none' ? undefined : ownedBy);
    this.#removeSpare();
    this.#tellFaults();
  }

  /** So many writes a second are allowed: who leads to a proxy that is gone comes before who has pods. */
  #sleepingFirst(): readonly Match[] {
    const isFirst = ({ service, workload }: Match): boolean =>
      workload.replicas === 0 || this.#slices.get(sliceKeyOf(service))?.leads === true;
    const all = [...this.#matches.values()];
    return [...all.filter(isFirst), ...all.filter((match) => !isFirst(match))];
  }

  #refuseAll(): void {
    const why = 'the scaler cannot read the ClusterRole that is to own its EndpointSlices; its log says why';
    for (const { service, workload } of this.#matches.values())
      this.#refuse(workload, `${service.namespace}/${service.name}`, why);
  }

  #keep(match: Match, family: 'IPv4' | 'IPv6' | undefined, owner: V1OwnerReference | undefined): void {
    const { writes, installation } = this.#options;
    const key = sliceKeyOf(match.service);
    const written = this.#slices.get(key);
    const named = written?.addresses ?? new Set<string>();
    const stand = this.#standOf(match.workload, written?.leads === true);
    if (writes.isBusy(key) || (!written && !family)) return;
    const proxyFamily = family ?? (written?.addressType === 'IPv6' ? 'IPv6' : 'IPv4');
    // What a slice's address type is cannot be changed.
    if (written && written.addressType !== proxyFamily) return writes.remove(key, written);
    const ports = this.#portsOf(match, key);
    if (!ports) return;
    const numbers = ports.map(({ port }) => port);
    const proxies = this.#proxies.listening(numbers, named);
    const body = sliceOf({ match, ports, proxies, stand, family: proxyFamily, owner, installation });
    if (!written) return writes.create(key, body);
    if (sliceText(body) === written.text) return;
    body.metadata = { ...body.metadata, resourceVersion: written.resourceVersion };
    writes.replace(key, body);
  }

  /** Also keeps since when the function is awake. @param leads the slice leads to proxies now */
  #standOf(workload: Workload, leads: boolean): Stand {
    const { world, now } = this.#options;
    const isReady = [...world.podsOf(workload).values()].some((pod) => pod.isReady && !pod.isEnding);
    if (workload.replicas === 0 || !isReady) {
      this.#awakeSince.delete(workload.key);
      return 'first';
    }
    const since = this.#awakeSince.get(workload.key) ?? now();
    this.#awakeSince.set(workload.key, since);
    return leads && now() - since < AWAKE_MS ? 'first' : 'last';
  }

  /** Those that it had, and new ones for new ports of the Service; undefined when none is left. */
  #portsOf({ service, workload }: Match, key: string): WakePort[] | undefined {
    const given = this.#givenTo(key);
    for (const { name } of service.ports) {
      const port = given.get(name) ?? this.#options.ports.give(key);
      if (port === undefined) {
        const why = 'no port of the proxies is left for it: see --services-ports-last of the scaler';
        this.#refuse(workload, `${service.namespace}/${service.name}`, why);
        return undefined;
      }
      given.set(name, port);
    }
    for (const name of given.keys())
      if (!service.ports.some((port) => port.name === name)) this.#takeBack(key, name);
    return service.ports.map(({ name, target }) => ({ name, target, port: given.get(name) as number }));
  }

  #givenTo(key: string): Map<string, number> {
    const given = this.#given.get(key) ?? new Map<string, number>();
    this.#given.set(key, given);
    return given;
  }

  /** @param only the Service's port of that name; undefined: all of them */
  #takeBack(key: string, only?: string): void {
    const given = this.#given.get(key);
    for (const [name, port] of given ?? []) {
      if (only !== undefined && name !== only) continue;
      this.#options.ports.release(port, key);
      given?.delete(name);
    }
    if (given?.size === 0) this.#given.delete(key);
  }

  #refuse(workload: Workload, service: string, why: string): void {
    const message = `Service ${service} does not wake it: ${why}`;
    this.#refused.set(workload.key, [...(this.#refused.get(workload.key) ?? []), message].toSorted());
  }

  #tellFaults(): void {
    const { faults, world, onFaultsChanged } = this.#options;
    for (const key of faults.replace(this.#refused)) {
      const workload = world.workload(key);
      if (workload) onFaultsChanged(workload);
    }
  }

  #removeSpare(): void {
    const { writes } = this.#options;
    const kept = new Set([...this.#matches.values()].map(({ service }) => sliceKeyOf(service)));
    for (const [key, slice] of this.#slices)
      if (!kept.has(key) && !writes.isBusy(key)) writes.remove(key, slice);
    for (const key of this.#given.keys()) if (!kept.has(key) && !this.#slices.has(key)) this.#takeBack(key);
    for (const key of this.#awakeSince.keys())
      if (this.#options.world.workload(key)?.fn?.spec.services !== 'wake') this.#awakeSince.delete(key);
  }
}

function sliceKeyOf({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${wakeSliceName(name)}`;
}

function keyOf(object: V1Service | V1EndpointSlice): string {
  return functionKey(idOf(object));
}
