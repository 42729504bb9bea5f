/**
 * An upgraded connection (WebSocket or any other protocol) carried to an upstream, by http-proxy; the one place that
 * loads it, at the first upgrade. This adds what http-proxy lacks. Headers keep their case and order, and a path its
 * bytes. The upstream's refusal is forwarded as it is. Either side's end ends the other. A WebSocket can be closed
 * with a close frame instead of a reset.
 *
 * Room `common/tunnel`: Upgraded connections: WebSocket and others.
 * Comes in: a socket and its first bytes.
 * Goes out: bytes in both directions until one side ends.
 */
import type { Agent, ClientRequest, IncomingHttpHeaders, IncomingMessage } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import util from 'node:util';
import { http } from '../runtime/node-http.ts';
import type { HeadVerdict, RequestHead, ResponseHead } from '../relay/types.ts';
import type { EarlyBytes } from './early-bytes.ts';
import { joinTunnel, type TunnelCarrier } from './carrier.ts';
import { endToEnd, forwardAnswer } from './plain-answer.ts';

export interface TunnelRequest {
  readonly head: RequestHead;
  readonly socket: Duplex;
  /** Watches `socket` until the tunnel is open, and longer where it does not come to that. */
  readonly early: EarlyBytes;
  /** Connected (see connect.ts); the tunnel owns it from here. */
  readonly upstream: Socket;
  /** The value of `Upgrade`, as the client sent it. */
  readonly protocol: string;
  /** To the upstream's answer. */
  readonly headMs: number;
  /** The headers of the upstream's 101; what is deleted here does not reach the client. */
  readonly onAgreed?: (headers: IncomingHttpHeaders) => void;
  /** Asked when the upstream answers something other than 101; without it every answer is forwarded. */
  readonly decide?: (head: ResponseHead) => HeadVerdict;
  /** Changes the head of an answer other than 101. */
  readonly mapHead?: (head: ResponseHead) => ResponseHead;
}

/**
 * How it ended. After `discarded` and `failed` the client has been told nothing and its socket is untouched:
 * another upstream may be tried. - `answered`: not 101; forwarded, and the connection closed.
 */
export type TunnelOutcome =
  | { readonly kind: 'closed' }
  | { readonly kind: 'answered'; readonly status: number }
  | { readonly kind: 'discarded'; readonly head: ResponseHead }
  | { readonly kind: 'failed'; readonly error: Error }
  | { readonly kind: 'timeout' }
  | { readonly kind: 'cancelled' };

export interface Tunnel {
  /** Never rejects. */
  readonly done: Promise<TunnelOutcome>;
  /** A WebSocket gets a close frame with `code` and has `graceMs` to end; other protocols just have the time. */
  close(code: number, reason: string, graceMs: number): void;
  destroy(): void;
}

export async function openTunnel(request: TunnelRequest): Promise<Tunnel> {
  const { default: httpProxy } = await import('http-proxy');
  markExtendWarned();
  const proxy = httpProxy.createProxyServer({ toProxy: true, ignorePath: true });
  dropMethodCheck(proxy);
  return new OpenTunnel(request, proxy);
}

/**
 * http-proxy 1.18.1 calls util._extend, and Node warns of that once a process, on everyone's log. Calling it
 * here first, with the warning off, is that once.
 */
function markExtendWarned(): void {
  const { noDeprecation } = process;
  process.noDeprecation = true;
  (util as unknown as { _extend(target: object, source: object): object })._extend({}, {});
  setImmediate(() => (process.noDeprecation = noDeprecation ?? false)); // a warning is written a tick later
}

type HttpProxy = import('http-proxy');

/** http-proxy's first step refuses every protocol but WebSocket. */
function dropMethodCheck(proxy: HttpProxy): void {
  (proxy as unknown as { wsPasses: unknown[] }).wsPasses.shift();
}

class OpenTunnel implements Tunnel {
  readonly done: Promise<TunnelOutcome>;
  readonly #request: TunnelRequest;
  readonly #finish: (outcome: TunnelOutcome) => void;
  readonly #timer: NodeJS.Timeout;
  #proxyReq: ClientRequest | undefined;
  #carrier: TunnelCarrier | undefined;

