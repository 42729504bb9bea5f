/**
 * All pods of functions, grouped by the workload that owns them, fed by the watch and by what sidecars say.
 * Membership comes from owner references alone (common/kube/model/ownership.ts). The addresses of all pods, function
 * or not, are kept too: they tell who calls from inside.
 *
 * Room `proxy/pods`: The pods of each function: ready, busy, draining, gone.
 * Comes in: pods of the watch, messages of sidecars.
 * Goes out: the pod for the next call.
 */
import { isIP } from 'node:net';
import type { PodOwner } from '../../common/kube/model/ownership.ts';
import type {
  ActivityMessage,
  ReadyMessage,
  ShareMessage,
  StartingMessage,
} from '../../common/bus/messages.ts';
import { isProven } from '../../common/places/ready-proof.ts';
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import type { Clock } from '../clock.ts';
import { EarlyReadies } from './early-ready.ts';
import { Endpoint } from './endpoint.ts';
import { PodGroup } from './pod-group.ts';
import type { PodView } from './pod-view.ts';
import { Prover } from './prover.ts';
import { TrustedAddresses } from '../edge/trusted-addresses.ts';

/** `Deployment:namespace/name`: workloads of two kinds may share a name. */
export type OwnerKey = string;

export function ownerKey(owner: PodOwner): OwnerKey {
  return `${owner.kind}:${functionKey(owner.id)}`;
}

export interface EndpointsOptions {
  readonly clock: Clock;
  readonly random: () => number;
  /** A pod is gone: its connections are of no more use. */
  readonly onGone: (endpoint: Endpoint) => void;
}

export class Endpoints {
  readonly #options: EndpointsOptions;
  /** Proves to pods that we are a proxy, once it has keys. */
  readonly prover: Prover;
  readonly #groups = new Map<OwnerKey, PodGroup>();
  readonly #byPod = new Map<string, { endpoint: Endpoint; group: PodGroup }>();
  readonly #early: EarlyReadies;
  readonly #addresses = new TrustedAddresses();
  readonly #onGroup: ((group: PodGroup) => void)[] = [];

  constructor(options: EndpointsOptions) {
    this.#options = options;
    this.prover = new Prover({ clock: options.clock });
    this.#early = new EarlyReadies(options.clock);
  }

  /** Called when a group got a pod or lost one: groups of bare pods make and end functions. */
  onGroup(listener: (group: PodGroup) => void): void {
    this.#onGroup.push(listener);
  }

  /** Messages of pods that the watch has not shown yet. */
  get earlyCount(): number {
    return this.#early.size;
  }

  /** The group of a workload, made when first asked for. */
  group(owner: PodOwner): PodGroup {
    const key = ownerKey(owner);
    let group = this.#groups.get(key);
    if (!group) {
      group = new PodGroup(owner, this.#options.random);
      this.#groups.set(key, group);
    }
    return group;
  }

  /** To be called when a function went: a group without function and pods would be kept forever. */
  dropIfUnused(owner: PodOwner): void {
    const key = ownerKey(owner);
    const group = this.#groups.get(key);
    if (group?.size === 0 && !group.isListenedTo) this.#groups.delete(key);
  }

  /** For tests and metrics. */
  get groupCount(): number {
    return this.#groups.size;
  }

  setPod(view: PodView): void {
    const key = podKey(view.namespace, view.name);
    this.#addresses.set(key, view);
    if (!view.spec) return this.#removeEndpoint(key);
    const known = this.#byPod.get(key);
    // A StatefulSet's pod comes back under its old name: another uid is another pod.
    if (known && known.endpoint.view.uid === view.uid) {
      known.endpoint.update(view);
      this.#useEarly(key, view, known.endpoint);
      return known.group.refresh();
    }
    if (known) this.#removeEndpoint(key);
    this.#addEndpoint(key, view);
  }

  deletePod(namespace: string, name: string): void {
    const key = podKey(namespace, name);
    this.#addresses.set(key, undefined);
    this.#removeEndpoint(key);
  }

  /** What a sidecar reports; believed only if the watch knows that pod, with that address, as that function's. */
  heardReady(id: FunctionId, message: ReadyMessage): void {
    const key = podKey(id.namespace, message.pod);
    const known = this.#byPod.get(key);
    if (known) this.#useProof(known.endpoint, message);
    if (!known || known.endpoint.host === '') {
      if (message.state === 'ready') this.#early.keep(key, { id, message });
      return;
    }
    const { endpoint, group } = known;
    if (group.owner.id.name !== id.name || endpoint.host !== message.ip) return;
    endpoint.heard(message);
    group.refresh();
  }

  /**
   * A `ready` that came without NATS, from anybody: it counts if its proof is the pod's own. `starting` changes nothing.
   * @returns `unknown`: the watch has not shown that pod as that function's
   */
  heardDirectly(
    id: FunctionId,
    message: ReadyMessage | StartingMessage,
  ): 'believed' | 'unknown' | 'unproven' {
    const known = this.#of(id, message.pod);
    if (!known) return 'unknown';
    if (!isProven(known.endpoint.view.token, message)) return 'unproven';
    if (message.state !== 'starting') this.heardReady(id, message);
    return 'believed';
  }

  /** The kubelet reports a pod's address up to seconds after the pod has it. */
  #useProof(endpoint: Endpoint, message: ReadyMessage): void {
    if (endpoint.view.ip !== '' || message.state !== 'ready' || isIP(message.ip) === 0) return;
    if (isProven(endpoint.view.token, message)) endpoint.provedAddress(message.ip);
  }

