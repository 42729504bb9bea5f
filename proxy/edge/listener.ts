/** A server that listens, and how it stops: no new connections, then no idle ones, then none. */
import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { listenOn } from '../../common/runtime/listen-on.ts';
import { sleep } from '../../common/runtime/lifecycle.ts';

export interface EdgeListener {
  readonly port: number;
  /** How long it goes on at least when the proxy ends, before {@link refuse}; undefined: as the lame-duck time says. */
  readonly lingerMs?: number;
  /** No new connections from now on; idle ones are closed. */
  refuse(): void;
  /**
   * Resolves when the last connection has closed by itself. By then the kernel has the answers on them, which the end
   * of a call does not show. Or when `signal` aborts.
   */
  emptied(signal: AbortSignal): Promise<void>;
  /** Closes what is left and resolves when all is closed. */
  close(): Promise<void>;
}

/** The connections that a listener's server has accepted, whatever keeps them now. */
export interface ConnectionCounts {
  closeIdleConnections(): void;
  closeAllConnections(): void;
}

/** Connections whose answer had promised to keep them open fall idle one by one. */
const IDLE_CHECK_INTERVAL_MS = 20;

/** @throws what listening throws (EADDRINUSE …) */
export async function listenAtEdge(
  server: Server,
  port: number,
  host: string,
  connections: ConnectionCounts,
): Promise<EdgeListener> {
  server.listen(listenOn(host, port));
  await once(server, 'listening');
  const empty = new AbortController();
  const closed = new Promise<void>((resolve) => server.once('close', resolve)).then(() => empty.abort());
  return {
    port: (server.address() as AddressInfo).port,
    refuse() {
      server.close();
      connections.closeIdleConnections();
    },
    async emptied(signal) {
      const over = AbortSignal.any([empty.signal, signal]);
      while (!over.aborted) {
        connections.closeIdleConnections();
        await sleep(IDLE_CHECK_INTERVAL_MS, over);
      }
    },
    close() {
      server.close();
      connections.closeAllConnections();
      return closed;
    },
  };
}

/** Several ports that end as one. */
export function joinListeners(first: EdgeListener, ...others: readonly EdgeListener[]): EdgeListener {
  const all = [first, ...others];
  return {
    port: first.port,
    get lingerMs() {
      return Math.max(...all.map(({ lingerMs = 0 }) => lingerMs));
    },
    refuse: () => all.forEach((each) => each.refuse()),
    emptied: async (signal) => void (await Promise.all(all.map((each) => each.emptied(signal)))),
    close: async () => void (await Promise.all(all.map((each) => each.close()))),
  };
}
