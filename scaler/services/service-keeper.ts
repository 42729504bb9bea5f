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
 * The leader alone writes. Nothing is decided before all watches have listed once, or while one is broken. A pass works out
 * the slices only of those Services for which something has changed.
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
import { hasReady, isSettled, keptFor, type Circumstances, type Kept } from './kept.ts';
import { matchServices, ServiceIndex, viewService, type Match } from './match.ts';
import { GivenPorts } from './given-ports.ts';
import type { PortRange } from './ports.ts';
import { Proxies } from './proxies.ts';
import { sliceOf, sliceText, viewSlice, type SliceWrites, type Stand, type WrittenSlice } from './slices.ts';

/** Endpoint controller and kube-proxy have heard of a ready pod by then, as a rule. */
const AWAKE_MS = 3_000;

/** Undefined: it is not known yet, nothing is written. `unreadable`: neither, and functions are told. */
export type SliceOwner = V1OwnerReference | 'none' | 'unreadable' | undefined;

export interface KeeperOptions {
  readonly world: Pick<WorldView, 'workloads' | 'podsOf' | 'workload' | 'specVersion' | 'version'>;
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
  readonly #given: GivenPorts;
  /** By key of the slice. */
  #kept: ReadonlyMap<string, Kept> = new Map();
  #matchedFor = '';
  /** Services that cannot lead to proxies, of the last matching. */
  #unfit: ReadonlyMap<string, string[]> = new Map();
  /** The same, and of the last pass. */
  #refused = new Map<string, string[]>();
  #slicesVersion = 0;
  #isActing = false;
  /** What the last pass was for, if it left nothing to do: no write, and nothing that waits for its time. */
  #quietFor: string | undefined;
  #isQuiet = false;

