/**
 * Node's server, set up for strangers: every limit set, malformed requests answered in the system's own words
 * and cut off, `Expect: 100-continue` left to the reader of the body.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import { http } from '../../runtime/node-http.ts';
import { ReasonError } from '../../runtime/errors.ts';
import { cutUnreadBody, sendReasonOnSocket } from '../../runtime/reason-answer.ts';
import type { Duplex } from 'node:stream';
import { watchIdleConnections } from './idle-connections.ts';
import { describeMalformed, type ParseError } from './malformed.ts';
import { announcesBody } from './node-body.ts';
import { isTunnelRequest } from './is-tunnel-request.ts';
import { wasRefused, refuseRest } from './serve-head.ts';

/** What a client may cost; every one has a default. */
export interface EdgeLimits {
  /** Request line and headers together; beyond: 431. */
  readonly maxHeaderBytes: number;
  /** Header lines; beyond: 431. */
  readonly maxHeaders: number;
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
  /** What idle connections may hold; beyond it the longest idle are closed. 0: no limit. */
  readonly maxIdleBytes: number;
  /** An answer that is written and not read makes its connection idle too. */
  readonly evictsUnread: boolean;
  /** For the rest of a body that nobody wants, once the answer is written; beyond: cut. */
  readonly unreadBodyMs: number;
}

/** Which of them a client met, for counting. `malformed`: what is not valid HTTP/1.1, or read by others as another request. */
export type EdgeLimit =
  'header-bytes' | 'headers' | 'header-time' | 'connections' | 'idle-bytes' | 'malformed';

const EDGE_DEFAULTS: EdgeLimits = {
  maxHeaderBytes: 65_536,
  maxHeaders: 2_048, // more than a proxy lets in and adds
  headersTimeoutMs: 10_000,
  requestTimeoutMs: 0,
  keepAliveMs: 75_000,
  maxRequestsPerConnection: 0,
  maxConnections: 0,
  maxIdleBytes: 0,
  evictsUnread: false,
  unreadBodyMs: 5_000,
};

const NO_CONNECT = 'CONNECT is not served here: a function is called at a path, with another method';

export type EdgeHandler = (req: IncomingMessage, res: ServerResponse) => void;

/**
 * How every connection with a caller is set. The kernel asks a silent one after a minute whether the other end is there: a client
 * whose host has vanished says no end, an answer may be silent for hours, and it holds its place in a pod.
 */
export const TCP_OPTIONS = { noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 } as const;

/** Listening, the event `upgrade` and closing are the caller's. */
export function createEdgeServer(
  handler: EdgeHandler,
  limits: Partial<EdgeLimits> = {},
  onLimit: (limit: EdgeLimit) => void = () => undefined,
): Server {
  const all = { ...EDGE_DEFAULTS, ...limits };
  const hasTooMany = (req: IncomingMessage): boolean => req.rawHeaders.length > 2 * all.maxHeaders;
  const handle: EdgeHandler = (req, res) => {
    if (wasRefused(req)) return;
    if (hasTooMany(req)) {
      onLimit('headers');
      return refuseHeaders(req, res);
    }
    // Node keeps no clock of its own (idle-connections.ts) and would leave the time out of what it tells the client.
    (res as ServerResponse & KeepAlive)._keepAliveTimeout = all.keepAliveMs;
    if (announcesBody(req)) res.once('finish', () => readOff(req, all.unreadBodyMs));
    handler(req, res);
    if (wasRefused(req)) onLimit('malformed');
  };
  const server = http.createServer(
    {
      insecureHTTPParser: false,
      maxHeaderSize: all.maxHeaderBytes,
      headersTimeout: all.headersTimeoutMs,
      requestTimeout: all.requestTimeoutMs,
      keepAliveTimeout: 0,
      connectionsCheckingInterval: Math.min(5_000, all.headersTimeoutMs),
      requireHostHeader: false, // `serveHead` answers it with a reason
      ...TCP_OPTIONS,
      // A request without a body gets no stream events (7–10 % of CPU per request): nobody here waits for any.
      optimizeEmptyRequests: true,
    },
    handle,
  );
  // Everything that offers an upgrade would come to 'upgrade', also what is content with a plain answer.
  const isUpgrade = (req: IncomingMessage): boolean =>
    server.listenerCount('upgrade') > 0 && !wasRefused(req) && !hasTooMany(req) && isTunnelRequest(req);
  Object.assign(server, { shouldUpgradeCallback: isUpgrade });
  server.maxHeadersCount = 0; // Node would drop the rest silently
  server.maxRequestsPerSocket = all.maxRequestsPerConnection;
  if (all.maxConnections > 0) server.maxConnections = all.maxConnections;
  watchIdleConnections(server, {
    idleMs: all.keepAliveMs,
    maxBytes: all.maxIdleBytes,
    evictsUnread: all.evictsUnread,
    onEvicted: () => onLimit('idle-bytes'),
  });
  server.on('checkContinue', handle);
  server.on('connect', (_req, socket) =>
    sendReasonOnSocket(socket, new ReasonError('bad-request', NO_CONNECT)),
  );
  server.on('drop', () => onLimit('connections'));
  server.on('clientError', (error: ClientError, socket) => {
    const limit = limitOf(error.code);
    if (limit) onLimit(limit);
    refuseConnection(error, socket);
  });
  return server;
}

