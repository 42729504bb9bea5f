/**
 * The ports on which the proxy takes connections for Services of sleeping functions: one for each port of each
 * Service, as the EndpointSlices of this installation say (common/kube/wake-slice.ts). By its port a connection is
 * known to be for that Service. Its bytes could not say it: they may be TLS, and a Host may be any.
 *
 * A port is open for as long as its slice is there, whether the slice names proxies at that time or not. So it is
 * open before a slice names it, and after, while kube-proxy has not heard yet.
 *
 * Room `proxy/services`: Connections by Services of sleeping functions.
 * Comes in: EndpointSlices with the proxy's ports, connections to these.
 * Goes out: the same connections, to pods; the list of open ports.
 */
import { createServer, type Server, type Socket } from 'node:net';
import type { WakeSlice } from '../../common/kube/wake-slice.ts';
import { TCP_OPTIONS } from '../../common/relay/index.ts';
import { describeError } from '../../common/runtime/errors.ts';
import { listenOn } from '../../common/runtime/listen-on.ts';
import { sleep } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { Clock } from '../clock.ts';
import type { EdgeListener } from '../edge/listener.ts';
import type { FunctionEntry } from '../functions/function-entry.ts';
import { HeldConnection, type HeldResult } from './held-connection.ts';

/** Where connections to a port are meant to go. */
interface Claim {
  readonly id: FunctionId;
  readonly target: string;
}

interface ServiceListener {
  readonly slice: string;
  claim: Claim;
  readonly server: Server;
  isOpen: boolean;
  /** Its slice has gone: it ends in a while. This takes that back. */
  stay: (() => void) | undefined;
}

export interface ServiceListenersOptions {
  readonly host: string;
  readonly maxConnections: number;
  /**
   * For so long ports serve on after the proxy has begun to end, or after their slice has gone. The scaler takes an
   * ending proxy out of the slices within a second, and kube-proxy follows a second later. It may be away for some
   * seconds itself.
   */
  readonly lingerMs: number;
  readonly find: (id: FunctionId) => FunctionEntry | undefined;
  /** The list of open ports is another. */
  readonly onChange: () => void;
  readonly onEnd: (result: HeldResult) => void;
  /** Beyond the most connections. */
  readonly onLimited: () => void;
  readonly clock: Clock;
  readonly log: Log;
}

const LISTEN_AGAIN_MS = 1_000;
const EMPTY_CHECK_MS = 20;

export class ServiceListeners {
  readonly #options: ServiceListenersOptions;
  readonly #listeners = new Map<number, ServiceListener>();
  /** What each slice says, by port. */
  readonly #bySlice = new Map<string, ReadonlyMap<number, Claim>>();
  /** Slices that want a port that another one has, in the order in which they came. */
  readonly #refused = new Map<number, Set<string>>();
  readonly #connections = new Set<HeldConnection>();
  #isRefusing = false;

  constructor(options: ServiceListenersOptions) {
    this.#options = options;
  }

