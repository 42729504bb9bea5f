/**
 * One exchange: a request carried to an upstream and its answer carried back. It walks through
 * connect → head → body → over, and leaves each phase once; whatever happens ends in exactly one Outcome.
 */
import type { Connection, Tenant } from './connection.ts';
import type { CoarseClock } from './clock.ts';
import { overdue, type Progress } from './deadlines.ts';
import { RelayError } from './errors.ts';
import type { Pool } from './pool.ts';
import { returnReadBuffer } from './read-buffers.ts';
import { RequestSender, type SendListener } from './request-body.ts';
import { isRepeatable, writeHead } from './request-writer.ts';
import type { Listed } from './running-list.ts';
import type { ParsedHead } from './response-head.ts';
import type { Exchange, ExchangeRequest, FailurePhase, Outcome, RawHeaders, ResponseHead } from './types.ts';

const CONTINUE: ResponseHead = { status: 100, statusText: 'Continue', headers: [] };

/** What an exchange needs of its relay. */
export interface Host {
  readonly clock: CoarseClock;
  /** The exchange is over: it is swept no more. */
  remove(exchange: RunningExchange): void;
  onStaleRetry(): void;
}

type Phase = 'connect' | 'head' | 'body' | 'over';

export class RunningExchange implements Exchange, Tenant, SendListener, Listed {
  readonly #request: ExchangeRequest;
  readonly #pool: Pool;
  readonly #host: Host;
  readonly #onDone: ((outcome: Outcome) => void) | undefined;
  readonly #startedAt: number;
  /** Where the list of running exchanges has it. */
  place = -1;
  #phase: Phase = 'connect';
  #connection: Connection | undefined;
  #sender: RequestSender | undefined;
  #parsed: ParsedHead | undefined;
  #connectingSince: number;
  /** When a byte last came or went, once the body is what is waited for. */
  #activeAt: number;
  #hasRetried = false;
  #isDiscarding = false;
  #isStarting = true;
  /** The sink has not written everything it was given. */
  #isHeld = false;
  /** The read buffer that it still writes from, when the exchange is over. */
  #lent: Buffer | undefined;
  #outcome: Outcome | undefined;
  #done: Promise<Outcome> | undefined;
  #settle: ((outcome: Outcome) => void) | undefined;

  constructor(
    request: ExchangeRequest,
    pool: Pool,
    host: Host,
    onDone: ((outcome: Outcome) => void) | undefined,
  ) {
    this.#request = request;
    this.#pool = pool;
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
    if (this.#phase !== 'over') {
      const idle = this.#pool.reuse(this.#host.clock.now, this.#mayRepeat());
      if (idle) this.onConnected(idle);
      else this.onPlaceFree();
    }
    this.#isStarting = false;
  }

