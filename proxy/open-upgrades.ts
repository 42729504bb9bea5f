/**
 * The upgraded connections that are open or wait. They may last for ever, so on our way out they are not
 * waited for: a WebSocket gets a close frame (1001, going away) and its client connects to another proxy.
 */
import type { Duplex } from 'node:stream';

/** FIN, opcode 8, two bytes: 1001. Server frames are not masked (RFC 6455 5.1, 5.5.1). */
const GOING_AWAY = Buffer.from([0x88, 0x02, 0x03, 0xe9]);

export class OpenUpgrades {
  readonly #sockets = new Map<Duplex, { isWebSocket: boolean }>();

  get size(): number {
    return this.#sockets.size;
  }

  /** Returns its release. */
  add(socket: Duplex): () => void {
    this.#sockets.set(socket, { isWebSocket: false });
    return () => this.#sockets.delete(socket);
  }

  /** From now on it speaks WebSocket, and may be closed in its own words. */
  opened(socket: Duplex): void {
    const known = this.#sockets.get(socket);
    if (known) known.isWebSocket = true;
  }

  closeAll(): void {
    for (const [socket, { isWebSocket }] of this.#sockets) {
      if (isWebSocket) socket.end(GOING_AWAY, () => socket.destroy());
      else socket.destroy();
    }
  }
}
