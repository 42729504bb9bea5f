/**
 * What the kernel still holds of an answer when a write has failed. An upstream that refuses an upload answers and
 * closes; our next write then fails, and Node destroys the socket with the answer unread. Here the destruction
 * waits until the rest is read. TCP delivers in order: what came before the reset is all there, so the reads never wait.
 *
 * The price is Node's own handle on the socket, which tests watch: its `fd`, `readStop`, and for TLS its `receive`.
 */
import { readSync } from 'node:fs';
import type { Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';
import type { SocketReader } from './socket-reader.ts';

interface Handle {
  readonly fd?: number;
  readStop(): void;
}

interface HandledSocket {
  readonly _handle?: Handle | null;
  _destroy: (error: Error | null, done: (error?: Error | null) => void) => void;
}

interface HandledTlsSocket {
  readonly _handle?: (Handle & { receive?(encrypted: Buffer): void }) | null;
  readonly destroyed: boolean;
  destroy: (error?: Error) => unknown;
  /** What the handle has decrypted goes in here; null: its end. */
  push: (decrypted: Buffer | null) => boolean;
  read(): Buffer | null;
}

export interface UnreadAnswer {
  /** Gives the next piece to the reader. @returns false: there is no more */
  next(): boolean;
  /** Destroys the socket now; twice is harmless. */
  drop(): void;
}

/** From a plain socket one piece is one read; with TLS it is as much as one record. */
const PIECE_BYTES = 16_384;

/**
 * @param take gets what is unread, before the socket is destroyed for a failed write. It must end with `drop`, after
 * which the socket's `error` comes. False: it is not wanted.
 */
export function keepUnread(
  socket: Socket,
  { buffer, onRead }: SocketReader,
  take: (unread: UnreadAnswer) => boolean,
): void {
  const handled = socket as unknown as HandledSocket;
  const destroy = handled._destroy;
  handled._destroy = (error, done) => {
    const handle = handled._handle;
    const fd = handle?.fd ?? -1;
    const drop = (): void => {
      if (handled._destroy === destroy) return;
      handled._destroy = destroy;
      destroy.call(socket, error, done);
    };
    if (!isFailedWrite(error) || !handle || fd < 0) return drop();
    handle.readStop();
    const next = (): boolean => {
      const size = readNow(fd, buffer());
      if (size > 0) onRead(size);
      return size > 0;
    };
    if (!take({ next, drop })) drop();
  };
}

/**
 * The same over TLS: what the kernel holds is decrypted by the socket's own handle. A stream with an error takes nothing
 * more, so what the handle pushes goes past it. A destroyed one has no handle, so here the call of `destroy` waits.
 */
export function keepUnreadTls(
  socket: TLSSocket,
  { onChunk }: SocketReader,
  take: (unread: UnreadAnswer) => boolean,
): void {
  const handled = socket as unknown as HandledTlsSocket;
  const { destroy } = handled;
  let isTaken = false;
  handled.destroy = (error) => {
    const handle = handled._handle;
    const fd = handle?.fd ?? -1;
    const drop = (): void => {
      handled.destroy = destroy;
      destroy.call(socket, error);
    };
    if (isTaken || !isFailedWrite(error) || !handle?.receive || fd < 0) return drop();
    isTaken = true;
    handle.readStop();
    handled.push = (decrypted) => {
      if (decrypted) onChunk(decrypted);
      return true;
    };
    const piece = Buffer.allocUnsafe(PIECE_BYTES);
    const next = (): boolean => {
      // What was decrypted before, while the reader had paused the stream, comes first.
      const decrypted = handled.read();
      if (decrypted) {
        onChunk(decrypted);
        return true;
      }
      const size = readNow(fd, piece);
      if (size > 0) handle.receive?.(piece.subarray(0, size));
      return size > 0;
    };
    // The failed write may be told from within the TLS handle, which decrypts nothing until it is done.
    setImmediate(() => {
      if (!handled.destroyed && !take({ next, drop })) drop();
    });
    return socket;
  };
}

function isFailedWrite(error: Error | null | undefined): boolean {
  return (error as NodeJS.ErrnoException | null | undefined)?.syscall === 'write';
}

function readNow(fd: number, into: Buffer): number {
  try {
    return readSync(fd, into);
  } catch {
    return 0; // nothing is there (EAGAIN), or the reset itself
  }
}
