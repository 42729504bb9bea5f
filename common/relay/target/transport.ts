/**
 * How a connection's socket is made and read: plain TCP here, TLS in tls-transport.ts. Chosen once a relay, so that what
 * runs a byte does not ask which one it is.
 */
import { connect, type Socket } from 'node:net';
import { RelayError } from '../errors.ts';
import type { RelayTarget } from '../types.ts';
import type { SocketReader } from './socket-reader.ts';
import { keepUnread, type UnreadAnswer } from './unread-answer.ts';

/** How a socket of one's own is made (tunnel/connect.ts). */
export interface Dial {
  /** The event after which the upstream hears what is written. */
  readonly openEvent: 'connect' | 'secureConnect';
  /** Begins to connect. */
  open(target: RelayTarget): Socket;
  /** Why it never opened, for the operator. @param error of the socket */
  failureOf(error: Error): RelayError;
}

export interface Transport extends Pick<Dial, 'openEvent' | 'failureOf'> {
  /**
   * Whether a first write that fails at once proves that the upstream has seen nothing of it. It does: libuv tries
   * before it queues, and a refused write was not taken in part.
   */
  readonly showsRefusedWrites: boolean;
  open(target: RelayTarget, reader: SocketReader): Socket;
  /** For a failed write: what is unread of the answer, before the socket is destroyed (unread-answer.ts). */
  keepUnread(socket: Socket, reader: SocketReader, take: (unread: UnreadAnswer) => boolean): void;
  /** Ends an open socket so that the other side notices at once. */
  cut(socket: Socket): void;
}

export const TCP: Transport = {
  openEvent: 'connect',
  showsRefusedWrites: true,
  open: ({ host, port }, { buffer, onRead }) =>
    connect({
      host,
      port,
      noDelay: true,
      autoSelectFamily: false,
      allowHalfOpen: true,
      onread: { buffer, callback: onRead },
    }),
  failureOf: (cause) => new RelayError('connect-failed', 'could not connect', { cause }),
  keepUnread,
  cut: (socket) => void socket.resetAndDestroy(),
};
