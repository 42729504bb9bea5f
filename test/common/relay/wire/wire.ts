/**
 * Both ends of a wire, for tests that care about bytes: a raw TCP server for the function's side and a raw TCP
 * client for the caller's. Whatever is opened here is closed when the test ends.
 */
import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import type { TestContext } from 'node:test';
import { waitFor } from '../../../helpers/wait.ts';
import type { RelayTarget } from '../../../../common/relay/index.ts';

const DEADLINE_MS = 10_000;

/** One end of a connection: what came so far, and waiting for more of it. */
export class Wire {
  readonly socket: Socket;
  /** Everything received, latin1: one character a byte. */
  received = '';
  /** Set when the other side ended (`fin`) or broke (`rst`) the connection, or we closed it. */
  ended: 'fin' | 'rst' | undefined;
  #wakes = new Set<() => void>();

  constructor(socket: Socket) {
    this.socket = socket;
    socket.on('data', (chunk: Buffer) => {
      this.received += chunk.toString('latin1');
      this.#wake();
    });
    socket.on('end', () => this.#end('fin'));
    socket.on('error', () => this.#end('rst'));
    socket.on('close', () => this.#end('fin'));
  }

  send(text: string): void {
    this.socket.write(text, 'latin1');
  }

  /** Closes both directions in order. */
  end(text = ''): void {
    this.socket.end(text, 'latin1');
  }

  reset(): void {
    this.socket.resetAndDestroy();
  }

  /** Waits for a condition on what has come. */
  async until(what: string, condition: (received: string) => boolean): Promise<void> {
    const deadline = AbortSignal.timeout(DEADLINE_MS);
    while (!condition(this.received)) {
      if (this.ended) throw new Error(`${what}: the connection ended; received ${this.#shown}`);
      await this.#next(deadline, what);
    }
  }

  /** Waits until this text has come. */
  contains(text: string): Promise<void> {
    return this.until(`waiting for ${JSON.stringify(text)}`, (received) => received.includes(text));
  }

  async untilEnded(): Promise<'fin' | 'rst'> {
    const deadline = AbortSignal.timeout(DEADLINE_MS);
    while (!this.ended) await this.#next(deadline, 'waiting for the end of the connection');
    return this.ended;
  }

  get #shown(): string {
    return JSON.stringify(this.received.slice(0, 500));
  }

  #next(deadline: AbortSignal, what: string): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = () => {
        this.#wakes.delete(wake);
        deadline.removeEventListener('abort', fail);
        resolve();
      };
      const fail = () => {
        this.#wakes.delete(wake);
        reject(new Error(`${what}: nothing within ${DEADLINE_MS} ms; have ${this.#shown}`));
      };
      this.#wakes.add(wake);
      deadline.addEventListener('abort', fail, { once: true });
    });
  }

  #end(how: 'fin' | 'rst'): void {
    this.ended ??= how;
    this.#wake();
  }

  #wake(): void {
    for (const wake of this.#wakes) wake();
  }
}

export interface RawUpstream {
  readonly target: RelayTarget;
  /** Connections in the order they came. */
  readonly wires: readonly Wire[];
  /** The connection number `index`, when it comes. */
  wire(index: number): Promise<Wire>;
  /** No more connections from now on; those there stay. */
  refuse(): Promise<void>;
}

/** A function's side of which the test writes every byte. */
export async function rawUpstream(
  t: TestContext,
  onWire: (wire: Wire) => void = ignore,
): Promise<RawUpstream> {
  const wires: Wire[] = [];
  const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
    const wire = new Wire(socket);
    wires.push(wire);
    onWire(wire);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  t.after(() => {
    server.close();
    for (const wire of wires) wire.socket.destroy();
  });
  return {
    target: { host: '127.0.0.1', port },
    wires,
    async wire(index) {
      await waitFor(() => wires.length > index, { what: `connection ${index}`, intervalMs: 1 });
      return wires[index] as Wire;
    },
    async refuse() {
      server.close();
      await new Promise((resolve) => setImmediate(resolve));
    },
  };
}

/** An upstream that gives each request (of which it has seen the head) this answer, over and over. */
export function answering(answer: string): (wire: Wire) => void {
  return (wire) => {
    let answered = 0;
    wire.socket.on('data', () => {
      const heads = wire.received.split('\r\n\r\n').length - 1;
      for (; answered < heads; answered++) wire.send(answer);
    });
  };
}

export async function rawClient(t: TestContext, port: number): Promise<Wire> {
  const socket = connect({ port, host: '127.0.0.1', noDelay: true, allowHalfOpen: true });
  await once(socket, 'connect');
  t.after(() => socket.destroy());
  return new Wire(socket);
}

function ignore(): void {}
