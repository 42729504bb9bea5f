/**
 * The body of a request that came over HTTP/2, unread until an upstream asks for it. While a call waits, its caller
 * can send no more than its stream's window (64 KiB).
 */
import type { ServerHttp2Stream } from 'node:http2';
import { RelayError } from '../../common/relay/errors.ts';
import { safeTrailers } from '../../common/relay/wire/fields.ts';
import type { BodyConsumer, BodySource, RawHeaders } from '../../common/relay/types.ts';
import { hasEndStream } from '../../common/http2/stream-end.ts';

export interface H2Body extends BodySource {
  /** Bytes that came. */
  readonly bytesRead: number;
  /** It is the caller's turn: somebody reads, and the body has not ended. */
  readonly awaitsCaller: boolean;
}

/** Only for a stream whose headers did not end it. */
export function h2Body(stream: ServerHttp2Stream, length: number | undefined): H2Body {
  return new StreamBody(stream, length);
}

class StreamBody implements H2Body {
  readonly #stream: ServerHttp2Stream;
  readonly length: number | undefined;
  #consumer: BodyConsumer | undefined;
  #trailers: RawHeaders = [];
  #isStarted = false;
  #isPaused = false;
  #hasEnded = false;
  bytesRead = 0;

  constructor(stream: ServerHttp2Stream, length: number | undefined) {
    this.#stream = stream;
    this.length = length;
    // Told when the frame comes, be the body before it read or not.
    stream.once(
      'trailers',
      (_fields: unknown, _flags: number, raw?: string[]) => (this.#trailers = raw ?? []),
    );
  }

  get canStart(): boolean {
    return !this.#isStarted;
  }

  get awaitsCaller(): boolean {
    return this.#consumer !== undefined && !this.#isPaused && !this.#hasEnded;
  }

  start(consumer: BodyConsumer): void {
    const stream = this.#stream;
    this.#isStarted = true;
    this.#consumer = consumer;
    if (stream.destroyed) {
      queueMicrotask(() => this.#onGone());
      return;
    }
    // Node ends a stream that has no byte before it is read, and sends no second `end` event to wait for.
    if (stream.readableEnded) return queueMicrotask(() => this.#onEnd());
    stream.on('end', () => this.#onEnd());
    stream.on('close', () => this.#onGone());
    stream.on('data', (chunk: Buffer) => this.#onData(chunk));
  }

  pause(): void {
    this.#isPaused = true;
    this.#stream.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#stream.resume();
  }

  /** The rest is read and dropped; the end of the answer bounds for how long. */
  stop(): void {
    this.#consumer = undefined;
    if (this.#isStarted) this.#stream.resume();
  }

  #onData(chunk: Buffer): void {
    this.bytesRead += chunk.length;
    if (this.#consumer?.data(chunk) === false) this.pause();
  }

  #onEnd(): void {
    // `aborted`: closed by the caller before we answered, be it with NO_ERROR.
    if (this.#stream.aborted || !hasEndStream(this.#stream)) return this.#onGone();
    this.#hasEnded = true;
    this.#consumer?.end(safeTrailers(this.#trailers));
  }

  #onGone(): void {
    if (this.#hasEnded) return;
    this.#hasEnded = true;
    const consumer = this.#consumer;
    this.#consumer = undefined;
    consumer?.fail(new RelayError('caller-gone', 'the caller left in the middle of its body'));
  }
}