  get openPorts(): number[] {
    if (this.#isRefusing) return [];
    const isKept = ({ isOpen, stay }: ServiceListener): boolean => isOpen && stay === undefined;
    return [...this.#listeners].filter(([, listener]) => isKept(listener)).map(([port]) => port);
  }

  get counts(): { readonly waiting: number; readonly open: number } {
    const served = [...this.#connections].filter((each) => each.isServed).length;
    return { waiting: this.#connections.size - served, open: served };
  }

  setSlice({ namespace, name, wakes, ports }: WakeSlice): void {
    const slice = `${namespace}/${name}`;
    const id = { namespace, name: wakes };
    const claims = new Map(ports.map(({ port, target }) => [port, { id, target }]));
    const before = this.#bySlice.get(slice) ?? new Map<number, Claim>();
    this.#bySlice.set(slice, claims);
    for (const port of before.keys()) if (!claims.has(port)) this.#release(port, slice);
    for (const [port, claim] of claims) this.#set(port, slice, claim);
  }

  removeSlice(namespace: string, name: string): void {
    const slice = `${namespace}/${name}`;
    const claims = this.#bySlice.get(slice) ?? new Map<number, Claim>();
    this.#bySlice.delete(slice);
    for (const port of claims.keys()) this.#release(port, slice);
  }

  /** As one listener beside those for calls, with which it ends. */
  get listener(): EdgeListener {
    const listeners = this.#listeners;
    const { lingerMs } = this.#options;
    return {
      port: 0,
      get lingerMs() {
        return listeners.size > 0 ? lingerMs : 0;
      },
      refuse: () => {
        this.#isRefusing = true;
        this.#options.onChange();
        for (const { server } of this.#listeners.values()) server.close();
      },
      emptied: async (signal) => {
        while (this.#connections.size > 0 && !signal.aborted) await sleep(EMPTY_CHECK_MS, signal);
      },
      close: async () => {
        this.#isRefusing = true;
        for (const [port, listener] of this.#listeners) this.#close(port, listener);
        for (const connection of this.#connections) connection.destroy();
      },
    };
  }

  #set(port: number, slice: string, claim: Claim): void {
    const known = this.#listeners.get(port);
    if (!known) this.#open(port, slice, claim);
    else if (known.slice === slice) this.#keep(known, claim);
    else if (known.stay) {
      this.#close(port, known);
      this.#open(port, slice, claim);
    } else {
      // The scaler gives no port twice, so it is not the scaler's: the first one counts.
      this.#options.log.error({ port, slice, first: known.slice }, 'two EndpointSlices claim one port');
      this.#refused.set(port, (this.#refused.get(port) ?? new Set()).add(slice));
    }
  }

  #keep(listener: ServiceListener, claim: Claim): void {
    listener.claim = claim;
    if (!listener.stay) return;
    listener.stay();
    listener.stay = undefined;
    this.#options.onChange();
  }

  /** The slice wants the port no longer. Callers come until kube-proxy has heard of it, so the port ends later. */
  #release(port: number, slice: string): void {
    const listener = this.#listeners.get(port);
    if (listener?.slice === slice) {
      const { clock, lingerMs, onChange } = this.#options;
      if (this.#refused.has(port)) {
        this.#close(port, listener);
        return this.#openNext(port);
      }
      listener.stay = clock.after(lingerMs, () => this.#close(port, listener));
      return onChange();
    }
    const refused = this.#refused.get(port);
    refused?.delete(slice);
    if (refused?.size === 0) this.#refused.delete(port);
  }

  /** The port is free: the first that was refused gets it. */
  #openNext(port: number): void {
    const refused = this.#refused.get(port) ?? new Set<string>();
    const [slice] = refused;
    if (slice === undefined) return;
    refused.delete(slice);
    if (refused.size === 0) this.#refused.delete(port);
    const claim = this.#bySlice.get(slice)?.get(port);
    if (claim) this.#open(port, slice, claim);
  }

  #open(port: number, slice: string, claim: Claim): void {
    if (this.#isRefusing) return;
    const server = createServer({ allowHalfOpen: true, ...TCP_OPTIONS }, (socket) =>
      this.#accept(listener, socket),
    );
    const listener: ServiceListener = { slice, claim, server, isOpen: false, stay: undefined };
    this.#listeners.set(port, listener);
    const { host, log, clock, onChange } = this.#options;
    server.on('listening', () => {
      listener.isOpen = true;
      onChange();
    });
    server.on('error', (error) => {
      if (this.#listeners.get(port) !== listener) return;
      log.error({ port, slice, error: describeError(error) }, 'a port for a Service cannot be opened');
      clock.after(LISTEN_AGAIN_MS, () => {
        if (this.#listeners.get(port) === listener && !this.#isRefusing) server.listen(listenOn(host, port));
      });
    });
    server.listen(listenOn(host, port));
  }

  #close(port: number, listener: ServiceListener): void {
    listener.stay?.();
    this.#listeners.delete(port);
    listener.server.close();
    this.#options.onChange();
  }

  #accept({ claim: { id, target } }: ServiceListener, socket: Socket): void {
    const { maxConnections, find, clock, onEnd, onLimited } = this.#options;
    const entry = find(id);
    if (!entry || this.#connections.size >= maxConnections) {
      if (entry) onLimited();
      return void socket.destroy();
    }
    const connection: HeldConnection = new HeldConnection({
      socket,
      entry,
      target,
      clock,
      onEnd: (result) => {
        this.#connections.delete(connection);
        onEnd(result);
      },
    });
    this.#connections.add(connection);
    connection.start();
  }
}
