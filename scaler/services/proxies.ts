/**
 * Which proxies take connections for Services now. Kubernetes says which pods are proxies and ready, so that no other
 * pod can pass for one. The proxies say on NATS on which ports they listen. Silence of a proxy means that it is gone,
 * but silence of NATS means nothing: then a proxy that a slice names stays in it while its pod is ready.
 */
import { isIPv6 } from 'node:net';
import type { V1Pod } from '../../common/kube/client.ts';
import { readPod } from '../../common/kube/model/pod.ts';
import type { ServicePortsMessage } from '../../common/bus/service-ports.ts';

export interface ProxyPod {
  readonly name: string;
  readonly namespace: string;
  readonly uid: string;
  readonly ip: string;
  readonly node: string | undefined;
  readonly isEnding: boolean;
}

/** A proxy says it each second. */
const PROXY_SILENT_MS = 5_000;

export class Proxies {
  /** Undefined: it is not ready. */
  readonly #pods = new Map<string, ProxyPod | undefined>();
  /** By name. Each pass reads it once for each Service. */
  #ready: readonly ProxyPod[] = [];
  readonly #heard = new Map<string, Heard>();
  #version = 0;
  /** What each ready proxy and NATS were like when they were looked at last. */
  #silent = '';
  readonly #now: () => number;
  /** Whether a proxy that keeps silent may be there. */
  readonly #mayMissReports: () => boolean;

  constructor(now: () => number, mayMissReports: () => boolean) {
    this.#now = now;
    this.#mayMissReports = mayMissReports;
  }

  setPod(pod: V1Pod): void {
    const read = readPod(pod);
    if (!read) return;
    const { name, namespace, uid, ip, isReady, isTerminating: isEnding } = read;
    const node = pod.spec?.nodeName;
    this.#pods.set(
      name,
      isReady && ip !== undefined ? { name, namespace, uid, ip, node, isEnding } : undefined,
    );
    this.#sortReady();
  }

  deletePod(name: string): void {
    this.#pods.delete(name);
    this.#heard.delete(name);
    this.#sortReady();
  }

  /** One whose pod is not seen yet says it again within a second. */
  heard({ pod, ports }: ServicePortsMessage): void {
    if (!this.#pods.has(pod)) return;
    const known = this.#heard.get(pod);
    if (known && isSameList(known.message, ports)) known.atMs = this.#now();
    else {
      this.#heard.set(pod, { atMs: this.#now(), message: ports, ports: new Set(ports) });
      this.#version++;
    }
  }

  /** @returns a number that is another one whenever {@link listening} may tell something else */
  look(): number {
    const silent = `${this.#mayMissReports()} ${this.#ready.map(({ name }) => this.#isFresh(this.#heard.get(name))).join(' ')}`;
    if (silent !== this.#silent) this.#version++;
    this.#silent = silent;
    return this.#version;
  }

  get family(): 'IPv4' | 'IPv6' | undefined {
    const [first] = this.#ready;
    return first && (isIPv6(first.ip) ? 'IPv6' : 'IPv4');
  }

  /**
   * Those that listen on all of the ports. One that ends is named only where no other is: it serves on until then.
   * @param named addresses that the slice has now
   */
  listening(ports: readonly number[], named: ReadonlySet<string>): readonly ProxyPod[] {
    const { family } = this;
    const open = this.#ready.filter(
      (pod) => (family === 'IPv6') === isIPv6(pod.ip) && this.#isOpen(pod, ports, named.has(pod.ip)),
    );
    const staying = open.filter(({ isEnding }) => !isEnding);
    return staying.length > 0 ? staying : open;
  }

  #sortReady(): void {
    const ready = [...this.#pods.values()].filter((pod) => pod !== undefined);
    this.#ready = ready.toSorted((a, b) => (a.name < b.name ? -1 : 1));
    this.#version++;
  }

  #isOpen({ name }: ProxyPod, ports: readonly number[], isNamed: boolean): boolean {
    const word = this.#heard.get(name);
    if (!this.#isFresh(word)) return isNamed && this.#mayMissReports();
    return ports.every((port) => word.ports.has(port));
  }

  #isFresh(word: Heard | undefined): word is Heard {
    return word !== undefined && this.#now() - word.atMs <= PROXY_SILENT_MS;
  }
}

interface Heard {
  atMs: number;
  /** The ports in the order of the last message. */
  readonly message: readonly number[];
  readonly ports: ReadonlySet<number>;
}

function isSameList(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((one, at) => one === b[at]);
}
