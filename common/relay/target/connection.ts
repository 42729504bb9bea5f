/**
 * One connection to an upstream: a raw socket, one exchange at a time, and an answer parser. Reads bypass Node's
 * stream machinery (`onread`). The kernel fills the connection's own buffer, and the parser hands slices of it to the
 * sink. The buffer is filled again only when the sink is done with them. That is the whole backpressure: what a slow
 * client costs is this one buffer.
 */
import type { Socket } from 'node:net';
import { RelayError } from '../errors.ts';
import { returnReadBuffer, takeReadBuffer } from './read-buffers.ts';
import { ResponseParser, type ResponseHandler } from '../wire/response-parser.ts';
import type { SocketReader } from './socket-reader.ts';
import type { Transport } from './transport.ts';
import type { RelayTarget } from '../types.ts';
import type { UnreadAnswer } from './unread-answer.ts';

/** What runs on a connection. */
export interface Tenant extends ResponseHandler {
  onConnected(connection: Connection): void;
  onConnectFailed(error: Error): void;
  /** The socket took what had been written. */
  onDrain(): void;
  /** Its sink has not taken all that was read. */
  readonly isHeld: boolean;
  /** Everything of one read has been handed out; false keeps the buffer and pauses. */
  onReadDone(): boolean;
  /** The answer is complete; `isClean`: nothing came behind it. */
  onComplete(isClean: boolean): void;
  /** Broken before the answer was complete. The connection is closed already. */
  onLost(error: Error): void;
  /** It had to wait for a connection and may make one now. */
  onPlaceFree(): void;
}

/** Who keeps the connection while no exchange does. */
export interface Keeper {
  onEstablished(): void;
  onIdleEnded(connection: Connection): void;
  onClosed(connection: Connection): void;
}

export interface ConnectionLimits {
  readonly transport: Transport;
  readonly maxHeadBytes: number;
}

type State = 'connecting' | 'idle' | 'busy' | 'closed';

export class Connection {
  readonly #socket: Socket;
  readonly #parser: ResponseParser;
  readonly #keeper: Keeper;
  readonly #transport: Transport;
  #buffer = takeReadBuffer();
  #state: State = 'connecting';
  #tenant: Tenant | undefined;
  /** A write has failed: what is left of the answer is read from here. */
  #unread: UnreadAnswer | undefined;
  /** An exchange has been answered on it before: it may have gone stale since. */
  isReused = false;
  /** Clock time at which it went idle, and how long it may stay so. */
  idleSince = 0;
  keepAliveMs = Infinity;
  wasEstablished = false;

