/** The way from one sidecar to NATS: a TCP forwarder that a test cuts and mends. */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { ownAddress } from '../../helpers/addresses.ts';

export interface Line extends AsyncDisposable {
  readonly url: string;
  /** Every connection is reset, and each new one. */
  cut(): void;
  mend(): void;
}

export async function startLine(to: { readonly host: string; readonly port: number }): Promise<Line> {
  const sockets = new Set<Socket>();
  let isCut = false;
  const keep = (socket: Socket): Socket => {
    sockets.add(socket);
    socket.on('error', () => socket.destroy());
    return socket.once('close', () => sockets.delete(socket));
  };
  const server = createServer((socket) => {
    if (isCut) return void socket.destroy();
    const onward = keep(connect(to));
    keep(socket).pipe(onward).pipe(socket);
    socket.once('close', () => onward.destroy());
    onward.once('close', () => socket.destroy());
  });
  const host = ownAddress();
  server.listen(0, host);
  await once(server, 'listening');
  const cut = (): void => {
    isCut = true;
    for (const socket of sockets) socket.destroy();
  };
  return {
    url: `nats://${host}:${(server.address() as AddressInfo).port}`,
    cut,
    mend: () => (isCut = false),
    async [Symbol.asyncDispose]() {
      cut();
      server.close();
      await once(server, 'close');
    },
  };
}
