/**
 * One listening address in front of a service: connections are passed on, byte for byte, to one of the ready
 * endpoints. It keeps the caller's own address where that is a pod's, because real services do so too and the
 * parts tell insiders by it. Connections that exist are never touched by a change of the endpoints.
 */
import { createServer, connect, type Socket } from 'node:net';
import { once } from 'node:events';
import type { Address } from './endpoints-index.ts';

export interface Forwarder {
  readonly address: Address;
  /** Stops listening. What is open goes on, and is in {@link ForwarderOptions.connections}. */
  close(): void;
}

export interface ForwarderOptions {
  readonly host: string;
  readonly port: number;
  /** An endpoint, chosen again for each connection; undefined: none is ready. */
  readonly choose: () => Address | undefined;
  /** True for an address of this cluster's pods. */
  readonly isPodAddress: (address: string) => boolean;
  /** Filled with the sockets of both sides for as long as they are open; destroying them is the caller's right. */
  readonly connections: Set<Socket>;
}

/** Rejects when the address is taken. */
export async function startForwarder(options: ForwarderOptions): Promise<Forwarder> {
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (client) => pass(client, options));
  server.listen(options.port, options.host);
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  return {
    address: { host: options.host, port },
    close: () => void server.close(),
  };
}

function pass(client: Socket, { choose, isPodAddress, connections }: ForwarderOptions): void {
  const endpoint = choose();
  if (!endpoint) return void client.resetAndDestroy();
  const source = client.remoteAddress ?? '';
  const from = isPodAddress(source) ? { localAddress: source } : {};
  const upstream = connect({ ...endpoint, ...from, allowHalfOpen: true, noDelay: true });
  for (const [socket, other] of [
    [client, upstream],
    [upstream, client],
  ] as const) {
    connections.add(socket);
    socket.on('error', () => other.resetAndDestroy());
    socket.on('close', () => {
      connections.delete(socket);
      other.destroySoon();
    });
    socket.pipe(other);
  }
}
