/** A server that listens, and how it stops: no new connections, then no idle ones, then none. */
import { once } from 'node:events';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';

export interface Listener {
  readonly port: number;
  /** No new connections from now on; idle ones are closed. */
  refuse(): void;
  /** Closes what is left and resolves when all is closed. */
  close(): Promise<void>;
}

/** @throws what listening throws (EADDRINUSE …) */
export async function listen(server: Server, port: number, host: string): Promise<Listener> {
  server.listen(port, host);
  await once(server, 'listening');
  const closed = new Promise<void>((resolve) => server.once('close', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    refuse() {
      server.close();
      server.closeIdleConnections();
    },
    close() {
      server.close();
      server.closeAllConnections();
      return closed;
    },
  };
}
