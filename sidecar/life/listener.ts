/** Listening, and closing for good: also the sockets that an upgrade took out of Node's own bookkeeping. */
import type { Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { sleep } from '../../common/runtime/lifecycle.ts';
import { listenOn } from '../../common/runtime/listen-on.ts';

/** For answers that are written and on their way to the kernel: the last /drain's own, for one. */
const FLUSH_MS = 100;
const CLOSE_SWEEP_MS = 10;

export interface Listener {
  readonly port: number;
  /** Connections accepted since the start. */
  readonly accepted: () => number;
  /** Cuts what is still open. Call it when every caller has had its time. A second call is harmless. */
  close(): Promise<void>;
}

export function listen(server: Server, host: string, port: number): Promise<Listener> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  server.on('drop', () => (accepted += 1));
  server.on('connection', (socket: Socket) => {
    accepted += 1;
    sockets.add(socket);
    socket.once('close', () => sockets.delete(socket));
  });
  const close = async (): Promise<void> => {
    const closed = new Promise<void>((resolve) => void server.close(() => resolve()));
    const sweep = setInterval(() => server.closeIdleConnections(), CLOSE_SWEEP_MS);
    await Promise.race([closed, sleep(FLUSH_MS)]);
    clearInterval(sweep);
    // Reset, not closed: an answer without a length would pass for a whole one.
    for (const socket of sockets) socket.resetAndDestroy();
    await closed;
  };
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(listenOn(host, port), () => {
      server.off('error', reject);
      resolve({ port: (server.address() as AddressInfo).port, accepted: () => accepted, close });
    });
  });
}
