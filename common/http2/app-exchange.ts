/**
 * One exchange with an upstream that speaks HTTP/2: the same walk as the relay's own (connect → head → body →
 * over, each left once, exactly one Outcome), on a stream instead of a connection.
 */
import type { ClientHttp2Stream } from 'node:http2';
import type { CoarseClock } from '../relay/clock.ts';
import { overdue } from '../relay/deadlines.ts';
import { RelayError } from '../relay/errors.ts';
import { safeTrailers } from '../relay/fields.ts';
import type { SendListener } from '../relay/request-body.ts';
import type { Listed } from '../relay/running-list.ts';
import type { Exchange, ExchangeRequest, FailurePhase } from '../relay/types.ts';
import type { Outcome, RawHeaders, ResponseHead } from '../relay/types.ts';
import { AppSender, streamOptions } from './app-sender.ts';
import type { AppSession } from './app-session.ts';
import type { AppSessions, SessionTenant } from './app-sessions.ts';
import { informationalHead, promisedLength, requestFields, responseHead } from './client-head.ts';
import { H2_CODE } from './node-http2.ts';
import { hasEndStream, resetStream } from './stream-end.ts';

export interface AppHost {
  readonly clock: CoarseClock;
  remove(exchange: AppExchange): void;
  onRetry(): void;
}

type Phase = 'connect' | 'head' | 'body' | 'over';

const END_STREAM = 1;
const CONTINUE: ResponseHead = { status: 100, statusText: 'Continue', headers: [] };

export class AppExchange implements Exchange, SessionTenant, SendListener, Listed {
  readonly #request: ExchangeRequest;
  readonly #sessions: AppSessions;
  readonly #host: AppHost;
  readonly #onDone: ((outcome: Outcome) => void) | undefined;
  readonly #startedAt: number;
  place = -1;
  #phase: Phase = 'connect';
  #stream: ClientHttp2Stream | undefined;
  #sender: AppSender | undefined;
  #head: ResponseHead | undefined;
  #trailers: RawHeaders = [];
  /** The answer's END_STREAM has come. */
  #isWhole = false;
  /** Of the answer, where it said how long it is; else undefined. */
  #bytesLeft: number | undefined;
  #connectingSince: number;
  #activeAt: number;
  /** The sink has not taken everything it was given. */
  #isHeld = false;
  #hasRetried = false;
  #isStarting = true;
  #outcome: Outcome | undefined;
  #done: Promise<Outcome> | undefined;
  #settle: ((outcome: Outcome) => void) | undefined;

  constructor(
    request: ExchangeRequest,
    sessions: AppSessions,
    host: AppHost,
    onDone: ((outcome: Outcome) => void) | undefined,
  ) {
    this.#request = request;
    this.#sessions = sessions;
    this.#host = host;
    this.#onDone = onDone;
    this.#startedAt = host.clock.start;
    this.#connectingSince = this.#startedAt;
    this.#activeAt = this.#startedAt;
  }

