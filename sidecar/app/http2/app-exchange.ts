/** One exchange with an upstream that speaks HTTP/2, on a stream of a connection that others use too. */
import type { ClientHttp2Stream } from 'node:http2';
import { RelayError } from '../../../common/relay/errors.ts';
import { ExchangeLife, type Host, type OnDone } from '../../../common/relay/exchange/exchange-life.ts';
import { safeTrailers } from '../../../common/relay/wire/fields.ts';
import type { RelayRequest, RawHeaders, ResponseHead } from '../../../common/relay/types.ts';
import { AppSender, streamOptions } from './app-sender.ts';
import type { AppSession } from './app-session.ts';
import type { AppSessions, SessionTenant } from './app-sessions.ts';
import { informationalHead, promisedLength, requestFields, responseHead } from './client-head.ts';
import { H2_CODE } from '../../../common/http2/node-http2.ts';
import { hasEndStream, resetStream } from '../../../common/http2/stream-end.ts';

const END_STREAM = 1;

export class AppExchange extends ExchangeLife implements SessionTenant {
  readonly #sessions: AppSessions;
  #stream: ClientHttp2Stream | undefined;
  #head: ResponseHead | undefined;
  #trailers: RawHeaders = [];
  /** The answer's END_STREAM has come. */
  #isWhole = false;
  /** What is left of the answer, where it said how long it is; else undefined. */
  #bytesLeft: number | undefined;

  constructor(request: RelayRequest, sessions: AppSessions, host: Host, onDone: OnDone) {
    super(request, host, onDone);
    this.#sessions = sessions;
  }

  protected override connect(): void {
    this.#sessions.take(this);
  }

  protected override resumeReading(): void {
    this.#stream?.resume();
  }

  /** Node does not tell how much of a stream has gone. */
  protected override get sentBytes(): number {
    return this.#stream ? 1 : 0;
  }

  /** What the app still does for the stream is for nothing. */
  protected override leave(): void {
    this.sender?.stop();
    this.#sessions.leave(this);
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream) resetStream(stream, H2_CODE.cancel);
  }

  protected override letGo(): void {}

  onSession(session: AppSession): void {
    const { head, body, target } = this.request;
    let stream: ClientHttp2Stream;
    try {
      stream = session.request(requestFields(head, target), streamOptions(body));
    } catch (error) {
      return this.fail({ phase: 'send', error: error as Error, sentBytes: 1 }); // a head HTTP/2 cannot carry
    }
    session.active++;
    this.connected();
    this.#stream = stream;
    const sender = new AppSender(stream, body, this);
    this.sender = sender;
    this.#listen(session, stream);
    sender.start(head);
  }

  #listen(session: AppSession, stream: ClientHttp2Stream): void {
    let error: Error | undefined;
    stream.on('headers', (_fields, _flags, raw: string[]) => this.onInformational(informationalHead(raw)));
    stream.on('response', (_fields, flags, raw: string[]) => this.#onHead(raw, (flags & END_STREAM) !== 0));
    stream.on('trailers', (_fields, _flags, raw: string[]) => {
      this.#isWhole = true; // they come with END_STREAM
      this.#trailers = raw;
    });
    stream.on('drain', () => this.onDrain());
    stream.on('error', (found: Error) => (error = found));
    stream.on('close', () => {
      if (this.#stream === stream) this.#onLost(session, stream, error);
      this.#sessions.released(session, this.host.clock.now);
    });
  }

  #onHead(raw: RawHeaders, hasEnded: boolean): void {
    const stream = this.#stream;
    if (this.phase !== 'head' || !stream) return;
    const isHead = this.request.head.method === 'HEAD';
    const head = responseHead(raw, { hasEnded, isHead });
    this.#head = head;
    if (this.request.decide?.(head) === 'discard') return this.#discard(head);
    if (this.#stream !== stream) return; // `decide` cancelled
    this.#bytesLeft = promisedLength(head, isHead);
    this.forward(head);
    stream.on('data', (chunk: Buffer) => this.#onData(stream, chunk));
    this.#isWhole = hasEnded;
    stream.on('end', () => this.#onEnd(stream));
    if (!hasEnded) this.#flush(stream);
  }

  #discard(head: ResponseHead): void {
    this.leave();
    this.finish({ kind: 'discarded', head });
  }

  #onData(stream: ClientHttp2Stream, chunk: Buffer): void {
    if (this.phase !== 'body') return;
    this.moved();
    if (this.#bytesLeft !== undefined) this.#bytesLeft -= chunk.length;
    if (!this.request.sink.data(chunk)) this.isHeld = true;
    this.#flush(stream);
  }

  #flush(stream: ClientHttp2Stream): void {
    if (this.request.sink.flush?.() === false) this.isHeld = true;
    if (this.isHeld) stream.pause();
  }

  #onEnd(stream: ClientHttp2Stream): void {
    if (this.phase !== 'body') return;
    // Else `close` follows, and says what became of it.
    if (!this.#isWhole && !hasEndStream(stream)) return;
    // RST_STREAM with NO_ERROR looks like END_STREAM; a length tells, and to gRPC the missing status.
    if (this.#bytesLeft !== undefined && this.#bytesLeft !== 0) return;
    this.request.sink.end(safeTrailers(this.#trailers));
    // What is left of the request has nobody left to read it.
    if (this.sender?.isSent) this.#stream = undefined;
    this.leave();
    this.finish({ kind: 'answered', status: this.#head?.status ?? 0 });
  }

  #onLost(session: AppSession, stream: ClientHttp2Stream, cause: Error | undefined): void {
    if (this.phase === 'over') return;
    const wasProcessed = !session.hasNotProcessed(stream);
    const mayRepeat = !wasProcessed && this.phase === 'head';
    const failed = this.failurePhase;
    this.sender?.stop();
    if (mayRepeat && this.#retry()) return;
    const error = new RelayError('connection-lost', 'the app broke off the stream', { cause });
    this.fail({ phase: failed, error, sentBytes: wasProcessed ? 1 : 0 });
  }

  /** The app has not seen it (its connection was on the way out): once more, on another connection. */
  #retry(): boolean {
    if (this.hasRetried || !this.request.body.canStart) return false;
    this.again();
    this.#stream = undefined;
    this.connect();
    return true;
  }
}
