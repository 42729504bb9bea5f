/**
 * What the kernel still holds of an answer when a write has failed. An upstream that refuses an upload answers and
 * closes; our next write then fails, and Node destroys the socket with the answer unread. Here the destruction
 * waits until the rest is read. TCP delivers in order: what came before the reset is all there, so the reads never wait.
 *
 * The price is Node's own handle on the socket, which a test watches: its `fd`, and `readStop`.
 */
import { readSync } from 'node:fs';
import type { Socket } from 'node:net';

interface HandledSocket {
  readonly _handle?: { readonly fd?: number; readStop(): void } | null;
  _destroy: (error: Error | null, done: (error?: Error | null) => void) => void;
}

export interface UnreadAnswer {
  /** Reads the next piece. @returns its size; 0: there is no more */
  read(into: Buffer): number;
  /** Destroys the socket now; twice is harmless. */
  drop(): void;
}

/**
 * @param take gets what is unread, before the socket is destroyed for a failed write. It must end with `drop`, after
 * which the socket's `error` comes. False: it is not wanted.
 */
export function keepUnread(socket: Socket, take: (unread: UnreadAnswer) => boolean): void {
  if ('encrypted' in socket) return; // what the kernel holds there is no answer yet
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
    if (!take({ read: (into) => readNow(fd, into), drop })) drop();
  };
}

function isFailedWrite(error: Error | null): boolean {
  return (error as NodeJS.ErrnoException | null)?.syscall === 'write';
}

function readNow(fd: number, into: Buffer): number {
  try {
    return readSync(fd, into);
  } catch {
    return 0; // nothing is there (EAGAIN), or the reset itself
  }
}
