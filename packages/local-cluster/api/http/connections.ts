/** The sockets of the server: listening, and what a network fault does to them. */
import type { Server } from 'node:https';
import type { AddressInfo, Socket } from 'node:net';

export class ApiConnections {
  readonly #sockets = new Set<Socket>();
  #isAway = false;

  constructor(server: Server) {
    server.on('connection', (socket: Socket) => this.#accept(socket));
  }

  /**
   * The port stays open while away, and whoever connects is reset at once: were it closed, another process could
   * take it in the meantime.
   */
  setAway(isAway: boolean): void {
    this.#isAway = isAway;
    if (isAway) this.reset();
  }

  /** With RST and not FIN: a client must not take what it has for a complete answer. */
  reset(): void {
    for (const socket of this.#sockets) socket.resetAndDestroy();
  }

  #accept(socket: Socket): void {
    if (this.#isAway) return void socket.resetAndDestroy();
    this.#sockets.add(socket);
    socket.on('close', () => this.#sockets.delete(socket));
  }
}

/** Resolves to the URL, with the port that was found if 0 was asked for. */
export async function listenToApiClients(
  server: Server,
  { host, port }: { host: string; port: number },
): Promise<string> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, host, () => {
      server.off('error', reject);
      resolve();
    });
  });
  return `https://${host}:${(server.address() as AddressInfo).port}`;
}
