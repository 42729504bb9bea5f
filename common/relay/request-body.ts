/**
 * Sends one request: its head, then its body in the framing that the head promised, with backpressure. The
 * first body bytes usually come in the same turn as the head, so the head is held back until they do or the
 * turn ends: one write, one packet, for a small request.
 */
import type { Connection } from './connection.ts';
import { RelayError } from './errors.ts';
import { writeTrailers, type WrittenHead } from './request-writer.ts';
import type { BodyConsumer, BodySource, RawHeaders } from './types.ts';

/** Up to here bytes in memory go out as one string with the head; copying them costs less than a second write. */
const COALESCE_BYTES = 8_192;

export interface SendListener {
  /** A piece of the body went to the socket. */
  onBodyProgress(): void;
  /** The source broke, or gave another length than it said. */
  onBodyFailed(error: Error): void;
}

type State = 'head' | 'await-continue' | 'body' | 'sent' | 'stopped';

export class RequestSender implements BodyConsumer {
  readonly #connection: Connection;
  readonly #head: WrittenHead;
  readonly #body: BodySource;
  readonly #listener: SendListener;
  #state: State = 'head';
  #heldHead: string | undefined;
  #flushHead: NodeJS.Immediate | undefined;
  #left: number;
  /** The source has been told to pause. */
  #isPaused = false;
  #isRefused = false;
  /** Bytes given to the socket, whether it has sent them or not; 0 proves that the upstream saw nothing. */
  sentBytes = 0;

  constructor(connection: Connection, head: WrittenHead, body: BodySource, listener: SendListener) {
    this.#connection = connection;
    this.#head = head;
    this.#body = body;
    this.#listener = listener;
    this.#left = head.length;
  }

  get isSent(): boolean {
    return this.#state === 'sent';
  }

  get awaitsContinue(): boolean {
    return this.#state === 'await-continue';
  }

  /** The next byte is the caller's to send: nothing of ours holds him back. */
  get awaitsCaller(): boolean {
    return this.#state === 'body' && !this.#isPaused;
  }

  start(): void {
    const { text, isChunked, expectsContinue } = this.#head;
    const { bytes, length } = this.#body;
    if (length === 0 && !isChunked) {
      this.#state = 'sent';
      this.#text(text);
    } else if (bytes) this.#sendWhole(text, bytes);
    else if (expectsContinue) {
      this.#state = 'await-continue';
      this.#text(text);
    } else {
      this.#heldHead = text;
      this.#startBody();
      if (this.#heldHead !== undefined) this.#flushHead = setImmediate(() => this.#releaseHead());
    }
  }

  /** Leave was given, or waited for long enough. */
  continue(): void {
    if (this.#state === 'await-continue') this.#startBody();
  }

  /** The socket took what it had been given. */
  drained(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#body.resume();
  }

  /** Nothing more is sent; the source is left to whoever owns it. */
  stop(): void {
    clearImmediate(this.#flushHead);
    const wasReading = this.#state === 'body';
    if (this.#state !== 'sent') this.#state = 'stopped';
    this.#heldHead = undefined;
    if (wasReading) this.#body.stop();
  }

  data(chunk: Buffer): boolean {
    if (this.#state !== 'body' || chunk.length === 0) return true;
    if (this.#head.isChunked) this.#sendChunk(chunk);
    else {
      this.#left -= chunk.length;
      if (this.#left < 0) {
        this.#listener.onBodyFailed(new RelayError('bad-body', 'the body is longer than its Content-Length'));
        return false;
      }
      this.#sendPlain(chunk);
    }
    this.#listener.onBodyProgress();
    this.#isPaused = this.#connection.isCongested;
    return !this.#isPaused;
  }

  end(trailers: RawHeaders): void {
    if (this.#state !== 'body') return;
    if (this.#left > 0) return this.fail(new RelayError('bad-body', 'the body is shorter than its length'));
    this.#state = 'sent';
    const last = this.#head.isChunked ? writeTrailers(trailers) : '';
    const head = this.#takeHead();
    if (head !== '' || last !== '') this.#text(head + last);
  }

  fail(error: Error): void {
    if (this.#state === 'body') this.#listener.onBodyFailed(error);
  }

  #startBody(): void {
    this.#state = 'body';
    if (this.#body.length === 0) this.end([]);
    else this.#body.start(this);
  }

  #sendWhole(text: string, bytes: Buffer): void {
    this.#state = 'body';
    this.#heldHead = text;
    if (bytes.length > 0) this.data(bytes);
    if (this.#state === 'body') this.end([]);
  }

  #sendPlain(chunk: Buffer): void {
    const head = this.#takeHead();
    if (head === '') return this.#bytes(chunk);
    if (chunk.length <= COALESCE_BYTES) return this.#text(head + chunk.toString('latin1'));
    this.#connection.cork();
    this.#text(head);
    this.#bytes(chunk);
    this.#connection.uncork();
  }

  #sendChunk(chunk: Buffer): void {
    const before = `${this.#takeHead()}${chunk.length.toString(16)}\r\n`;
    if (chunk.length <= COALESCE_BYTES) return this.#text(`${before}${chunk.toString('latin1')}\r\n`);
    this.#connection.cork();
    this.#text(before);
    this.#bytes(chunk);
    this.#text('\r\n');
    this.#connection.uncork();
  }

  #takeHead(): string {
    const head = this.#heldHead;
    if (head === undefined) return '';
    this.#heldHead = undefined;
    clearImmediate(this.#flushHead);
    return head;
  }

  #releaseHead(): void {
    const head = this.#takeHead();
    if (head !== '') this.#text(head);
  }

  #text(text: string): void {
    this.#connection.writeText(text);
    this.#count(text.length);
  }

  #bytes(bytes: Buffer): void {
    this.#connection.writeBytes(bytes);
    this.#count(bytes.length);
  }

  #count(size: number): void {
    if (this.sentBytes === 0 && this.#connection.hasRefusedWrite) this.#isRefused = true;
    if (!this.#isRefused) this.sentBytes += size;
  }
}
