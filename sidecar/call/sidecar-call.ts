/**
 * One synchronous call in the sidecar. It holds a place while a try runs and gives it back between tries. It ends
 * exactly once, whatever the app or the caller do. Two clocks, never mixed: waiting for a place is bounded by the
 * queue's timeout, each try by HttpTimeout from the moment it runs.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Place } from '../limits/breaker.ts';
import type { ReasonError } from '../../common/runtime/errors.ts';
import { sleep } from '../../common/runtime/lifecycle.ts';
import { HEADER } from '../../common/function/names.ts';
import { asReason, sendReason } from '../../common/runtime/reason-answer.ts';
import {
  headerValue,
  isBadResponse,
  isWrongProtocol,
  nodeBody,
  nodeSink,
  replayableBody,
  type BodySource,
  type HeadVerdict,
  type Outcome,
  type RequestHead,
  type ResponseHead,
  type ResponseSink,
} from '../../common/relay/index.ts';
import { isRefused } from '../app/app-down.ts';
import { badAnswer, APP_CONNECT_MS, NO_CONNECTION, timedOut, upstreamFailed } from './call-failures.ts';
import type { SidecarContext } from '../context.ts';
import { fromTheApp } from './own-headers.ts';
import {
  delayAfterReaching,
  delayAfterStatus,
  delayAfterUnreached,
  mayRepeat,
  parseRetryAfter,
  type RetryDelay,
  type TryFacts,
} from './retry.ts';
import { refuse } from './refuse.ts';
import { codeClassOf, type CodeClass } from '../stats.ts';

/** A body is kept for replay up to this size. */
const REPLAY_BYTES = 1_048_576;

export class SidecarCall {
  readonly #context: SidecarContext;
  readonly #req: IncomingMessage;
  readonly #res: ServerResponse;
  readonly #head: RequestHead;
  readonly #isProxys: boolean;
  readonly #mayRepeat: boolean;
  readonly #body: BodySource;
  readonly #sink: ResponseSink;
  readonly #begunAt = performance.now();
  readonly #endInFlight: () => void;
  #place: Place | undefined;
  #retries = 0;
  #unreached = 0;
  #unreachedSince = 0;
  #hasStarted = false;
  /** What `decide` settled on when it discarded an answer. */
  #delay: RetryDelay;

  /** @param isProxys it came from a proxy, which can take it to another pod */
  constructor(
    context: SidecarContext,
    req: IncomingMessage,
    res: ServerResponse,
    head: RequestHead,
    isProxys = false,
  ) {
    this.#isProxys = isProxys;
    this.#context = context;
    this.#req = req;
    this.#res = res;
    this.#head = head;
    this.#endInFlight = context.inFlight.begin();
    this.#mayRepeat = mayRepeat(context.policy, head.method, this.#hasIdempotencyKey());
    const body = nodeBody(req);
    // Only what may be sent twice is kept: a call that cannot be retried pays nothing for it.
    const mayRetry = this.#mayRepeat && context.policy.delaysMs.length > 0;
    const kept = mayRetry ? REPLAY_BYTES : context.hop.unprocessedBytes;
    this.#body = kept > 0 && body.length !== 0 ? replayableBody(body, kept) : body;
    this.#sink = nodeSink(res, { mapHead: (answer) => this.#ownHead(answer) });
  }

  /** With a place in hand. */
  run(place: Place): void {
    this.#place = place;
    this.#hasStarted = true;
    this.#context.stats.start();
    this.#try();
  }

  /** Waits in line first. */
  async queue(): Promise<void> {
    const place = await this.#enter(undefined);
    if (place) this.run(place);
  }