  constructor(target: RelayTarget, tenant: Tenant, keeper: Keeper, limits: ConnectionLimits) {
    this.#tenant = tenant;
    this.#keeper = keeper;
    this.#parser = new ResponseParser(limits.maxHeadBytes);
    this.#transport = limits.transport;
    const reader: SocketReader = {
      buffer: () => this.#buffer,
      onRead: (size) => this.#onRead(size),
      onChunk: (chunk) => this.#onChunk(chunk),
    };
    this.#socket = limits.transport.open(target, reader);
    limits.transport.keepUnread(this.#socket, reader, (unread) => this.#onWriteFailed(unread));
    this.#listen();
  }

  get isOpen(): boolean {
    return this.#state !== 'closed';
  }

  get isIdle(): boolean {
    return this.#state === 'idle';
  }

  /** Whether a byte of the present answer has come. */
  get answerHasBegun(): boolean {
    return this.#parser.hasBegun;
  }

  /** So much waits for the kernel that the writer should pause until the drain. */
  get isCongested(): boolean {
    return this.#socket.writableLength >= this.#socket.writableHighWaterMark;
  }

  /**
   * True right after a first write that the kernel refused outright: libuv tries before it queues, so an error
   * at once means that not a byte was taken.
   */
  get hasRefusedWrite(): boolean {
    return this.#transport.showsRefusedWrites && this.#socket.errored !== null;
  }

  /** Takes the connection for an exchange whose request follows. */
  begin(tenant: Tenant, isHead: boolean): void {
    this.#tenant = tenant;
    this.#state = 'busy';
    this.#parser.begin(tenant, isHead);
  }

  /** Back to idle, its exchange over and its parser at rest. */
  rest(now: number): void {
    this.#state = 'idle';
    this.#tenant = undefined;
    this.isReused = true;
    this.idleSince = now;
  }

  /**
   * The sink still holds slices of the read buffer although the exchange is over.
   * @returns the buffer, for `returnReadBuffer` when the sink is done; the connection goes on with another
   */
  lendBuffer(): Buffer {
    const lent = this.#buffer;
    this.#buffer = takeReadBuffer();
    return lent;
  }

  writeText(text: string): void {
    this.#socket.write(text, 'latin1');
  }

  /** @param onWritten called when the socket refers to the bytes no more */
  writeBytes(bytes: Buffer, onWritten?: () => void): void {
    this.#socket.write(bytes, onWritten);
  }

  cork(): void {
    this.#socket.cork();
  }

  uncork(): void {
    this.#socket.uncork();
  }

  resumeReading(): void {
    if (this.#unread) this.#readRest(this.#unread);
    else if (this.#state !== 'closed') this.#socket.resume();
  }

  /** Ends an idle connection in order. */
  close(): void {
    if (this.#state === 'idle') returnReadBuffer(this.#buffer);
    if (!this.#enterClosed()) return;
    this.#socket.destroy();
  }

  /** Ends it so that the other side notices at once, whatever it is doing: RST instead of FIN. */
  reset(): void {
    if (!this.#enterClosed()) return;
    if (this.#socket.connecting) this.#socket.destroy();
    else this.#transport.cut(this.#socket);
  }

  #enterClosed(): boolean {
    if (this.#state === 'closed') return false;
    this.#state = 'closed';
    this.#tenant = undefined;
    this.#parser.stop();
    this.#dropUnread();
    this.#keeper.onClosed(this);
    return true;
  }

  #listen(): void {
    const socket = this.#socket;
    socket.once(this.#transport.openEvent, () => {
      if (this.#state !== 'connecting') return;
      this.wasEstablished = true;
      this.#keeper.onEstablished();
      this.#tenant?.onConnected(this);
    });
    socket.on('drain', () => this.#tenant?.onDrain());
    socket.on('end', () => this.#onEnd());
    socket.on('error', (error) => this.#onBroken(error));
    socket.on('close', () => this.#onBroken(undefined));
  }

  /** Returns false to stop reading. */
  #onRead(size: number): boolean {
    return this.#onChunk(size === this.#buffer.length ? this.#buffer : this.#buffer.subarray(0, size));
  }

  #onChunk(chunk: Buffer): boolean {
    if (this.#state === 'idle') {
      this.#keeper.onIdleEnded(this); // bytes that nobody asked for: an answer to whom?
      return false;
    }
    const tenant = this.#tenant;
    if (!tenant) return false;
    let used: number;
    try {
      used = this.#parser.feed(chunk);
    } catch (error) {
      this.#fail(error as Error);
      return false;
    }
    if (this.#state !== 'busy') return false;
    if (!this.#parser.isDone) return tenant.onReadDone();
    tenant.onComplete(used === chunk.length && !this.#unread);
    return true;
  }

  /** Returns false where no answer is waited for. */
  #onWriteFailed(unread: UnreadAnswer): boolean {
    if (this.#state !== 'busy') return false;
    this.#unread = unread;
    // While the sink holds the memory of the last read, it says when to go on.
    if (!this.#tenant?.isHeld) this.#readRest(unread);
    return true;
  }

  #readRest(unread: UnreadAnswer): void {
    while (this.#unread === unread) {
      if (!unread.next()) return this.#dropUnread(); // the failed write is told then
      if (this.#tenant?.isHeld) return;
    }
  }

  #dropUnread(): void {
    const unread = this.#unread;
    this.#unread = undefined;
    unread?.drop();
  }

  /** The upstream will send no more. */
  #onEnd(): void {
    if (this.#state === 'idle') return this.#keeper.onIdleEnded(this);
    const tenant = this.#tenant;
    if (this.#state === 'busy' && this.#parser.finish()) tenant?.onComplete(false);
    else this.#fail(new RelayError('connection-lost', 'the upstream closed the connection'));
  }

  #onBroken(error: Error | undefined): void {
    if (this.#state === 'closed') return;
    if (this.#state === 'idle') return this.#keeper.onIdleEnded(this);
    this.#fail(error ?? new RelayError('connection-lost', 'the connection to the upstream closed'));
  }

  #fail(error: Error): void {
    const tenant = this.#tenant;
    const wasConnecting = this.#state === 'connecting';
    if (!this.#enterClosed()) return;
    this.#socket.destroy();
    if (wasConnecting) tenant?.onConnectFailed(this.#transport.failureOf(error));
    else tenant?.onLost(error);
  }
}
