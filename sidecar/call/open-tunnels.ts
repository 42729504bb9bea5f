/**
 * The tunnels that are open, for the drain. A WebSocket gets a close frame (1001, "going away"), so that its client
 * connects again to another pod instead of meeting a reset. Then all have a bounded time to end.
 */
import type { Tunnel } from '../../common/tunnel/tunnel.ts';

const GOING_AWAY = 1001;

/** For the client's answer and the app's own end; a client that has gone quiet must not hold up the pod. */
const WEBSOCKET_GRACE_MS = 5_000;

export class OpenTunnels {
  readonly #tunnels = new Set<Tunnel>();
  #isClosing = false;

  get size(): number {
    return this.#tunnels.size;
  }

  /** Returns how to take it out again. One that opens while all are being closed is closed too. */
  add(tunnel: Tunnel): () => void {
    this.#tunnels.add(tunnel);
    if (this.#isClosing) this.#close(tunnel);
    return () => this.#tunnels.delete(tunnel);
  }

  closeAll(): void {
    this.#isClosing = true;
    for (const tunnel of this.#tunnels) this.#close(tunnel);
  }

  destroyAll(): void {
    for (const tunnel of this.#tunnels) tunnel.destroy();
  }

  #close(tunnel: Tunnel): void {
    tunnel.close(GOING_AWAY, 'this pod is ending', WEBSOCKET_GRACE_MS);
  }
}
