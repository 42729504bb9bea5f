/**
 * The TLS servers of the webhook: reviews and exchanges. They are for the API server and for sidecars, but any pod may
 * reach them. So what a connection may cost is bounded. Beyond the bound the one that has been silent longest gives way
 * to the next. One counts as busy when its request is there whole, so a half-sent request gives way too.
 */
import { createServer, type Server, type ServerOptions } from 'node:https';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { KeyPair } from '../../common/tls/key-pair.ts';

export interface TlsServerLimits {
  /** From a request's first byte to its last. */
  readonly requestMs: number;
  /** How long a connection may be silent between requests. */
  readonly keepAliveMs: number;
  readonly maxConnections: number;
  /** A connection was closed for another one. */
  readonly onClosed: () => void;
}

/** For a handshake, and for the head of a request: both come at once from those who mean it. */
const TLS_HEAD_MS = 5_000;
/** How often Node looks for requests that take too long. */
const CHECK_MS = 1_000;

/** @param pair undefined: `setSecureContext` is called before it listens */
export function createTlsServer(
  handler: RequestListener,
  pair: KeyPair | undefined,
  { requestMs, keepAliveMs, maxConnections, onClosed }: TlsServerLimits,
): Server {
  const options: ServerOptions = {
    ...(pair && tlsOptions(pair)),
    requestTimeout: requestMs,
    headersTimeout: Math.min(TLS_HEAD_MS, requestMs),
    handshakeTimeout: TLS_HEAD_MS,
    connectionsCheckingInterval: CHECK_MS,
  };
  const server = createServer(options, handler);
  server.keepAliveTimeout = keepAliveMs;
  closeLongestSilent(server, maxConnections, onClosed);
  return server;
}

export function tlsOptions(pair: KeyPair): { key: string; cert: string; minVersion: 'TLSv1.2' } {
  return { key: pair.key, cert: pair.certificate, minVersion: 'TLSv1.2' };
}

interface Connection {
  readonly socket: Socket;
  running: number;
}

function closeLongestSilent(server: Server, maxConnections: number, onClosed: () => void): void {
  /** In the order in which they were last used. A request has the TLS socket, so both are known by the peer. */
  const open = new Map<string, Connection>();
  const use = (peer: string, connection: Connection): void => {
    open.delete(peer);
    open.set(peer, connection);
  };
  server.on('connection', (socket: Socket) => {
    if (open.size >= maxConnections && !closeFirst(open.values())) return void socket.destroy();
    const peer = peerOf(socket);
    const connection = { socket, running: 0 };
    use(peer, connection);
    socket.once('close', () => {
      if (open.get(peer) === connection) open.delete(peer);
    });
  });
  server.on('request', (req: IncomingMessage, res: ServerResponse) => {
    const peer = peerOf(req.socket);
    const connection = open.get(peer);
    if (!connection) return;
    req.once('end', () => {
      if (!res.closed) connection.running++;
    });
    res.once('close', () => {
      connection.running = 0;
      if (open.get(peer) === connection) use(peer, connection);
    });
  });

  function closeFirst(connections: Iterable<Connection>): boolean {
    onClosed();
    for (const { socket, running } of connections) {
      if (running > 0) continue;
      open.delete(peerOf(socket));
      socket.destroy();
      return true;
    }
    return false;
  }
}

function peerOf({ remoteAddress, remotePort }: Socket): string {
  return `${remoteAddress} ${remotePort}`;
}
