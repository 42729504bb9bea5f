/**
 * Node's server, set up for strangers: every limit set, malformed requests answered in the system's own words
 * and cut off, `Expect: 100-continue` left to whoever reads the body.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { http } from '../node-http.ts';
import type { Duplex } from 'node:stream';
import { bodyLength } from './node-body.ts';
import { isTunnelRequest } from '../tunnel/is-tunnel-request.ts';
import { isRefused } from './serve-head.ts';

/** What a client may cost; every one has a default. */
export interface EdgeLimits {
  /** Request line and headers together; beyond: 431. */
  readonly maxHeaderBytes: number;
  /** Further ones are dropped by Node, so it is far above what `maxHeaderBytes` can hold: 0, no limit. */
  readonly maxHeaderCount: number;
  /** From the connection's (or request's) first byte to the whole head; beyond: 408. */
  readonly headersTimeoutMs: number;
  /** To the whole request, body included; 0: no limit, the relay's idle clock watches the body. */
  readonly requestTimeoutMs: number;
  /** How long an idle connection is kept. */
  readonly keepAliveMs: number;
  /** 0: no limit. */
  readonly maxRequestsPerConnection: number;
  /** 0: no limit. Further ones are closed at once. */
  readonly maxConnections: number;
}

export const EDGE_DEFAULTS: EdgeLimits = {
  maxHeaderBytes: 65_536,
  maxHeaderCount: 0,
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 0,
  keepAliveMs: 75_000,
  maxRequestsPerConnection: 0,
  maxConnections: 0,
};

export type EdgeHandler = (req: IncomingMessage, res: ServerResponse) => void;

/** Listening, upgrades and closing are the caller's. */
export function createEdgeServer(handler: EdgeHandler, limits: Partial<EdgeLimits> = {}): Server {
  const all = { ...EDGE_DEFAULTS, ...limits };
  const handle: EdgeHandler = (req, res) => {
    if (isRefused(req)) return;
    if (bodyLength(req.rawHeaders) !== 0) res.once('finish', () => readOff(req));
    handler(req, res);
  };
  const server = http.createServer(
    {
      insecureHTTPParser: false,
      maxHeaderSize: all.maxHeaderBytes,
      headersTimeout: all.headersTimeoutMs,
      requestTimeout: all.requestTimeoutMs,
      keepAliveTimeout: all.keepAliveMs,
      connectionsCheckingInterval: Math.min(5_000, all.headersTimeoutMs),
      requireHostHeader: false, // `serveHead` answers it with a reason
      noDelay: true,
      // A request without a body gets no stream events (7–10 % of CPU a request): nobody here waits for any.
      optimizeEmptyRequests: true,
    },
    handle,
  );
  // Everything that offers an upgrade would come to 'upgrade', also what is content with a plain answer.
  const isUpgrade = (req: IncomingMessage): boolean =>
    server.listenerCount('upgrade') > 0 && !isRefused(req) && isTunnelRequest(req);
  Object.assign(server, { shouldUpgradeCallback: isUpgrade });
  server.maxHeadersCount = all.maxHeaderCount;
  server.maxRequestsPerSocket = all.maxRequestsPerConnection;
  if (all.maxConnections > 0) server.maxConnections = all.maxConnections;
  server.on('checkContinue', handle);
  server.on('clientError', refuseConnection);
  return server;
}

/**
 * A body of which nobody wants the rest: read and dropped, so that the connection can carry the next request.
 * Node does it by itself only for a body that nobody began to read.
 */
function readOff(req: IncomingMessage): void {
  if (req.complete) return;
  req.removeAllListeners('data'); // a body kept for a replay would pause it again
  req.resume();
}

/** Answers what could not be parsed, where an answer cannot be mistaken for a part of another one. */
function refuseConnection(error: Error & { code?: string }, socket: Duplex & Partial<Answering>): void {
  const isAnswering = socket._httpMessage?._headerSent === true;
  if (!socket.writable || isAnswering || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const { status, text, message } = refusalOf(error.code);
  const body = JSON.stringify({ error: 'bad-request', message });
  socket.end(
    `HTTP/1.1 ${status} ${text}\r\nSlimFaas-Reason: bad-request\r\nContent-Type: application/json\r\n` +
      `Content-Length: ${Buffer.byteLength(body)}\r\nConnection: close\r\n\r\n${body}`,
  );
  socket.destroySoon?.();
}

interface Answering {
  _httpMessage: { _headerSent: boolean } | null;
  destroySoon(): void;
}

function refusalOf(code: string | undefined): { status: number; text: string; message: string } {
  switch (code) {
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, text: 'Request Header Fields Too Large', message: 'send smaller headers' };
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { status: 413, text: 'Payload Too Large', message: 'send smaller chunk extensions' };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, text: 'Request Timeout', message: 'send the request faster' };
    default:
      return { status: 400, text: 'Bad Request', message: 'the request is not valid HTTP/1.1' };
  }
}
