/**
 * The pods of one workload as a set of places: which are ready, and a place in one of them. Whoever waits for
 * places listens for changes.
 */
import type { PodOwner } from '../../common/kube/model/ownership.ts';
import { choose } from './balance.ts';
import type { Endpoint } from './endpoint.ts';

/** A place in a pod, taken; given back once, however often it is released. */
export class PodPlace {
  readonly endpoint: Endpoint;
  /** The id under which the pod holds it for us; undefined for one that we believe to be free. */
  readonly grant: string | undefined;
  readonly #group: PodGroup;
  #isOut = true;

  constructor(endpoint: Endpoint, group: PodGroup, grant?: string) {
    this.endpoint = endpoint;
    this.grant = grant;
    this.#group = group;
    endpoint.take();
  }

  /** `quietly`: tells nobody, for a caller that has more to say about the pod first. */
  release(quietly = false): void {
    if (!this.#isOut) return;
    this.#isOut = false;
    this.endpoint.giveBack();
    if (!quietly) this.#group.changed();
  }
}

export class PodGroup {
  readonly owner: PodOwner;
  readonly #random: () => number;
  readonly #all = new Set<Endpoint>();
  #ready: Endpoint[] = [];
  #listener: (() => void) | undefined;
  #offered: { readonly endpoint: Endpoint; readonly grant: string } | undefined;

  constructor(owner: PodOwner, random: () => number) {
    this.owner = owner;
    this.#random = random;
  }

  get size(): number {
    return this.#all.size;
  }

  get all(): Iterable<Endpoint> {
    return this.#all;
  }

  get ready(): readonly Endpoint[] {
    return this.#ready;
  }

  /** Whether any pod is ready and answered when it was last tried. */
  get isUsable(): boolean {
    return this.#ready.some((endpoint) => endpoint.suspicion === undefined);
  }

  /** One listener: the group's own throttler. Returns its release. */
  listen(listener: () => void): () => void {
    this.#listener = listener;
    return () => {
      if (this.#listener === listener) this.#listener = undefined;
    };
  }

  get isListenedTo(): boolean {
    return this.#listener !== undefined;
  }

  add(endpoint: Endpoint): void {
    this.#all.add(endpoint);
  }

  remove(endpoint: Endpoint): void {
    this.#all.delete(endpoint);
  }

  /** After places or load have changed. */
  changed(): void {
    this.#listener?.();
  }

  /** After a pod came, went, or changed its state: remakes the list that calls are balanced over. */
  refresh(): void {
    this.#ready = [...this.#all].filter((endpoint) => endpoint.isReady);
    this.changed();
  }

  /**
   * A pod holds a place for us: it goes to the first in line.
   * @returns false when nobody took it
   */
  offer(endpoint: Endpoint, grant: string): boolean {
    if (!endpoint.isReady) return false;
    endpoint.granted();
    this.#offered = { endpoint, grant };
    this.changed();
    const isTaken = this.#offered === undefined;
    this.#offered = undefined;
    return isTaken;
  }

  /** The place that was offered, or one in a ready pod that has one free, as far as we know. */
  take(): PodPlace | undefined {
    const offered = this.#offered;
    this.#offered = undefined;
    if (offered) return new PodPlace(offered.endpoint, this, offered.grant);
    const endpoint = choose(this.#ready, this.#random);
    return endpoint && new PodPlace(endpoint, this);
  }

  /** Lets one call through to a pod that we believe to be full or broken. False when there is none. */
  probe(): boolean {
    const worthIt = this.#ready.filter((endpoint) => endpoint.isWorthProbing);
    const endpoint = worthIt[Math.floor(this.#random() * worthIt.length)];
    endpoint?.probe();
    return endpoint !== undefined;
  }

  get isWorthProbing(): boolean {
    return this.#ready.some((endpoint) => endpoint.isWorthProbing);
  }
}
