/** The ports for callers: the plain one, TLS, and the one for callers from outside. All lead to the same two servers. */
import type { Server, Socket } from 'node:net';
import type { Log } from '../common/runtime/log.ts';
import type { KeyPair } from '../common/tls/key-pair.ts';
import { contains, type Ranges } from '../common/outbound/address.ts';
import { joinListeners, listenAtEdge, type ConnectionCounts, type EdgeListener } from './edge/listener.ts';
import { createPublicPort, markOutside } from './edge/outside.ts';
import { plainAddress } from './edge/trust.ts';
import type { ProxyConfig } from './flags.ts';
import { createTlsPort, followKeyPair } from './http2/tls-port.ts';
import type { Servers } from './servers.ts';

interface PortsDeps {
  /** undefined: no TLS. */
  readonly pair: KeyPair | undefined;
  readonly servers: Servers;
  /** Addresses of --outside-cidrs. */
  readonly outside: Ranges | undefined;
  readonly log: Log;
  /** A port had no room for a connection. */
  readonly onDrop: () => void;
}

export interface Ports {
  /** What accepts connections. */
  readonly accepting: readonly Server[];
  listen(): Promise<OpenPorts>;
}

interface OpenPorts {
  readonly listener: EdgeListener;
  readonly port: number;
  readonly tlsPort: number;
  readonly publicPort: number;
  /** Ends what follows the certificate. */
  readonly stop: () => Promise<void>;
}

export function createPorts(config: ProxyConfig, deps: PortsDeps): Ports {
  const { servers, onDrop } = deps;
  markConnections(servers.main, deps.outside);
  const tls = createTls(config, deps);
  const open =
    config['public-routes'].length === 0
      ? undefined
      : createPublicPort((socket) => servers.main.emit('connection', socket), config['max-connections']);
  for (const server of [tls, open]) server?.on('drop', onDrop);
  return {
    accepting: [servers.main, tls, open].filter((server) => server !== undefined),
    async listen() {
      const { host } = config;
      const connections = clientConnections(servers);
      const main = await listenAtEdge(servers.main, config.port, host, connections);
      const second = tls && (await listenAtEdge(tls, config['tls-port'], host, connections));
      const third = open && (await listenAtEdge(open, config['public-port'], host, connections));
      return {
        listener: joinListeners(main, ...[second, third].filter((each) => each !== undefined)),
        port: main.port,
        tlsPort: second?.port ?? 0,
        publicPort: third?.port ?? 0,
        stop: tls
          ? followKeyPair(tls, tlsFiles(config), config['tls-check-seconds'] * 1000, deps.log)
          : nothing,
      };
    },
  };
}

export function tlsFiles(config: ProxyConfig): { certificate: string; key: string } {
  return { certificate: config['tls-cert'], key: config['tls-key'] };
}

/** Marks a connection before a byte of it is read. HTTP/2 over TLS does not come by this server: it is marked at its port. */
function markConnections(server: Server, ranges: Ranges | undefined): void {
  if (!ranges) return;
  server.prependListener('connection', (socket: Socket) => markOf(socket, ranges));
}

function markOf(socket: Socket, ranges: Ranges): void {
  if (contains(ranges, plainAddress(socket.remoteAddress ?? ''))) markOutside(socket);
}

function createTls(
  config: ProxyConfig,
  { pair, servers, outside }: PortsDeps,
): ReturnType<typeof createTlsPort> | undefined {
  if (!pair) return undefined;
  const mark = (socket: Socket): void => {
    if (config['tls-public']) markOutside(socket);
    else if (outside) markOf(socket, outside);
  };
  return createTlsPort({
    pair,
    handshakeMs: config['header-timeout'] * 1000,
    maxConnections: config['max-connections'],
    onHttp1(socket) {
      mark(socket);
      servers.main.emit('connection', socket);
    },
    onHttp2(socket) {
      mark(socket);
      servers.http2.take(socket);
    },
  });
}

/** Whatever port they came from: HTTP/1.1's server knows its own, the others are sessions. */
function clientConnections({ main, http2 }: Servers): ConnectionCounts {
  return {
    closeIdleConnections() {
      main.closeIdleConnections();
      http2.sessions.closeAll();
    },
    closeAllConnections() {
      main.closeAllConnections();
      http2.sessions.destroyAll();
    },
  };
}

async function nothing(): Promise<void> {}
