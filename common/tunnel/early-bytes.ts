/**
 * The socket of an upgrade request while nobody is on its other side yet. What the client sends early is kept
 * (bounded), and its leaving is noticed. Noticing needs reading, because an unread socket does not tell its end.
 */
import type { Duplex } from 'node:stream';

const MOST_EARLY_BYTES = 65_536;

export interface EarlyBytes {
  /** Aborted when the client has left, or sends too much before it was answered. */
  readonly left: AbortSignal;
  /**
   * Stops watching and puts what came back into the socket. Call once, when its new reader is attached: a
   * socket that flows without one loses what arrives.
   */
  handOver(): void;
}

export function watchEarlyBytes(socket: Duplex, head: Buffer): EarlyBytes {
  const leaving = new AbortController();
  const chunks = [head];
  let size = head.length;
  const leave = (): void => leaving.abort(new Error('the caller left'));
  const keep = (chunk: Buffer): void => {
    size += chunk.length;
    if (size <= MOST_EARLY_BYTES) chunks.push(chunk);
    else leave();
  };
  socket.on('data', keep);
  for (const event of ['end', 'close', 'error']) socket.on(event, leave);
  if (socket.destroyed) leave();
  return {
    left: leaving.signal,
    handOver() {
      socket.off('data', keep);
      // 'error' stays handled: between two owners an ECONNRESET must not end the process.
      for (const event of ['end', 'close']) socket.off(event, leave);
      if (size > 0) socket.unshift(Buffer.concat(chunks));
    },
  };
}
