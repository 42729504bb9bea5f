/**
 * Answers on an HTTP/2 stream. The head is held until something follows it, because an answer without a body must end
 * with its HEADERS frame. That is how gRPC sends an error without a message ("trailers only").
 */
import type { ServerHttp2Stream } from 'node:http2';
import { fieldKind, safeTrailers } from '../../common/relay/wire/fields.ts';
import type { ExchangeControl, RawHeaders, ResponseHead, ResponseSink } from '../../common/relay/types.ts';
import { fieldObject, pushFields } from '../../common/http2/fields.ts';
import { H2_CODE } from '../../common/http2/node-http2.ts';
import { resetStream } from '../../common/http2/stream-end.ts';

export interface H2SinkOptions {
  /** The request's method was HEAD: headers are all there is. */
  readonly isHead: boolean;
  /** Changes the final head before it goes out. */
  readonly mapHead?: (head: ResponseHead) => ResponseHead;
}

export interface H2Sink extends ResponseSink {
  /** Bytes of the answer that the caller has taken. */
  readonly bytesSent: number;
}

/** Up to here a piece is copied and the relay reads on; a larger one is lent, and the relay waits for it. */
const COPY_BYTES = 16_384;

/** A caller that still sends so long after the whole answer loses the stream. */
const UNREAD_BODY_MS = 5_000;

/** A caller that leaves cancels the exchange by itself. */
export function h2Sink(stream: ServerHttp2Stream, options: H2SinkOptions): H2Sink {
  return new StreamSink(stream, options);
}

class StreamSink implements H2Sink {
  readonly #stream: ServerHttp2Stream;
  readonly #options: H2SinkOptions;
  #control: ExchangeControl | undefined;
  /** Not sent yet. */
  #head: ResponseHead | undefined;
  #mayHaveTrailers = false;
  #hasNoBody = false;
  #trailers: RawHeaders = [];
  /** Pieces that the stream still has. */
  #unflushed = 0;
  #isHeld = false;
  bytesSent = 0;

  constructor(stream: ServerHttp2Stream, options: H2SinkOptions) {
    this.#stream = stream;
    this.#options = options;
  }

  attach(control: ExchangeControl): void {
    if (!this.#control) this.#stream.once('close', () => this.#control?.cancel());
    this.#control = control;
    if (this.#isGone) control.cancel();
  }

  informational(head: ResponseHead): void {
    if (this.#isGone || this.#stream.headersSent) return;
    this.#stream.additionalHeaders({ ...fieldObject(head.headers), ':status': head.status });
  }

  head(received: ResponseHead): void {
    this.#head = this.#options.mapHead?.(received) ?? received;
  }

  data(chunk: Buffer): boolean {
    this.#sendHead(false);
    if (this.#isGone || this.#hasNoBody) return true;
    const isLent = chunk.length > COPY_BYTES;
    const { length } = chunk;
    this.#unflushed++;
    const goesOn = this.#stream.write(isLent ? chunk : Buffer.from(chunk), () => this.#flushed(length));
    if (isLent || !goesOn) this.#isHeld = true;
    return !this.#isHeld;
  }

  flush(): boolean {
    this.#sendHead(false);
    return !this.#isHeld;
  }

  end(trailers: RawHeaders): boolean {
    const safe = safeTrailers(trailers);
    this.#sendHead(safe.length === 0);
    if (this.#isGone) return true;
    this.#trailers = safe;
    this.#stream.end();
    cutUnread(this.#stream);
    return !this.#isHeld;
  }

  /** RST_STREAM, never END_STREAM: an answer that breaks off must not look whole. */
  abort(): void {
    this.#head = undefined;
    resetStream(this.#stream, H2_CODE.internalError);
  }

  get #isGone(): boolean {
    return this.#stream.destroyed || this.#stream.closed;
  }

  #sendHead(isEnd: boolean): void {
    const head = this.#head;
    if (!head) return;
    this.#head = undefined;
    if (this.#isGone) return;
    const { headers } = head;
    // Node sends no status beyond 599; a client that gets one should take it for a 5xx (RFC 9110 §15).
    const status = head.status > 599 ? 500 : head.status;
    this.#hasNoBody = this.#options.isHead || status === 204 || status === 304;
    // A body with a length has no trailers in HTTP/1.1; without need, none are waited for.
    this.#mayHaveTrailers = !isEnd && !this.#hasNoBody && !hasLength(headers);
    if (this.#mayHaveTrailers) this.#stream.once('wantTrailers', () => this.#sendTrailers());
    const options = {
      endStream: isEnd || this.#hasNoBody,
      waitForTrailers: this.#mayHaveTrailers,
      sendDate: false, // the function's own Date, or none
    };
    try {
      this.#stream.respond(pushFields([':status', String(status)], headers), options);
    } catch {
      this.abort(); // a head that HTTP/2 cannot carry must not end the process
    }
  }

  #sendTrailers(): void {
    if (!this.#isGone) this.#stream.sendTrailers(fieldObject(this.#trailers));
  }

  #flushed(length: number): void {
    this.bytesSent += length;
    if (--this.#unflushed > 0 || !this.#isHeld) return;
    this.#isHeld = false;
    this.#control?.resume();
  }
}

function hasLength(headers: RawHeaders): boolean {
  for (let i = 0; i < headers.length; i += 2)
    if (fieldKind(headers[i] as string) === 'content-length') return true;
  return false;
}

/** Most callers stop or reset by themselves once they have the answer (RFC 9113 §8.1). */
export function cutUnread(stream: ServerHttp2Stream): void {
  if (stream.readableEnded || stream.destroyed) return;
  if (stream.readableFlowing === null) stream.resume();
  const timer = setTimeout(() => stream.close(H2_CODE.noError), UNREAD_BODY_MS);
  timer.unref();
  stream.once('end', () => clearTimeout(timer));
  stream.once('close', () => clearTimeout(timer));
}