  #try(): void {
    const { relay, hop, app, policy } = this.#context;
    if (this.#context.drain.isDraining) this.#res.shouldKeepAlive = false;
    relay.exchange(
      {
        target: app,
        head: this.#head,
        body: this.#body,
        sink: this.#sink,
        timeouts: {
          connectMs: APP_CONNECT_MS,
          headMs: policy.httpTimeoutMs,
          idleMs: hop.idleMs,
          silenceMs: 0,
        },
        decide: (answer) => this.#decide(answer),
        mayRepeat: this.#mayRepeat,
      },
      (outcome) => this.#ended(outcome),
    );
  }

  #decide(answer: ResponseHead): HeadVerdict {
    if (!this.#context.policy.retryStatuses.has(answer.status)) return 'forward';
    const retryAfterMs = parseRetryAfter(headerValue(answer.headers, 'retry-after'), Date.now());
    this.#delay = delayAfterStatus(this.#context.policy, this.#facts(), answer.status, retryAfterMs);
    return this.#delay === undefined ? 'forward' : 'discard';
  }

  #ended(outcome: Outcome): void {
    switch (outcome.kind) {
      case 'answered':
        return this.#finish(codeClassOf(outcome.status));
      case 'cancelled':
        return this.#finish('cancelled');
      case 'discarded':
        this.#retries += 1;
        return this.#tryAgainAfter(this.#delay ?? 0);
      case 'timeout':
        if (outcome.phase === 'connect') return this.#unreachable(NO_CONNECTION);
        return this.#giveUp(timedOut(this.#context.policy.httpTimeoutMs));
      case 'failed':
        if (outcome.headForwarded) return this.#finish('5xx'); // the sink has broken the connection
        if (outcome.callerFailed === true) return this.#finish('cancelled');
        if (outcome.phase === 'connect') return this.#unreachable(outcome.error);
        return this.#failed(outcome.sentBytes, outcome.error);
    }
  }

  /** No connection to the app. A proxy has better places for its call; nothing of this try has reached the app. */
  #unreachable(error: Error): void {
    // A direct caller has no other pod to ask: it is told after the policy's time, and not held in line for longer.
    if (this.#isProxys && isRefused(error)) this.#context.appDown.note();
    if (isWrongProtocol(error)) return this.#giveUp(upstreamFailed(error)); // so it is in every pod, and stays so
    if (this.#isGivenBack) return this.#giveBack();
    this.#failed(0, error);
  }

  /** A longer body may have left the proxy beyond what it keeps, so it would be lost there. */
  get #isGivenBack(): boolean {
    const { length } = this.#body;
    const isKept = length !== undefined && length <= REPLAY_BYTES;
    return this.#isProxys && isKept && (this.#retries === 0 || this.#wouldProxyRepeat);
  }

  /** A proxy does not know of retries that the annotation allows. */
  get #wouldProxyRepeat(): boolean {
    const policy = { ...this.#context.policy, retriesSetByUser: false };
    return mayRepeat(policy, this.#head.method, this.#hasIdempotencyKey());
  }

  /** As if it had never been let in, except after a retry: then the app may have seen it. */
  #giveBack(): void {
    this.#release();
    const { drain } = this.#context;
    const reason = this.#retries > 0 ? 'crashed' : drain.isDraining ? 'draining' : 'starting';
    refuse(this.#context, this.#res, reason);
    this.#finish('cancelled'); // no failure of the function: its caller gets another answer
  }

  #failed(sentBytes: number, error: Error): void {
    // The app has answered, and it will answer the same again.
    if (sentBytes > 0 && isBadResponse(error)) return this.#giveUp(badAnswer(error));
    const delay = sentBytes === 0 ? this.#delayAfterUnreached() : this.#delayAfterReaching();
    if (delay === undefined) this.#giveUp(upstreamFailed(error));
    else this.#tryAgainAfter(delay);
  }

  #delayAfterUnreached(): RetryDelay {
    const now = performance.now();
    if (this.#unreached === 0) this.#unreachedSince = now;
    this.#unreached += 1;
    const since = now - this.#unreachedSince;
    return delayAfterUnreached(this.#context.policy, this.#facts(), this.#unreached, since);
  }

  #delayAfterReaching(): RetryDelay {
    const delay = delayAfterReaching(this.#context.policy, this.#facts());
    this.#retries += 1;
    return delay;
  }

  /** Somebody else may run during the delay; we come back before all who arrived after us. */
  #tryAgainAfter(delayMs: number): void {
    const arrival = this.#place?.arrival;
    this.#release();
    this.#context.stats.retries += 1;
    this.#sleepAndEnter(delayMs, arrival).catch((error: unknown) => this.#giveUp(asReason(error)));
  }

  async #sleepAndEnter(delayMs: number, arrival: number | undefined): Promise<void> {
    await this.#pause(delayMs);
    if (this.#isGivenBack && this.#context.admission.phase === 'starting') return this.#giveBack();
    this.#place = await this.#enter(arrival);
    if (this.#place) this.#try();
  }

  /** Shorter where there is nothing to wait for: the caller left, or the app is down and a proxy has another pod. */
  async #pause(delayMs: number): Promise<void> {
    const left = this.#callerLeft();
    const awake = new AbortController();
    const release = this.#context.appDown.onDown(() => this.#isGivenBack && awake.abort());
    await sleep(delayMs, AbortSignal.any([left.signal, awake.signal]));
    release();
    left.dispose();
  }

  /** A place; undefined: there was none, and the caller has been told, if it is still there. */
  async #enter(arrival: number | undefined): Promise<Place | undefined> {
    const left = this.#callerLeft();
    try {
      const place = await this.#context.admission.enter(left.signal, arrival);
      if (!left.signal.aborted) return place;
      place.release(); // the caller left between being served and this line
    } catch (error) {
      if (!left.signal.aborted) return void this.#refuse(asReason(error));
    } finally {
      left.dispose();
    }
    return void this.#finish('cancelled');
  }

  #callerLeft(): { signal: AbortSignal; dispose: () => void } {
    const leaving = new AbortController();
    const abort = (): void => leaving.abort();
    if (this.#res.closed || this.#res.destroyed) abort();
    this.#res.once('close', abort);
    return { signal: leaving.signal, dispose: () => this.#res.off('close', abort) };
  }

  #refuse(error: ReasonError): void {
    this.#context.stats.refuse(error.code);
    this.#giveUp(error);
  }

  #giveUp(error: ReasonError): void {
    this.#release(); // before the answer: its load is what is true without us
    if (this.#context.drain.isDraining) this.#res.shouldKeepAlive = false;
    sendReason(this.#res, error, [HEADER.load, this.#context.admission.load]);
    this.#finish(codeClassOf(error.status));
  }

  #finish(codeClass: CodeClass): void {
    this.#release();
    // One who was never let in is a refusal or nothing, not a call that ended.
    if (this.#hasStarted) this.#context.stats.finish(codeClass, (performance.now() - this.#begunAt) / 1_000);
    // The app is done; the caller may still be reading. A drain that did not wait for the caller would cut its answer.
    if (this.#res.closed) this.#endInFlight();
    else this.#res.once('close', this.#endInFlight);
  }

  #release(): void {
    if (!this.#place) return;
    this.#place.release();
    this.#place = undefined;
    this.#context.reporter.released();
  }

  #ownHead(answer: ResponseHead): ResponseHead {
    return { ...answer, headers: fromTheApp(answer.headers, this.#context.admission.load) };
  }

  #hasIdempotencyKey(): boolean {
    return headerValue(this.#req.rawHeaders, 'idempotency-key') !== undefined;
  }

  #facts(): TryFacts {
    return {
      method: this.#head.method,
      hasIdempotencyKey: this.#mayRepeat,
      canReplay: this.#body.length === 0 || this.#body.canStart,
      retries: this.#retries,
      drainLeftMs: this.#context.drain.leftMs,
    };
  }
}