  get done(): Promise<Outcome> {
    this.#done ??= new Promise((resolve) => {
      if (this.#outcome) resolve(this.#outcome);
      else this.#settle = resolve;
    });
    return this.#done;
  }

  start(): void {
    this.#request.sink.attach?.(this);
    if (this.#phase !== 'over') this.#sessions.take(this);
    this.#isStarting = false;
  }

  resume(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    this.#activeAt = this.#host.clock.start;
    this.#stream?.resume();
  }

  cancel(): void {
    if (this.#phase === 'over') return;
    const headForwarded = this.#phase === 'body';
    this.#leave();
    this.#finish({ kind: 'cancelled', headForwarded }, new RelayError('caller-gone', 'the caller left'));
  }

  /** The deadlines, asked by the clock. */
  sweep(now: number): void {
    const phase = this.#phase;
    if (phase === 'over') return;
    const at = {
      phase,
      startedAt: this.#startedAt,
      connectingSince: this.#connectingSince,
      activeAt: this.#activeAt,
      awaitsContinue: this.#sender?.awaitsContinue === true,
      awaitsCaller: this.#isHeld || this.#sender?.awaitsCaller === true,
    };
    const late = overdue(at, this.#request.timeouts, now);
    if (late === 'continue') this.#continue(CONTINUE);
    else if (late) this.#timeOut(late);
  }

  onSession(session: AppSession): void {
    const { head, body, target } = this.#request;
    let stream: ClientHttp2Stream;
    try {
      stream = session.request(requestFields(head, target), streamOptions(body));
    } catch (error) {
      return this.#fail({ phase: 'send', error: error as Error, sentBytes: 1 }); // a head HTTP/2 cannot carry
    }
    session.active++;
    this.#phase = 'head';
    this.#activeAt = this.#host.clock.start;
    this.#stream = stream;
    this.#sender = new AppSender(stream, body, this);
    this.#listen(session, stream);
    this.#sender.start(head);
  }

  onConnectFailed(error: Error): void {
    this.#fail({ phase: 'connect', error, sentBytes: 0 });
  }

  onBodyProgress(): void {
    this.#activeAt = this.#host.clock.start;
  }

  onBodyFailed(error: Error): void {
    if (this.#phase === 'over') return;
    if (error instanceof RelayError && error.code === 'caller-gone') return this.cancel();
    this.#leave();
    this.#fail({ phase: 'send', error, sentBytes: 1, callerFailed: true });
  }

  /** Leave to send the body, from the upstream or from the clock; the caller waits for the same. */
  #continue(head: ResponseHead): void {
    if (!this.#sender?.awaitsContinue) return;
    this.#activeAt = this.#host.clock.start;
    this.#request.sink.informational(head);
    this.#sender.continue();
  }

  #listen(session: AppSession, stream: ClientHttp2Stream): void {
    let error: Error | undefined;
    stream.on('headers', (_fields, _flags, raw: string[]) => this.#onInformational(informationalHead(raw)));
    stream.on('response', (_fields, flags, raw: string[]) => this.#onHead(raw, (flags & END_STREAM) !== 0));
    stream.on('trailers', (_fields, _flags, raw: string[]) => {
      this.#isWhole = true; // they come with END_STREAM
      this.#trailers = raw;
    });
    stream.on('drain', () => this.#onDrain());
    stream.on('error', (found: Error) => (error = found));
    stream.on('close', () => {
      if (this.#stream === stream) this.#onLost(session, stream, error);
      this.#sessions.released(session, this.#host.clock.now);
    });
  }

  #onDrain(): void {
    this.#activeAt = this.#host.clock.start;
    this.#sender?.drained();
  }

  #onInformational(head: ResponseHead): void {
    if (this.#phase !== 'head') return;
    if (head.status === 100) this.#continue(head);
    else this.#request.sink.informational(head);
  }

  #onHead(raw: RawHeaders, hasEnded: boolean): void {
    const stream = this.#stream;
    if (this.#phase !== 'head' || !stream) return;
    const isHead = this.#request.head.method === 'HEAD';
    const head = responseHead(raw, { hasEnded, isHead });
    this.#head = head;
    if (this.#request.decide?.(head) === 'discard') return this.#discard(head);
    if (this.#stream !== stream) return; // `decide` cancelled
    this.#phase = 'body';
    this.#activeAt = this.#host.clock.start;
    this.#bytesLeft = promisedLength(head, isHead);
    this.#request.sink.head(head);
    stream.on('data', (chunk: Buffer) => this.#onData(stream, chunk));
    this.#isWhole = hasEnded;
    stream.on('end', () => this.#onEnd(stream));
    if (!hasEnded) this.#flush(stream);
  }

  #discard(head: ResponseHead): void {
    this.#leave();
    this.#finish({ kind: 'discarded', head });
  }

  #onData(stream: ClientHttp2Stream, chunk: Buffer): void {
    if (this.#phase !== 'body') return;
    this.#activeAt = this.#host.clock.start;
    if (this.#bytesLeft !== undefined) this.#bytesLeft -= chunk.length;
    if (!this.#request.sink.data(chunk)) this.#isHeld = true;
    this.#flush(stream);
  }

  #flush(stream: ClientHttp2Stream): void {
    if (this.#request.sink.flush?.() === false) this.#isHeld = true;
    if (this.#isHeld) stream.pause();
  }

  #onEnd(stream: ClientHttp2Stream): void {
    if (this.#phase !== 'body') return;
    // Else `close` follows, and says what became of it.
    if (!this.#isWhole && !hasEndStream(stream)) return;
    // RST_STREAM with NO_ERROR looks like END_STREAM; a length tells, and to gRPC the missing status.
    if (this.#bytesLeft !== undefined && this.#bytesLeft !== 0) return;
    this.#request.sink.end(safeTrailers(this.#trailers));
    // What is left of the request has nobody left to read it.
    if (this.#sender?.isSent) this.#stream = undefined;
    this.#leave();
    this.#finish({ kind: 'answered', status: this.#head?.status ?? 0 });
  }

  #onLost(session: AppSession, stream: ClientHttp2Stream, cause: Error | undefined): void {
    if (this.#phase === 'over') return;
    const wasSeen = !session.hasNotSeen(stream);
    const mayRepeat = !wasSeen && this.#phase === 'head';
    const failed = this.#failurePhase();
    this.#sender?.stop();
    if (mayRepeat && this.#retry()) return;
    const error = new RelayError('connection-lost', 'the app broke off the stream', { cause });
    this.#fail({ phase: failed, error, sentBytes: wasSeen ? 1 : 0 });
  }

  /** The app has not seen it (its connection was on the way out): once more, on another connection. */
  #retry(): boolean {
    if (this.#hasRetried || !this.#request.body.canStart) return false;
    this.#hasRetried = true;
    this.#host.onRetry();
    this.#stream = undefined;
    this.#sender = undefined;
    this.#phase = 'connect';
    this.#connectingSince = this.#host.clock.start;
    this.#sessions.take(this);
    return true;
  }

  #timeOut(phase: FailurePhase): void {
    const headForwarded = this.#phase === 'body';
    const sentBytes = this.#stream ? 1 : 0;
    this.#leave();
    const error = new RelayError('connection-lost', `a deadline passed in phase ${phase}`);
    this.#finish({ kind: 'timeout', phase, sentBytes, headForwarded }, error);
  }

  #fail(failure: { phase: FailurePhase; error: Error; sentBytes: number; callerFailed?: boolean }): void {
    const headForwarded = this.#phase === 'body';
    this.#finish({ kind: 'failed', ...failure, headForwarded }, failure.error);
  }

  #failurePhase(): FailurePhase {
    if (this.#phase === 'body') return 'body';
    return this.#sender?.isSent ? 'head' : 'send';
  }

  /** Gives up the stream; what the app still does for it is for nothing. */
  #leave(): void {
    this.#sender?.stop();
    this.#sessions.leave(this);
    const stream = this.#stream;
    this.#stream = undefined;
    if (stream) resetStream(stream, H2_CODE.cancel);
  }

  #finish(outcome: Outcome, error?: Error): void {
    if (this.#phase === 'over') return;
    const hasBegun = this.#phase === 'body';
    this.#phase = 'over'; // first: the sink's abort may come back to us as a cancel
    this.#outcome = outcome;
    this.#host.remove(this);
    if (hasBegun && error) this.#request.sink.abort(error);
    if (this.#isStarting) queueMicrotask(() => this.#tell(outcome));
    else this.#tell(outcome);
  }

  #tell(outcome: Outcome): void {
    this.#onDone?.(outcome);
    this.#settle?.(outcome);
  }
}
