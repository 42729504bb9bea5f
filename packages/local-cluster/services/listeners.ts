/**
 * What listens, by whom it listens for: each change says what is wanted, and only the difference is opened and
 * closed. Connections outlive their listener, as they outlive a change of kube-proxy's rules.
 */
import type { Socket } from 'node:net';
import { describeError } from '../../../common/runtime/errors.ts';
import type { Log } from '../../../common/runtime/log.ts';
import type { Address } from './endpoints-index.ts';
import { startForwarder, type Forwarder } from './forwarder.ts';

export interface WantedListener {
  readonly host: string;
  readonly port: number;
  /** Which port of the owner it stands for: a listener whose purpose changes is opened again. */
  readonly purpose: string;
  readonly choose: () => Address | undefined;
}

export interface ListenerOptions {
  readonly isPodAddress: (address: string) => boolean;
  readonly log: Log;
}

export class Listeners {
  readonly #options: ListenerOptions;
  readonly #byOwner = new Map<string, Map<string, Forwarder>>();
  readonly #connections = new Set<Socket>();

  constructor(options: ListenerOptions) {
    this.#options = options;
  }

  /** Never twice at the same time for one owner. */
  async apply(owner: string, wanted: readonly WantedListener[]): Promise<void> {
    const current = this.#byOwner.get(owner) ?? new Map<string, Forwarder>();
    const names = new Set(wanted.map(nameOf));
    for (const [name, forwarder] of current) {
      if (names.has(name)) continue;
      current.delete(name);
      forwarder.close();
    }
    if (wanted.length === 0) return void this.#byOwner.delete(owner);
    this.#byOwner.set(owner, current);
    for (const listener of wanted) await this.#listen(owner, current, listener);
  }

  /** Rejects when the address is taken. */
  async open({ host, port, choose }: Omit<WantedListener, 'purpose'>): Promise<Forwarder> {
    const { isPodAddress } = this.#options;
    return startForwarder({ host, port, choose, isPodAddress, connections: this.#connections });
  }

  closeAll(): void {
    for (const listeners of this.#byOwner.values())
      for (const forwarder of listeners.values()) forwarder.close();
    this.#byOwner.clear();
    for (const socket of this.#connections) socket.destroy();
  }

  async #listen(owner: string, current: Map<string, Forwarder>, listener: WantedListener): Promise<void> {
    const name = nameOf(listener);
    if (current.has(name)) return;
    try {
      current.set(name, await this.open(listener));
    } catch (error) {
      const address = `${listener.host}:${listener.port}`;
      this.#options.log.error({ owner, address, error: describeError(error) }, 'cannot listen');
    }
  }
}

function nameOf({ host, port, purpose }: WantedListener): string {
  return `${host}:${port} ${purpose}`;
}
