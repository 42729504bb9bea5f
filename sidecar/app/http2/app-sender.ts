/** Sends one request's body on its stream, with backpressure and trailers: what request-body.ts is to HTTP/1.1. */
import type { ClientHttp2Stream } from 'node:http2';
import { headerValue, safeTrailers } from '../../../common/relay/wire/fields.ts';
import type { SendListener } from '../../../common/relay/exchange/request-body.ts';
import type { BodyConsumer, BodySource, RawHeaders, RequestHead } from '../../../common/relay/types.ts';
import { fieldObject } from '../../../common/http2/fields.ts';

type State = 'await-continue' | 'body' | 'sent' | 'stopped';

/** What to open the stream with. */
export function streamOptions(body: BodySource): { endStream: boolean; waitForTrailers: boolean } {
  return { endStream: body.length === 0, waitForTrailers: body.length === undefined };
}

export class AppSender implements BodyConsumer {
  readonly #stream: ClientHttp2Stream;
  readonly #body: BodySource;
  readonly #listener: SendListener;
  #state: State = 'body';
  /** The source has been told to pause. */
  #isPaused = false;

  constructor(stream: ClientHttp2Stream, body: BodySource, listener: SendListener) {
    this.#stream = stream;
    this.#body = body;
    this.#listener = listener;
  }

  get isSent(): boolean {
    return this.#state === 'sent';
  }

  get awaitsContinue(): boolean {
    return this.#state === 'await-continue';
  }

  /** The next byte is the caller's to send: nothing on our side holds it back. */
  get awaitsCaller(): boolean {
    return this.#state === 'body' && !this.#isPaused;
  }

  start(head: RequestHead): void {
    const { length, bytes } = this.#body;
    if (length === 0) this.#state = 'sent';
    else if (bytes) this.#sendWhole(bytes);
    else if (headerValue(head.headers, 'expect')?.toLowerCase() === '100-continue')
      this.#state = 'await-continue';
    else this.#body.start(this);
  }

  /** Leave was given, or waited for long enough. */
  continue(): void {
    if (this.#state !== 'await-continue') return;
    this.#state = 'body';
    this.#body.start(this);
  }

  /** The stream took what it had been given. */
  drained(): void {
    if (!this.#isPaused || this.#state !== 'body') return;
    this.#isPaused = false;
    this.#body.resume();
  }

  /** Nothing more is sent; the source is left to its owner. */
  stop(): void {
    const wasReading = this.#state === 'body';
    if (this.#state !== 'sent') this.#state = 'stopped';
    if (wasReading) this.#body.stop();
  }

  data(chunk: Buffer): boolean {
    if (this.#state !== 'body' || !this.#stream.writable) return true;
    this.#isPaused = !this.#stream.write(chunk);
    this.#listener.onBodyProgress();
    return !this.#isPaused;
  }

  end(trailers: RawHeaders): void {
    if (this.#state !== 'body') return;
    this.#state = 'sent';
    const stream = this.#stream;
    const fields = fieldObject(safeTrailers(trailers));
    // Asked only where `waitForTrailers` was said; the answer may be that there are none.
    stream.once('wantTrailers', () => {
      if (!stream.destroyed && !stream.closed) stream.sendTrailers(fields);
    });
    stream.end();
  }

  fail(error: Error): void {
    if (this.#state === 'body') this.#listener.onBodyFailed(error);
  }

  #sendWhole(bytes: Buffer): void {
    this.#state = 'sent';
    this.#stream.end(bytes);
  }
}