  constructor(request: TunnelRequest, proxy: HttpProxy) {
    const { promise, resolve } = Promise.withResolvers<TunnelOutcome>();
    this.done = promise;
    this.#request = request;
    this.#finish = (outcome) => {
      clearTimeout(this.#timer);
      request.early.left.removeEventListener('abort', this.#callerLeft);
      resolve(outcome);
    };
    this.#timer = setTimeout(() => this.#abandon({ kind: 'timeout' }), request.headMs);
    request.early.left.addEventListener('abort', this.#callerLeft);
    if (request.early.left.aborted) this.#callerLeft();
    else if (request.upstream.destroyed)
      this.#abandon({ kind: 'failed', error: new Error('connection lost') });
    else this.#send(proxy);
  }

  close(code: number, reason: string, graceMs: number): void {
    if (this.#carrier) this.#carrier.close(code, reason, graceMs);
    else setTimeout(() => this.destroy(), graceMs).unref();
  }

  destroy(): void {
    this.#request.socket.destroy();
    this.#request.upstream.destroy();
  }

  readonly #callerLeft = (): void => this.#abandon({ kind: 'cancelled' });

  #abandon(outcome: TunnelOutcome): void {
    this.#request.upstream.destroy();
    this.#finish(outcome);
  }

  #send(proxy: HttpProxy): void {
    const { socket, upstream, head, protocol } = this.#request;
    proxy.on('proxyReqWs', (proxyReq: ClientRequest) => {
      this.#proxyReq = proxyReq;
      writeHead(proxyReq, head, protocol); // the one moment between its making and its sending
    });
    let agreed = protocol;
    proxy.on('open', (proxySocket: Socket) => this.#upgraded(proxySocket, agreed));
    proxy.on('error', () => undefined); // a carrier hears of it from the sockets themselves
    const asRequest = { method: head.method, url: head.path, headers: {} } as IncomingMessage;
    const target = { host: 'upstream', port: 80 };
    proxy.ws(asRequest, socket, NO_BYTES, { target, agent: agentOf(upstream) });
    const proxyReq = this.#proxyReq as ClientRequest | undefined;
    if (!proxyReq) return this.#abandon({ kind: 'failed', error: new Error('http-proxy sent nothing') });
    this.#takeOver(proxyReq);
    proxyReq.prependListener('upgrade', ({ headers }) => {
      agreed = headers.upgrade ?? protocol; // the client may have offered several
      this.#request.onAgreed?.(headers);
    });
  }

  /** http-proxy would end the client's socket on an error and garble an answer that is not 101. */
  #takeOver(proxyReq: ClientRequest): void {
    proxyReq.removeAllListeners('error');
    proxyReq.removeAllListeners('response');
    proxyReq.on('error', (error) => this.#abandon({ kind: 'failed', error }));
    proxyReq.on('response', (res) => this.#answered(res));
  }

  #answered(res: IncomingMessage): void {
    const head = endToEnd(res);
    if (this.#request.decide?.(head) === 'discard') return this.#abandon({ kind: 'discarded', head });
    const { socket, early, mapHead } = this.#request;
    clearTimeout(this.#timer);
    early.left.removeEventListener('abort', this.#callerLeft);
    forwardAnswer(res, mapHead ? mapHead(head) : head, socket);
    socket.once('close', () => this.#abandon({ kind: 'answered', status: head.status }));
  }

  #upgraded(proxySocket: Socket, protocol: string): void {
    const { socket, early } = this.#request;
    clearTimeout(this.#timer);
    early.left.removeEventListener('abort', this.#callerLeft);
    this.#carrier = joinTunnel(socket, proxySocket, protocol.trim().toLowerCase() === 'websocket');
    early.handOver();
    void this.#carrier.done.then(() => this.#finish({ kind: 'closed' }));
  }
}

const NO_BYTES = Buffer.alloc(0);

/** An agent whose one connection is the one we made. */
function agentOf(upstream: Socket): Agent {
  const agent = new http.Agent({ keepAlive: false });
  agent.createConnection = () => upstream;
  return agent;
}

/** Names as the client spelled them, in its order; http-proxy would send them lower-cased. */
function writeHead(proxyReq: ClientRequest, head: RequestHead, protocol: string): void {
  for (const name of proxyReq.getHeaderNames()) proxyReq.removeHeader(name);
  proxyReq.path = head.path;
  for (let i = 0; i + 1 < head.headers.length; i += 2) {
    proxyReq.appendHeader(head.headers[i] as string, head.headers[i + 1] as string);
  }
  proxyReq.setHeader('Connection', 'Upgrade');
  proxyReq.setHeader('Upgrade', protocol);
}