  heardShare(id: FunctionId, message: ShareMessage): void {
    const changed = new Set<PodGroup>();
    for (const [pod, share] of Object.entries(message.shares)) {
      const known = this.#of(id, pod);
      if (!known) continue;
      known.endpoint.shared(share);
      changed.add(known.group);
    }
    for (const group of changed) group.changed();
  }

  /** A sidecar's report tells of places that other proxies' calls have freed. */
  heardActivity(id: FunctionId, message: ActivityMessage): void {
    const known = message.source === 'sidecar' ? this.#of(id, message.pod) : undefined;
    if (!known || message.limit === undefined) return;
    known.endpoint.learned(message.runningNow, message.limit);
    if (known.endpoint.heardStart(message.start)) known.group.refresh();
    else known.group.changed();
  }

  /** Whether an address is that of a pod we watch, and all pods that have it are trusted. */
  isTrustedAddress(ip: string): boolean {
    return this.#addresses.has(ip);
  }

  #of(id: FunctionId, pod: string): { endpoint: Endpoint; group: PodGroup } | undefined {
    const known = this.#byPod.get(podKey(id.namespace, pod));
    return known?.group.owner.id.name === id.name ? known : undefined;
  }

  #addEndpoint(key: string, view: PodView): void {
    const endpoint = new Endpoint(view, this.prover);
    const group = this.group(view.owner);
    this.#byPod.set(key, { endpoint, group });
    group.add(endpoint);
    this.#useEarly(key, view, endpoint);
    this.#tellGroup(group);
    group.refresh();
  }

  #tellGroup(group: PodGroup): void {
    for (const listener of this.#onGroup) listener(group);
  }

  #removeEndpoint(key: string): void {
    const known = this.#byPod.get(key);
    if (!known) return;
    this.#byPod.delete(key);
    known.endpoint.gone();
    known.group.remove(known.endpoint);
    this.#tellGroup(known.group);
    this.#options.onGone(known.endpoint);
    known.group.refresh();
    this.dropIfUnused(known.group.owner);
  }

  /** Also for a pod that is known but had no address yet when its sidecar spoke. */
  #useEarly(key: string, view: PodView, endpoint: Endpoint): void {
    const early = this.#early.peek(key);
    if (!early) return;
    this.#useProof(endpoint, early.message);
    if (endpoint.host === '') return;
    this.#early.take(key);
    if (early.message.ip === endpoint.host && early.id.name === view.owner.id.name)
      endpoint.heard(early.message);
  }
}

function podKey(namespace: string, name: string): string {
  return `${namespace}/${name}`;
}
