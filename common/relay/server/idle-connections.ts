/**
 * Closes a server's connections on which nothing comes, goes or is due. Node would use a timer that each answer sets
 * and each request clears again, which is 2 % of the CPU of a small request. Here all connections are looked at a few
 * times per idle time, which costs a request nothing. Given up: precision (it may live an eighth longer).
 *
 * The price is two of Node's own fields on a socket, which a test watches. `_httpMessage` is the answer that is being
 * given on it. `parser` is gone from a socket that was upgraded.
 */
import type { Server } from 'node:http';
import type { Socket } from 'node:net';
import { RunningList, type Listed } from '../exchange/running-list.ts';

interface ServedSocket extends Socket {
  readonly parser?: object | null;
  readonly _httpMessage?: { readonly writableEnded?: boolean } | null;
}

const LOOKS_PER_TIMEOUT = 8;

/** Connections that HTTP/1.1's server has given away, their parser still with them. */
const givenAway = new WeakSet<Socket>();

/** The code that takes a connection over has its own timers for it. */
export function giveAway(socket: Socket): void {
  givenAway.add(socket);
}

/**
 * Clients are told `idleMs` and may use a connection until then. It ends a second later, as Node's own timer would
 * end it. So a request sent at the last moment does not meet a closing connection.
 */
const IDLE_MARGIN_MS = 1_000;

/** Resident memory of a connection that has been answered and waits, measured with some thousands of them. */
const IDLE_PLAIN_BYTES = 16 * 1024;
const IDLE_TLS_BYTES = 64 * 1024;

export interface IdleLimits {
  /** From the last byte on, what the clients are told. */
  readonly idleMs: number;
  /** What all idle connections may hold; beyond it those that have been idle longest are closed. 0: no limit. */
  readonly maxBytes: number;
  /** Those on which a whole answer waits for its reader are closed too, behind the idle ones. */
  readonly evictsUnread: boolean;
  /** One was closed for that. */
  readonly onEvicted: () => void;
}

export function watchIdleConnections(
  server: Server,
  { idleMs, maxBytes, evictsUnread, onEvicted }: IdleLimits,
): void {
  const watched = new RunningList<WatchedConnection>();
  /** So many connections until idle ones are counted again: counting costs a look at each. */
  let countAt = maxBytes / IDLE_TLS_BYTES;
  const makeRoom = (): void => {
    const idle: WatchedConnection[] = [];
    const isIdle = (connection: WatchedConnection): boolean =>
      connection.isOurs && (connection.isIdle || (evictsUnread && connection.isUnread));
    watched.forEach((connection) => isIdle(connection) && idle.push(connection));
    let bytes = idle.reduce((sum, { cost }) => sum + cost, 0);
    if (bytes > maxBytes)
      for (const connection of idle.toSorted((a, b) => a.sinceMs - b.sinceMs)) {
        if (bytes <= (maxBytes * 15) / 16) break; // a sixteenth more, so that not each new one costs a look at all
        bytes -= connection.cost;
        connection.close();
        onEvicted();
      }
    countAt = watched.size + Math.max(1, Math.floor((maxBytes - bytes) / IDLE_TLS_BYTES));
  };
  let timer: NodeJS.Timeout | undefined;
  const look = (): void => {
    const now = performance.now();
    watched.forEach((connection) => {
      if (connection.isOurs) connection.look(now, idleMs);
      else watched.remove(connection);
    });
    if (maxBytes > 0 && watched.size * IDLE_PLAIN_BYTES > maxBytes) makeRoom();
    if (watched.size > 0) timer?.refresh();
    else timer = undefined;
  };
  server.on('connection', (socket) => {
    const connection = new WatchedConnection(socket);
    watched.add(connection);
    if (maxBytes > 0 && watched.size >= countAt) makeRoom();
    socket.once('close', () => watched.remove(connection));
    timer ??= setTimeout(look, Math.max(1, idleMs / LOOKS_PER_TIMEOUT)).unref();
  });
}

class WatchedConnection implements Listed {
  readonly #socket: ServedSocket;
  /** As of the last look. */
  #bytes = -1;
  sinceMs = performance.now();
  place = -1;

  constructor(socket: ServedSocket) {
    this.#socket = socket;
  }

  get isOurs(): boolean {
    return Boolean(this.#socket.parser) && !givenAway.has(this.#socket);
  }

  /** No request is being read or answered. Half of one is the header timeout's, and idle until it is whole. */
  get isIdle(): boolean {
    return !this.#socket._httpMessage;
  }

  get isUnread(): boolean {
    return this.#socket._httpMessage?.writableEnded === true;
  }

  get cost(): number {
    return 'encrypted' in this.#socket ? IDLE_TLS_BYTES : IDLE_PLAIN_BYTES;
  }

  close(): void {
    this.#socket.destroy();
  }

  /** One that has said nothing yet is the header timeout's. */
  look(now: number, idleMs: number): void {
    const { bytesRead, bytesWritten, _httpMessage } = this.#socket;
    const bytes = bytesRead + bytesWritten;
    if (_httpMessage || bytesWritten === 0 || bytes !== this.#bytes) {
      this.#bytes = bytes;
      this.sinceMs = now;
    } else if (now - this.sinceMs >= idleMs + IDLE_MARGIN_MS) this.#socket.destroy();
  }
}
