/** A server that listens, and how it stops: no new connections, then no idle ones, then none. */
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { sleep } from '../common/lifecycle.ts';

export interface Listener {
  readonly port: number;
  /** No new connections from now on; idle ones are closed. */
  refuse(): void;
  /**
   * Resolves when the last connection has closed by itself: the answers on them are with the kernel then, which
   * the end of a call does not say. Or when `signal` aborts.
   */
  emptied(signal: AbortSignal): Promise<void>;
  /** Closes what is left and resolves when all is closed. */
  close(): Promise<void>;
}

/** Connections whose answer had promised to keep them open fall idle one by one. */
const LOOK_MS = 20;

/** @throws what listening throws (EADDRINUSE …) */
export async function listen(server: Server, port: number, host: string): Promise<Listener> {
  server.listen(port, host);
  await once(server, 'listening');
  const empty = new AbortController();
  const closed = new Promise<void>((resolve) => server.once('close', resolve)).then(() => empty.abort());
  return {
    port: (server.address() as AddressInfo).port,
    refuse() {
      server.close();
      server.closeIdleConnections();
    },
    async emptied(signal) {
      const over = AbortSignal.any([empty.signal, signal]);
      while (!over.aborted) {
        server.closeIdleConnections();
        await sleep(LOOK_MS, over);
      }
    },
    close() {
      server.close();
      server.closeAllConnections();
      return closed;
    },
  };
}
