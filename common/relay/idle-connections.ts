/**
 * Closes a server's connections on which nothing comes, goes or is due. Node would do it with a timer that each answer
 * sets and each request clears again, 2 % of the CPU of a small one; looked at a few times in the time it may be idle,
 * a connection costs a request nothing. Given up: precision (it may live an eighth longer).
 *
 * The price is two of Node's own fields on a socket, which a test watches: `_httpMessage`, the answer that is
 * being given on it, and `parser`, which is gone from one that was upgraded.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { RunningList, type Listed } from './running-list.ts';

interface ServedSocket extends Socket {
  readonly parser?: object | null;
  readonly _httpMessage?: object | null;
}

const LOOKS = 8;

/** Connections that HTTP/1.1's server has given away, their parser still with them. */
const givenAway = new WeakSet<Socket>();

/** Whoever takes a connection over has clocks of his own for it. */
export function giveAway(socket: Socket): void {
  givenAway.add(socket);
}

/**
 * Clients are told `idleMs` and may use a connection until then: it ends a second later, as Node's own timer would end
 * it, so that a request sent at the last moment does not meet a closing connection.
 */
const MARGIN_MS = 1_000;

/** @param idleMs from the last byte on, what the clients are told */
export function watchIdleConnections(server: Server, idleMs: number): void {
  const watched = new RunningList<WatchedConnection>();
  let timer: NodeJS.Timeout | undefined;
  const look = (): void => {
    const now = performance.now();
    watched.forEach((connection) => {
      if (connection.isOurs) connection.look(now, idleMs);
      else watched.remove(connection);
    });
    if (watched.size > 0) timer?.refresh();
    else timer = undefined;
  };
  server.on('connection', (socket) => {
    const connection = new WatchedConnection(socket);
    watched.add(connection);
    socket.once('close', () => watched.remove(connection));
    timer ??= setTimeout(look, Math.max(1, idleMs / LOOKS)).unref();
  });
}

class WatchedConnection implements Listed {
  readonly #socket: ServedSocket;
  /** As of the last look. */
  #bytes = -1;
  #sinceMs = 0;
  place = -1;

  constructor(socket: ServedSocket) {
    this.#socket = socket;
  }

  get isOurs(): boolean {
    return Boolean(this.#socket.parser) && !givenAway.has(this.#socket);
  }

  /** One that has said nothing yet is the header timeout's. */
  look(now: number, idleMs: number): void {
    const { bytesRead, bytesWritten, _httpMessage } = this.#socket;
    const bytes = bytesRead + bytesWritten;
    if (_httpMessage || bytesWritten === 0 || bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.#sinceMs = now;
    } else if (now - this.#sinceMs >= idleMs + MARGIN_MS) this.#socket.destroy();
  }
}