  constructor(options: KeeperOptions) {
    this.#options = options;
    this.#proxies = new Proxies(options.now, options.mayMissReports);
    this.#given = new GivenPorts(options.ports);
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
    this.#setSlice(keyOf(object), written);
    if (this.#isActing) this.#given.claim(keyOf(object), written.ports);
  }

  /** @param key `namespace/name` of the slice */
  onSliceGone(key: string): void {
    this.#setSlice(key, undefined);
  }

  #setSlice(key: string, written: WrittenSlice | undefined): void {
    if (written) this.#slices.set(key, written);
    else this.#slices.delete(key);
    const kept = this.#kept.get(key);
    if (kept) kept.written = written;
    this.#slicesVersion++;
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
    return { services: this.#kept.size, asleep, refused: this.#options.faults.size };
  }

  /** For a follower: what the slices leave free. */
  get freePorts(): number {
    const { ports } = this.#options;
    if (this.#isActing) return ports.free;
    let used = 0;
    for (const slice of this.#slices.values()) used += slice.ports.length;
    return Math.max(0, ports.size - used);
  }

  /** Brings all slices in line with what the watches tell. Where nothing has changed it does nothing. */
  pass(): void {
    const { mayAct, owner, world } = this.#options;
    if (mayAct() !== this.#isActing) this.#turn();
    if (!this.#isActing) return;
    const { family } = this.#proxies;
    this.#match(family);
    // Asked for only where it is needed: most installations keep no slice.
    const ownedBy = this.#kept.size > 0 ? owner() : 'none';
    const proxies = this.#proxies.look();
    const uid = typeof ownedBy === 'object' ? ownedBy.uid : ownedBy;
    const state = [this.#matchedFor, world.version, this.#slicesVersion, proxies, uid].join(' ');
    if (state === this.#quietFor) return;
    this.#isQuiet = ownedBy !== undefined;
    this.#refused = new Map(this.#unfit);
    if (ownedBy === 'unreadable') this.#refuseAll();
    else if (ownedBy !== undefined)
      this.#keepAll({ family, proxies, owner: ownedBy === 'none' ? undefined : ownedBy });
    this.#removeSpare();
    this.#tellFaults();
    this.#quietFor = this.#isQuiet ? state : undefined;
  }

  /** Begins to act, or ends. Others may have given ports meanwhile, and pods have come and gone. */
  #turn(): void {
    this.#isActing = !this.#isActing;
    this.#kept = new Map();
    this.#matchedFor = '';
    if (this.#isActing) this.#given.follow(this.#slices, (key) => this.#options.writes.isBusy(key));
  }

  #match(family: 'IPv4' | 'IPv6' | undefined): void {
    const { world } = this.#options;
    const version = `${world.specVersion} ${this.#services.version} ${family}`;
    if (version === this.#matchedFor) return;
    this.#matchedFor = version;
    this.#refused = new Map();
    const matches = matchServices(world.workloads(), this.#services, family, (...args) =>
      this.#refuse(...args),
    );
    this.#unfit = this.#refused;
    const before = this.#kept;
    this.#kept = new Map(
      [...matches.values()].map((match) => {
        const key = sliceKeyOf(match.service);
        return [key, keptFor(key, match, this.#slices.get(key), before.get(key))];
      }),
    );
  }

  #refuseAll(): void {
    const why = 'the scaler cannot read the ClusterRole that is to own its EndpointSlices; its log says why';
    for (const { match } of this.#kept.values())
      this.#refuse(match.workload, `${match.service.namespace}/${match.service.name}`, why);
  }

  /** So many writes a second are allowed: who leads to a proxy that is gone comes before who has pods. */
  #keepAll(circumstances: Circumstances): void {
    const { proxies, owner } = circumstances;
    const later: [Kept, Stand][] = [];
    for (const kept of this.#kept.values()) {
      const workload = this.#options.world.workload(kept.match.workload.key); // scaling makes no other match
      const stand = this.#standOf(kept, workload);
      if (isSettled(kept, { stand, proxies, ownerUid: owner?.uid })) continue;
      this.#isQuiet = false;
      const isFirst = workload?.replicas === 0 || kept.written?.leads === true;
      if (isFirst) this.#keep(kept, stand, circumstances);
      else later.push([kept, stand]);
    }
    for (const [kept, stand] of later) this.#keep(kept, stand, circumstances);
  }

  #keep(kept: Kept, stand: Stand, { family, proxies, owner }: Circumstances): void {
    const { writes, installation } = this.#options;
    const { key, match, written } = kept;
    if (!written && writes.isTaken(key))
      this.#refuse(
        match.workload,
        functionKey(match.service),
        `an EndpointSlice ${key} of somebody else is there`,
      );
    if (writes.isBusy(key) || (!written && !family)) return;
    const proxyFamily = family ?? (written?.addressType === 'IPv6' ? 'IPv6' : 'IPv4');
    // What a slice's address type is cannot be changed.
    if (written && written.addressType !== proxyFamily) return writes.remove(key, written);
    const ports = this.#portsOf(match, key);
    if (!ports) return;
    const numbers = ports.map(({ port }) => port);
    const listening = this.#proxies.listening(numbers, written?.addresses ?? new Set());
    const plan = { match, ports, proxies: listening, stand, family: proxyFamily, owner, installation };
    const body = sliceOf(plan);
    if (!written) return writes.create(key, body);
    if (sliceText(body) === written.text) {
      kept.settled = { stand, proxies, ownerUid: owner?.uid, written };
      return;
    }
    body.metadata = { ...body.metadata, resourceVersion: written.resourceVersion };
    writes.replace(key, body);
  }

  /** Also keeps since when the function is awake. */
  #standOf(kept: Kept, workload: Workload | undefined): Stand {
    const { world, now } = this.#options;
    if (!workload || workload.replicas === 0 || !hasReady(world.podsOf(workload))) {
      kept.awakeSinceMs = undefined;
      return 'first';
    }
    kept.awakeSinceMs ??= now();
    if (!kept.written?.leads || now() - kept.awakeSinceMs >= AWAKE_MS) return 'last';
    this.#isQuiet = false; // time alone will change it
    return 'first';
  }

  /** Undefined when no port is left. */
  #portsOf({ service, workload }: Match, key: string): WakePort[] | undefined {
    const names = service.ports.map(({ name }) => name);
    const given = this.#given.give(key, names);
    if (given)
      return service.ports.map(({ name, target }) => ({ name, target, port: given.get(name) as number }));
    const why = 'no port of the proxies is left for it: see --services-ports-last of the scaler';
    this.#refuse(workload, `${service.namespace}/${service.name}`, why);
    return undefined;
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
    for (const [key, slice] of this.#slices) {
      if (this.#kept.has(key)) continue;
      this.#isQuiet = false;
      if (!writes.isBusy(key)) writes.remove(key, slice);
    }
    for (const key of this.#given.keys())
      if (!this.#kept.has(key) && !this.#slices.has(key)) this.#given.takeBack(key);
  }
}

function sliceKeyOf({ namespace, name }: { readonly namespace: string; readonly name: string }): string {
  return `${namespace}/${wakeSliceName(name)}`;
}

function keyOf(object: V1Service | V1EndpointSlice): string {
  return functionKey(idOf(object));
}