  /** The sink has drained. */
  resume(): void {
    if (!this.#isHeld) return;
    this.#isHeld = false;
    if (this.#lent) returnReadBuffer(this.#lent);
    this.#lent = undefined;
    this.#activeAt = this.#host.clock.start;
    this.#connection?.resumeReading();
  }

  cancel(): void {
    if (this.#phase === 'over') return;
    this.#leave();
    const error = new RelayError('caller-gone', 'the caller left');
    this.#finish({ kind: 'cancelled', headForwarded: this.#phase === 'body' }, error);
  }

  /** The deadlines, asked by the clock. */
  sweep(now: number): void {
    const phase = this.#phase;
    if (phase === 'over') return;
    const late = overdue(this.#progress(phase), this.#request.timeouts, now);
    if (late === 'continue') this.#continue(CONTINUE);
    else if (late) this.#timeOut(late);
  }

  #progress(phase: Progress['phase']): Progress {
    return {
      phase,
      startedAt: this.#startedAt,
      connectingSince: this.#connectingSince,
      activeAt: this.#activeAt,
      awaitsContinue: this.#sender?.awaitsContinue === true,
      awaitsCaller: this.#isHeld || this.#sender?.awaitsCaller === true,
    };
  }

  // Tenant

  onPlaceFree(): void {
    this.#connection = this.#pool.open(this);
  }

  onConnected(connection: Connection): void {
    this.#connection = connection;
    this.#phase = 'head';
    this.#activeAt = this.#host.clock.start;
    const { head, body, target } = this.#request;
    connection.begin(this, head.method === 'HEAD');
    this.#sender = new RequestSender(connection, writeHead(head, body, target), body, this);
    this.#sender.start();
  }

  onConnectFailed(error: Error): void {
    this.#fail({ phase: 'connect', error, sentBytes: 0 });
  }

  onDrain(): void {
    this.#activeAt = this.#host.clock.start;
    this.#sender?.drained();
  }

  onInformational(head: ResponseHead): void {
    if (head.status === 100) this.#continue(head);
    else this.#request.sink.informational(head);
  }

  onHead(parsed: ParsedHead): void {
    // What a server says to an idle connection (408, for one) is no answer to what we are about to ask.
    if (this.#sentBytes() === 0) throw new RelayError('bad-response', 'an answer before the request');
    this.#parsed = parsed;
    this.#isDiscarding = this.#request.decide?.(parsed.head) === 'discard';
    if (this.#isDiscarding || this.#phase !== 'head') return; // the latter: `decide` cancelled
    this.#phase = 'body';
    this.#activeAt = this.#host.clock.start;
    this.#request.sink.head(parsed.head);
  }

  onData(chunk: Buffer): void {
    if (this.#phase === 'body' && !this.#request.sink.data(chunk)) this.#isHeld = true;
  }

  onReadDone(): boolean {
    if (this.#isDiscarding) return this.#cutDiscarded();
    if (this.#phase !== 'body') return true;
    this.#activeAt = this.#host.clock.start;
    const { sink } = this.#request;
    if (sink.flush && !sink.flush()) this.#isHeld = true;
    return !this.#isHeld;
  }

  onEnd(trailers: RawHeaders): void {
    if (this.#phase === 'body') this.#isHeld = !this.#request.sink.end(trailers);
  }

  onComplete(isClean: boolean): void {
    const connection = this.#connection as Connection;
    const parsed = this.#parsed as ParsedHead;
    // A request still being sent has nobody left to read it: the connection cannot carry another.
    const isReusable = isClean && parsed.keepAlive && this.#sender?.isSent === true;
    this.#sender?.stop();
    if (isReusable) {
      if (this.#isHeld) this.#lent = connection.lendBuffer();
      this.#pool.release(connection, parsed.keepAliveMs, this.#host.clock.now);
    } else connection.close();
    if (this.#isDiscarding) this.#finish({ kind: 'discarded', head: parsed.head });
    else this.#finish({ kind: 'answered', status: parsed.head.status });
  }

  onLost(error: Error): void {
    if (this.#retryStale()) return;
    this.#sender?.stop();
    if (this.#isDiscarding) this.#finish({ kind: 'discarded', head: (this.#parsed as ParsedHead).head });
    else this.#fail({ phase: this.#failurePhase(), error, sentBytes: this.#sentBytes() });
  }

  // SendListener

  onBodyProgress(): void {
    this.#activeAt = this.#host.clock.start;
  }

  onBodyFailed(error: Error): void {
    if (this.#phase === 'over') return;
    if (error instanceof RelayError && error.code === 'caller-gone') return this.cancel();
    this.#leave();
    this.#fail({ phase: 'send', error, sentBytes: this.#sentBytes(), callerFailed: true });
  }

  /** Leave to send the body, from the upstream or from the clock; the caller waits for the same. */
  #continue(head: ResponseHead): void {
    if (!this.#sender?.awaitsContinue) return;
    this.#request.sink.informational(head);
    this.#sender.continue();
  }

  #mayRepeat(): boolean {
    return this.#request.mayRepeat ?? isRepeatable(this.#request.head.method);
  }

  #sentBytes(): number {
    return this.#sender?.sentBytes ?? 0;
  }

  /**
   * A kept-alive connection that ends before a byte of the answer was most likely closed by the server while
   * the request was on its way. It is sent again, once and on a new connection, where that is safe.
   */
  #retryStale(): boolean {
    const connection = this.#connection;
    if (this.#hasRetried || !connection?.isReused) return false;
    const wasSent = this.#sentBytes() > 0;
    if (wasSent && (connection.answerHasBegun || !this.#mayRepeat())) return false;
    this.#sender?.stop();
    if (!this.#request.body.canStart) return false;
    this.#hasRetried = true;
    this.#sender = undefined;
    this.#phase = 'connect';
    this.#connectingSince = this.#host.clock.start;
    this.#host.onStaleRetry();
    this.onPlaceFree();
    return true;
  }

  /** A discarded body that did not come whole with its head is not worth reading: the connection is cut. */
  #cutDiscarded(): boolean {
    this.#leave();
    this.#finish({ kind: 'discarded', head: (this.#parsed as ParsedHead).head });
    return false;
  }

  #timeOut(phase: FailurePhase): void {
    const headForwarded = this.#phase === 'body';
    this.#leave();
    const error = new RelayError('connection-lost', `a deadline passed in phase ${phase}`);
    this.#finish({ kind: 'timeout', phase, sentBytes: this.#sentBytes(), headForwarded }, error);
  }

  #fail(failure: { phase: FailurePhase; error: Error; sentBytes: number; callerFailed?: boolean }): void {
    const headForwarded = this.#phase === 'body';
    this.#finish({ kind: 'failed', ...failure, headForwarded }, failure.error);
  }

  #failurePhase(): FailurePhase {
    if (this.#phase === 'body') return 'body';
    return this.#sender?.isSent ? 'head' : 'send';
  }

  /** Gives up the connection, in whatever state it is. */
  #leave(): void {
    this.#sender?.stop();
    this.#pool.leave(this);
    this.#connection?.reset();
  }

  /** @param error why a begun answer cannot be completed */
  #finish(outcome: Outcome, error?: Error): void {
    if (this.#phase === 'over') return;
    const hasBegun = this.#phase === 'body';
    this.#phase = 'over'; // first: the sink's abort may come back to us as a cancel
    this.#connection = undefined;
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
