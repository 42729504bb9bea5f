/**
 * The life of an exchange, whatever carries it: connect → head → body → over, each phase left once, its clocks,
 * and, whatever happens, exactly one Outcome. How a request is sent and its answer read is its heirs' business: HTTP/1.1
 * (exchange.ts) and HTTP/2 (../http2/app-exchange.ts). A base class and not an object beside them, because a call
 * would pay for one more object and for the calls between the two.
 */
import type { CoarseClock } from './clock.ts';
import { overdue, type Progress } from './deadlines.ts';
import { RelayError } from '../errors.ts';
import type { SendListener } from './request-body.ts';
import type { Listed } from './running-list.ts';
import type { Exchange, RelayRequest, FailurePhase, Outcome, ResponseHead } from '../types.ts';

const CONTINUE: ResponseHead = { status: 100, statusText: 'Continue', headers: [] };

/** What an exchange needs of its relay. */
export interface Host {
  readonly clock: CoarseClock;
  /** The exchange is over: it is swept no more. */
  remove(exchange: ExchangeLife): void;
  /** It is sent again, on another connection. */
  onRetry(): void;
}

/** The part of a request sender that its exchange reads. */
export interface Sender {
  readonly isSent: boolean;
  readonly awaitsContinue: boolean;
  readonly awaitsCaller: boolean;
  continue(): void;
  /** The way to the upstream took what it had been given. */
  drained(): void;
  stop(): void;
}

export type OnDone = ((outcome: Outcome) => void) | undefined;

interface Failure {
  readonly phase: FailurePhase;
  readonly error: Error;
  readonly sentBytes: number;
  readonly callerFailed?: boolean;
}

export abstract class ExchangeLife implements Exchange, SendListener, Listed {
  protected readonly request: RelayRequest;
  protected readonly host: Host;
  protected phase: Progress['phase'] | 'over' = 'connect';
  protected sender: Sender | undefined;
  /** The sink has not taken everything it was given. */
  isHeld = false;
  protected hasRetried = false;
  readonly #onDone: OnDone;
  readonly #startedAt: number;
  #connectingSince: number;
  /** When a byte last came or went, once the body is what is waited for. */
  #activeAt: number;
  #isStarting = true;
  #outcome: Outcome | undefined;
  #done: Promise<Outcome> | undefined;
  #settle: ((outcome: Outcome) => void) | undefined;
  /** Where the list of running exchanges has it. */
  place = -1;

  constructor(request: RelayRequest, host: Host, onDone: OnDone) {
    this.request = request;
    this.host = host;
    this.#onDone = onDone;
    this.#startedAt = host.clock.start;
    this.#connectingSince = this.#startedAt;
    this.#activeAt = this.#startedAt;
  }

  /** Looks for a connection. */
  protected abstract connect(): void;
  protected abstract resumeReading(): void;
  /** 0 where the upstream cannot have seen any of the request. */
  protected abstract get sentBytes(): number;
  /** Gives up what carries it, in whatever state it is. */
  protected abstract leave(): void;
  /** It is over: what carried it belongs to others. */
  protected abstract letGo(): void;

  get done(): Promise<Outcome> {
    this.#done ??= new Promise((resolve) => {
      if (this.#outcome) resolve(this.#outcome);
      else this.#settle = resolve;
    });
    return this.#done;
  }

  start(): void {
    this.request.sink.attach?.(this);
    if (this.phase !== 'over') this.connect();
    this.#isStarting = false;
  }

  /** The sink has drained. */
  resume(): void {
    if (!this.isHeld) return;
    this.isHeld = false;
    this.moved();
    this.resumeReading();
  }

  cancel(): void {
    if (this.phase === 'over') return;
    this.leave();
    const error = new RelayError('caller-gone', 'the caller left');
    this.finish({ kind: 'cancelled', headForwarded: this.phase === 'body' }, error);
  }

  /** The deadlines, asked by the clock. */
  sweep(now: number): void {
    const phase = this.phase;
    if (phase === 'over') return;
    const late = overdue(this.#progress(phase), this.request.timeouts, now);
    if (late === 'continue') this.continue(CONTINUE);
    else if (late) this.#timeOut(late);
  }

  #progress(phase: Progress['phase']): Progress {
    const { sender } = this;
    // While an upload is held back nobody reads from its caller, and so nobody would hear that it has left.
    const isUploading = phase === 'body' && sender?.isSent !== true;
    return {
      phase,
      startedAt: this.#startedAt,
      connectingSince: this.#connectingSince,
      activeAt: this.#activeAt,
      awaitsContinue: sender?.awaitsContinue === true,
      awaitsCaller: this.isHeld || isUploading || sender?.awaitsCaller === true,
    };
  }

  onConnectFailed(error: Error): void {
    this.fail({ phase: 'connect', error, sentBytes: 0 });
  }

  onDrain(): void {
    this.moved();
    this.sender?.drained();
  }

  onInformational(head: ResponseHead): void {
    if (this.phase !== 'head') return;
    if (head.status === 100) this.continue(head);
    else this.request.sink.informational(head);
  }

  // SendListener

  onBodyProgress(): void {
    this.moved();
  }

  onBodyFailed(error: Error): void {
    if (this.phase === 'over') return;
    if (error instanceof RelayError && error.code === 'caller-gone') return this.cancel();
    const { sentBytes } = this;
    this.leave();
    this.fail({ phase: 'send', error, sentBytes, callerFailed: true });
  }

  /** A byte came or went. */
  protected moved(): void {
    this.#activeAt = this.host.clock.start;
  }

  /** There is a connection: the request goes out. */
  protected connected(): void {
    this.phase = 'head';
    this.moved();
  }

  /** The answer goes to the sink from here on. */
  protected forward(head: ResponseHead): void {
    this.phase = 'body';
    this.moved();
    this.request.sink.head(head);
  }

  /** Leave to send the body, from the upstream or from the clock; the caller waits for the same. */
  protected continue(head: ResponseHead): void {
    if (!this.sender?.awaitsContinue) return;
    this.moved();
    this.request.sink.informational(head);
    this.sender.continue();
  }

  /** From the beginning, on another connection. */
  protected again(): void {
    this.hasRetried = true;
    this.sender = undefined;
    this.phase = 'connect';
    this.#connectingSince = this.host.clock.start;
    this.host.onRetry();
  }

  protected fail(failure: Failure): void {
    this.finish({ kind: 'failed', ...failure, headForwarded: this.phase === 'body' }, failure.error);
  }

  protected get failurePhase(): FailurePhase {
    if (this.phase === 'body') return 'body';
    return this.sender?.isSent ? 'head' : 'send';
  }

  #timeOut(phase: FailurePhase): void {
    const { sentBytes } = this;
    this.leave();
    const error = new RelayError('connection-lost', `a deadline passed in phase ${phase}`);
    this.finish({ kind: 'timeout', phase, sentBytes, headForwarded: this.phase === 'body' }, error);
  }

  /** @param error why a begun answer cannot be completed */
  protected finish(outcome: Outcome, error?: Error): void {
    if (this.phase === 'over') return;
    const hasBegun = this.phase === 'body';
    this.phase = 'over'; // first: the sink's abort may come back to us as a cancel
    this.letGo();
    this.#outcome = outcome;
    this.host.remove(this);
    if (hasBegun && error) this.request.sink.abort(error);
    if (this.#isStarting) queueMicrotask(() => this.#tell(outcome));
    else this.#tell(outcome);
  }

  #tell(outcome: Outcome): void {
    this.#onDone?.(outcome);
    this.#settle?.(outcome);
  }
}
