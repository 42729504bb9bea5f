/**
 * A pod's sidecar as the proxy meets it: an HTTP server on the pod's own loopback address and the sidecar's
 * port, with a limit, a load header and refusals, and a function behind it that the test writes.
 */
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { once } from 'node:events';
import { SIDECAR_DATA_PORT } from '../../../common/function/names.ts';
import { ownAddress } from '../../helpers/addresses.ts';

export type FakeFunction = (req: IncomingMessage, res: ServerResponse) => void;

export interface FakePodOptions {
  readonly limit?: number;
  readonly run?: FakeFunction;
  /** Without it: a function that answers by itself on its own port, as in a pod that was not injected. */
  readonly hasSidecar?: boolean;
  readonly port?: number;
}

export class FakePod implements AsyncDisposable {
  readonly ip: string;
  readonly port: number;
  readonly hasSidecar: boolean;
  limit: number;
  run: FakeFunction;
  /** Refuse everything, for that reason. */
  refusing: 'draining' | 'starting' | 'full' | undefined;
  running = 0;
  mostRunning = 0;
  refusals = 0;
  connections = 0;
  /** Paths in the order in which they were admitted. */
  readonly seen: string[] = [];
  /** The server forgets them. */
  readonly #upgraded = new Set<Duplex>();
  readonly #server = createServer((req, res) => this.#serve(req, res));

  constructor(ip: string, options: FakePodOptions) {
    this.ip = ip;
    this.port = options.port ?? SIDECAR_DATA_PORT;
    this.hasSidecar = options.hasSidecar ?? true;
    this.limit = options.limit ?? 10;
    this.run = options.run ?? ((_req, res) => res.end('hello'));
    this.#server.keepAliveTimeout = 60_000;
    this.#server.on('connection', () => this.connections++);
    this.#server.on('checkContinue', (req: IncomingMessage, res: ServerResponse) => this.#serve(req, res));
  }

  static async start(options: FakePodOptions = {}, ip = ownAddress()): Promise<FakePod> {
    const pod = new FakePod(ip, options);
    await pod.listen();
    return pod;
  }

  async listen(): Promise<void> {
    this.#server.listen(this.port, this.ip);
    await once(this.#server, 'listening');
  }

  onUpgrade(handle: (req: IncomingMessage, socket: Duplex, head: Buffer) => void): void {
    this.#server.on('upgrade', (req: IncomingMessage, socket: Duplex, head: Buffer) => {
      this.#upgraded.add(socket);
      if (this.#refusal() === undefined) return handle(req, socket, head);
      this.refusals++;
      socket.end(
        `HTTP/1.1 503 Service Unavailable\r\nslimfaas-refused: ${this.#refusal()}\r\n` +
          `slimfaas-load: ${this.running}/${this.limit}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n`,
      );
      return undefined;
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (!this.#server.listening) return;
    this.#server.close();
    this.#server.closeAllConnections();
    for (const socket of this.#upgraded) socket.destroy();
    await once(this.#server, 'close');
  }

  #refusal(): string | undefined {
    return this.refusing ?? (this.running >= this.limit ? 'full' : undefined);
  }

  #serve(req: IncomingMessage, res: ServerResponse): void {
    if (!this.hasSidecar) {
      this.#enter(req, res);
      return this.run(req, res);
    }
    const refusal = req.headers['slimfaas-queue'] === 'none' ? this.#refusal() : undefined;
    if (refusal !== undefined) {
      this.refusals++;
      res.writeHead(503, { 'slimfaas-refused': refusal, 'slimfaas-load': `${this.running}/${this.limit}` });
      res.end();
      return;
    }
    this.#enter(req, res);
    res.setHeader('slimfaas-load', `${this.running}/${this.limit}`);
    this.run(req, res);
  }

  #enter(req: IncomingMessage, res: ServerResponse): void {
    this.running++;
    this.mostRunning = Math.max(this.mostRunning, this.running);
    this.seen.push(req.url ?? '');
    res.once('close', () => this.running--);
  }
}
