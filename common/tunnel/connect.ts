/** A fresh connection for a tunnel: made first and by itself, so that who was never reached is known. */
import { connect, type Socket } from 'node:net';
import type { Dial } from '../relay/target/transport.ts';
import type { RelayTarget } from '../relay/types.ts';

const PLAIN: Pick<Dial, 'openEvent' | 'open'> = {
  openEvent: 'connect',
  open: ({ host, port }) => connect({ host, port, noDelay: true }),
};

/** @throws Error of the connect, a timeout's included, or the signal's reason */
export function connectTo(
  target: RelayTarget,
  timeoutMs: number,
  signal: AbortSignal,
  dial: Pick<Dial, 'openEvent' | 'open'> = PLAIN,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket = dial.open(target);
    const settle = (): void => {
      clearTimeout(timer);
      signal.removeEventListener('abort', abort);
      socket.off('error', fail);
    };
    const fail = (error: Error): void => {
      settle();
      socket.destroy();
      reject(error);
    };
    const abort = (): void => fail(signal.reason as Error);
    const timer = setTimeout(() => fail(new Error(`no connection within ${timeoutMs} ms`)), timeoutMs);
    signal.addEventListener('abort', abort, { once: true });
    socket.once('error', fail);
    socket.once(dial.openEvent, () => {
      settle();
      // Until its new owner listens: a reset that comes between must not end the process.
      socket.on('error', () => undefined);
      resolve(socket);
    });
  });
}
