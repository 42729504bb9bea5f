/**
 * A user's container for tests: a real HTTP server whose answers a test decides, and which counts how many
 * requests are inside it at once, because that is what a limit is about.
 */
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { ownAddress } from '../../helpers/addresses.ts';

/** Where every app of this process listens: one that is away for a moment finds its port free when it comes back. */
export const APP_HOST = ownAddress();

export type Handler = (req: IncomingMessage, res: ServerResponse, nth: number) => void;

export class App implements AsyncDisposable {
  readonly #sockets = new Set<Socket>();
  #server: Server;
  /** Of each request that arrived, in order. */
  readonly arrivals: { readonly method: string; readonly url: string; readonly atMs: number }[] = [];
  handler: Handler;
  running = 0;
  mostRunning = 0;

  constructor(handler: Handler = (_req, res) => res.end('ok')) {
    this.handler = handler;
    this.#server = this.#create();
  }

  get server(): Server {
    return this.#server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get count(): number {
    return this.arrivals.length;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  async listen(port = 0): Promise<this> {
    await new Promise<void>((resolve) => this.#server.listen(port, APP_HOST, resolve));
    return this;
  }

  /** As a crashed container: nobody listens, every connection is reset. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    for (const socket of this.#sockets) socket.destroy();
    await closed;
    this.#server = this.#create();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Another kind of server for a kind of app. */
  protected serve(handle: (req: IncomingMessage, res: ServerResponse) => void): Server {
    return createServer(handle);
  }

  #create(): Server {
    const server = this.serve((req, res) => this.#handle(req, res));
    server.on('connection', (socket) => {
      this.#sockets.add(socket);
      socket.on('close', () => this.#sockets.delete(socket));
    });
    return server;
  }

  #handle(req: IncomingMessage, res: ServerResponse): void {
    this.arrivals.push({ method: req.method ?? '', url: req.url ?? '', atMs: performance.now() });
    this.running += 1;
    this.mostRunning = Math.max(this.mostRunning, this.running);
    res.once('close', () => (this.running -= 1));
    this.handler(req, res, this.arrivals.length);
  }
}

/** Answers when the test says so: `held` has what waits, oldest first. */
export function holding(): { handler: Handler; held: ServerResponse[]; releaseAll: () => void } {
  const held: ServerResponse[] = [];
  let isOpen = false;
  return {
    held,
    handler(_req, res) {
      if (isOpen) return void res.end('held');
      held.push(res);
    },
    releaseAll() {
      isOpen = true;
      for (const res of held.splice(0)) res.end('held');
    },
  };
}