/**
 * A body of which nobody wants the rest: read and dropped, so that the connection can carry the next request.
 * Node does it by itself only for a body that nobody began to read. Not forever: no other clock sees it any more.
 */
function readOff(req: IncomingMessage, forMs: number): void {
  if (req.complete) return;
  req.removeAllListeners('data'); // a body kept for a replay would pause it again
  req.resume();
  cutUnreadBody(req, forMs);
}

function refuseHeaders(req: IncomingMessage, res: ServerResponse): void {
  refuseRest(req);
  const body = reasonBody('send fewer headers');
  res.writeHead(431, [...reasonHeaders(body), 'Connection', 'close']);
  res.end(body);
  cutUnreadBody(req);
}

type ClientError = Error & ParseError;

/** Answers what could not be parsed, where an answer cannot be mistaken for a part of another one. */
function refuseConnection(error: ClientError, socket: Duplex & Partial<Answering>): void {
  const isAnswering = socket._httpMessage?._headerSent === true;
  if (!socket.writable || isAnswering || error.code === 'ECONNRESET') {
    socket.destroy();
    return;
  }
  const { status, text, message } = refusalOf(error);
  const body = reasonBody(message);
  const headers = [...reasonHeaders(body), 'Connection', 'close'];
  let head = `HTTP/1.1 ${status} ${text}\r\n`;
  for (let i = 0; i + 1 < headers.length; i += 2) head += `${headers[i]}: ${headers[i + 1]}\r\n`;
  socket.end(`${head}\r\n${body}`);
  socket.destroySoon?.();
}

function reasonBody(message: string): string {
  return JSON.stringify({ error: 'bad-request', message });
}

function reasonHeaders(body: string): string[] {
  const length = String(Buffer.byteLength(body));
  return ['SlimFaas-Reason', 'bad-request', 'Content-Type', 'application/json', 'Content-Length', length];
}

interface KeepAlive {
  _keepAliveTimeout: number;
}

interface Answering {
  _httpMessage: { _headerSent: boolean } | null;
  destroySoon(): void;
}

function refusalOf(error: ParseError): { status: number; text: string; message: string } {
  switch (error.code) {
    case 'HPE_HEADER_OVERFLOW':
      return { status: 431, text: 'Request Header Fields Too Large', message: 'send smaller headers' };
    case 'HPE_CHUNK_EXTENSIONS_OVERFLOW':
      return { status: 413, text: 'Payload Too Large', message: 'send smaller chunk extensions' };
    case 'ERR_HTTP_REQUEST_TIMEOUT':
      return { status: 408, text: 'Request Timeout', message: 'send the request faster' };
    default:
      return { status: 400, text: 'Bad Request', message: describeMalformed(error) };
  }
}

/** undefined: the client has just gone. */
function limitOf(code: string | undefined): EdgeLimit | undefined {
  if (code === 'HPE_HEADER_OVERFLOW') return 'header-bytes';
  if (code === 'ERR_HTTP_REQUEST_TIMEOUT') return 'header-time';
  return code?.startsWith('HPE_') && code !== 'HPE_INVALID_EOF_STATE' ? 'malformed' : undefined;
}
