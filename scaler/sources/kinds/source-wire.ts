/**
 * Lines and bytes of a socket to a stranger. All that the socket gives goes into one buffer, which does not grow. The
 * signal ends the socket, whatever it is doing.
 */
import type { Socket } from 'node:net';

const END = '\r\n';

export class SourceWire {
  readonly #bytes: Buffer;
  readonly #signal: AbortSignal;
  /** Up to where there are bytes, up to where they were read, and up to where there is no end of a line. */
  #end = 0;
  #at = 0;
  #searched = 0;
  #socket: Socket | undefined;
  #raw: Socket | undefined;
  #failure: Error | undefined;
  #wake: () => void = () => {};

  /** @param maxBytes of all that is read; a multiple of what a server needs */
  constructor(maxBytes: number, signal: AbortSignal) {
    this.#bytes = Buffer.allocUnsafe(maxBytes);
    this.#signal = signal;
    signal.addEventListener('abort', this.#onAbort);
    if (signal.aborted) this.#onAbort();
  }

  /** From now on it is read from and written to. */
  use(socket: Socket): void {
    this.#socket = socket;
    socket.on('data', this.#onData);
    socket.on('error', this.#onError);
    socket.on('close', this.#onClose);
    if (this.#failure) socket.destroy();
  }

  /** For TLS on top of it. @throws when there is more than what was read: nobody has vouched for that */
  handOver(): Socket {
    if (this.#failure) throw this.#failure;
    const socket = this.#socket as Socket;
    if (this.#at < this.#end) throw new Error('the server speaks before TLS begins');
    socket.off('data', this.#onData);
    this.#raw = socket;
    return socket;
  }

  write(text: string): void {
    this.#socket?.write(text);
  }

  /** Without its end. @throws when there is none, or no room for it */
  async line(): Promise<string> {
    for (;;) {
      const from = Math.max(this.#at, this.#searched - 1);
      const end = this.#bytes.subarray(0, this.#end).indexOf(END, from);
      if (end !== -1) {
        const line = this.#bytes.toString('utf8', this.#at, end);
        this.#at = this.#searched = end + END.length;
        return line;
      }
      this.#searched = this.#end;
      await this.#more();
    }
  }

  async bytes(count: number): Promise<Buffer> {
    if (this.#at + count > this.#bytes.length) throw this.#tooMuch();
    while (this.#end - this.#at < count) await this.#more();
    this.#at += count;
    return this.#bytes.subarray(this.#at - count, this.#at);
  }

  close(): void {
    this.#signal.removeEventListener('abort', this.#onAbort);
    this.#fail(new Error('closed'));
  }

  #more(): Promise<void> {
    return new Promise((resolve, reject) => {
      const go = (): void => (this.#failure ? reject(this.#failure) : resolve());
      if (this.#failure) go();
      else this.#wake = go;
    });
  }

  readonly #onData = (chunk: Buffer): void => {
    if (this.#failure) return;
    if (this.#end + chunk.length > this.#bytes.length) return this.#fail(this.#tooMuch());
    this.#end += chunk.copy(this.#bytes, this.#end);
    this.#wake();
  };

  readonly #onError = (error: Error): void => this.#fail(error);
  readonly #onClose = (): void => this.#fail(new Error('the server has closed the connection'));
  readonly #onAbort = (): void => this.#fail(this.#signal.reason as Error);

  #tooMuch(): Error {
    return new Error(`an answer above ${this.#bytes.length} bytes`);
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    this.#socket?.destroy();
    this.#raw?.destroy();
    this.#wake();
  }
}
