/**
 * One upgraded connection (WebSocket or other) to a pod, by http-proxy. What http-proxy would do with a refusal
 * or a failed connect (write it to the client, end the client's socket) is taken out of its hands: until the
 * pod has agreed, the client's socket is ours and another pod may be tried.
 */
import { Agent, type ClientRequest, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import httpProxy from 'http-proxy';
import type { Target } from '../common/relay/types.ts';

export interface TunnelRequest {
  readonly req: IncomingMessage;
  readonly socket: Duplex;
  /** What came after the head in the same packet. */
  readonly head: Buffer;
  readonly target: Target;
  /** Byte for byte. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly timeoutMs: number;
}

export type TunnelOutcome =
  /** It was open and is over. */
  | { readonly kind: 'closed' }
  /** The pod answered without upgrading; the caller of {@link UpgradeTunnels.open} has to use or drop it. */
  | { readonly kind: 'answered'; readonly answer: IncomingMessage }
  | { readonly kind: 'failed'; readonly error: Error };

export interface TunnelListener {
  onOpen(answer: IncomingMessage): void;
  /** Exactly once. */
  onOutcome(outcome: TunnelOutcome): void;
}

interface Pending {
  readonly request: TunnelRequest;
  readonly listener: TunnelListener;
}

export class UpgradeTunnels {
  /** No keep-alive: an upgraded connection is never used again. */
  readonly #agent = new Agent({ keepAlive: false, maxSockets: Infinity });
  /** `toProxy` and `ignorePath` keep http-proxy from parsing a path that {@link takeOver} sets anyway. */
  readonly #proxy = httpProxy.createProxyServer({ agent: this.#agent, ignorePath: true, toProxy: true });
  /** By the client's socket, which is what http-proxy hands back in its events. */
  readonly #pending = new WeakMap<Duplex, Pending>();

  constructor() {
    allowAnyProtocol(this.#proxy);
    this.#proxy.on('proxyReqWs', (proxyReq, _req, socket) => {
      const pending = this.#pending.get(socket);
      if (pending) takeOver(proxyReq, pending);
    });
    // After takeOver only a socket that broke when it was open can end here; its close event tells.
    this.#proxy.on('error', () => undefined);
  }

  /** Returns how to cut it. */
  open(request: TunnelRequest, listener: TunnelListener): () => void {
    const { req, socket, target, head } = request;
    let isOver = false;
    const once: TunnelListener = {
      onOpen: (answer) => listener.onOpen(answer),
      onOutcome: (outcome) => {
        if (isOver) return;
        isOver = true;
        listener.onOutcome(outcome);
      },
    };
    this.#pending.set(socket, { request, listener: once });
    const url = { protocol: 'http:', host: target.host, hostname: target.host, port: String(target.port) };
    this.#proxy.ws(req, socket, head, { target: url });
    return () => {
      socket.destroy();
      once.onOutcome({ kind: 'closed' });
    };
  }

  close(): void {
    this.#agent.destroy();
    this.#proxy.close();
  }
}

/** http-proxy destroys the socket of every upgrade but a WebSocket's; which there are is not ours to judge. */
function allowAnyProtocol(proxy: httpProxy): void {
  const passes = proxy as unknown as { wsPasses: { name: string }[] };
  passes.wsPasses = passes.wsPasses.filter((pass) => pass.name !== 'checkMethodAndHeader');
}

/**
 * Sets the request's true path and headers (http-proxy joins duplicate slashes and knows nothing of ours) and
 * steps between it and http-proxy: `response` and `error` come to us until the upgrade has happened.
 */
function takeOver(proxyReq: ClientRequest, { request, listener }: Pending): void {
  proxyReq.path = request.path;
  for (const name of proxyReq.getHeaderNames()) proxyReq.removeHeader(name);
  for (const [name, value] of Object.entries(request.headers)) proxyReq.setHeader(name, value);
  proxyReq.setTimeout(request.timeoutMs, () => proxyReq.destroy(new Error('no answer in time')));
  const emit = proxyReq.emit.bind(proxyReq) as (event: string | symbol, ...args: unknown[]) => boolean;
  let isOpen = false;
  const between = (event: string | symbol, ...args: unknown[]): boolean => {
    if (event === 'upgrade') {
      isOpen = true;
      proxyReq.setTimeout(0);
      follow(request.socket, args[1] as Duplex, listener);
      listener.onOpen(args[0] as IncomingMessage);
    }
    if (isOpen || (event !== 'response' && event !== 'error')) return emit(event, ...args);
    if (event === 'response') listener.onOutcome({ kind: 'answered', answer: args[0] as IncomingMessage });
    else listener.onOutcome({ kind: 'failed', error: args[0] as Error });
    return true;
  };
  proxyReq.emit = between;
}

/** Either side's end is the other's: an idle half must not keep a place. */
function follow(client: Duplex, pod: Duplex, listener: TunnelListener): void {
  client.once('close', () => pod.destroy());
  pod.once('close', () => {
    client.end();
    listener.onOutcome({ kind: 'closed' });
  });
}
