/**
 * One synchronous call from its arrival to its end. It waits for a place and goes to the pod. Where that provably
 * changed nothing, it waits again at the head of the line. Knows nothing of Node's server.
 *
 * What may be sent again (docs/internals/architecture.md):
 *  - a refusal of the sidecar, a failed connect, a connection that took no byte: always;
 *  - a pod that died before its answer began: safe methods and calls with an Idempotency-Key, twice;
 *  - each only while the body can be given from its first byte.
 */
import { mayRunTwice } from '../../common/call/methods.ts';
import type { CallPhase } from '../../common/call/states.ts';
import { ReasonError } from '../../common/runtime/errors.ts';
import { HEADER } from '../../common/function/names.ts';
import {
  headerValue,
  type BodySource,
  type Exchange,
  type Outcome,
  type Relay,
  type RequestHead,
  type ResponseHead,
  type ResponseSink,
} from '../../common/relay/index.ts';
import type { CallEnd } from '../metrics/call-end.ts';
import type { Clock } from '../clock.ts';
import type { FunctionEntry } from '../functions/function-entry.ts';
import type { FunctionLookup } from '../functions/function-lookup.ts';
import { forSidecar, parseLoad } from '../edge/headers.ts';
import type { PodPlace } from '../pods/pod-group.ts';
import { noteRefusal } from '../pods/refusal.ts';
import { outcomeAction } from './retry.ts';
import type { CallTicket, WaitingCall } from '../waiting/throttler.ts';
import type { WaitingPages } from '../waiting/waiting-page.ts';
import { fallbackOf } from './fallback.ts';
import { callTimeouts, POD_CONNECT_MS } from './timeouts.ts';

export interface CallRequest {
  readonly head: RequestHead;
  readonly body: BodySource;
  readonly sink: ResponseSink;
  /** Asked each time that it begins or ends to wait: always the same. */
  readonly heldBytes: number;
  /** Answers with an error of our own; nothing has been answered yet. */
  readonly fail: (error: ReasonError) => void;
  /** The call waits now, for the first time or again. */
  readonly onWait: () => void;
  /** The call is over for us, whatever became of it. */
  readonly onEnd: (end: CallEnd) => void;
}

export interface CallDeps {
  readonly relay: Relay;
  readonly clock: Clock;
  readonly pages: Pick<WaitingPages, 'watch'>;
  readonly lookup: Pick<FunctionLookup, 'neighbour' | 'partFor'>;
}

/** With what belongs to a phase. */
type CallState =
  | { readonly kind: Exclude<CallPhase, 'running'> }
  | { readonly kind: 'running'; readonly place: PodPlace; exchange: Exchange | undefined };

export class ProxyCall implements WaitingCall {
  readonly #entry: FunctionEntry;
  readonly #request: CallRequest;
  readonly #deps: CallDeps;
  /** It is one: where it fails as well, the caller is told. */
  readonly #isFallback: boolean;
  #fallback: ProxyCall | undefined;
  readonly #ticket: CallTicket;
  #state: CallState = { kind: 'waiting' };
  /** Placed as it arrives, it has waited for nothing and its clock has just been read. */
  #isArriving = true;
  #wasCold = false;
  #placedMs: number | undefined;
  #isShownPage = false;
  #refusal: string | undefined;
  /** What the sidecar said beside it. */
  #trouble: string | undefined;
  #stopPage: (() => void) | undefined;
  /** Tries that may have reached a function and got no answer. */
  #deaths = 0;

  constructor(entry: FunctionEntry, request: CallRequest, deps: CallDeps, isFallback = false) {
    this.#entry = entry;
    this.#request = request;
    this.#deps = deps;
    this.#isFallback = isFallback;
    this.#ticket = entry.throttler.ticket(this);
  }

  get heldBytes(): number {
    return this.#request.heldBytes;
  }

  start(): void {
    this.#wasCold = !this.#entry.pods.isUsable;
    try {
      this.#entry.throttler.join(this.#ticket);
    } catch (error) {
      if (!(error instanceof ReasonError)) throw error;
      this.refused(error);
    }
    this.#isArriving = false;
    if (this.#state.kind !== 'waiting') return;
    this.#stopPage = this.#deps.pages.watch(this.#entry, this.#request.head, (page) => this.#giveUp(page));
    this.#request.onWait();
  }

  /** The caller has gone. */
  cancel(): void {
    this.#fallback?.cancel();
    if (this.#state.kind === 'running') this.#state.exchange?.cancel();
    if (this.#state.kind !== 'waiting') return;
    this.#entry.throttler.leave(this.#ticket);
    this.#end({ kind: 'cancelled' });
  }

  placed(place: PodPlace): void {
    const { endpoint } = place;
    const { arrivedMs } = this.#ticket;
    const now = this.#isArriving ? arrivedMs : this.#deps.clock.now();
    const state: CallState = { kind: 'running', place, exchange: undefined };
    this.#state = state;
    this.#refusal = undefined;
    this.#placedMs = now;
    this.#entry.account.started(now, now - arrivedMs, this.#wasCold);
    const { head, body, sink } = this.#request;
    if (endpoint.suspicion !== undefined) this.#trustAfterConnect(state);
    state.exchange = this.#deps.relay.exchange(
      {
        target: endpoint.target,
        head: endpoint.hasSidecar ? { ...head, headers: forSidecar(head.headers, place) } : head,
        body,
        sink,
        timeouts: callTimeouts(this.#entry.view.spec.sync, endpoint.hasSidecar),
        decide: endpoint.hasSidecar ? (answer) => this.#decide(place, answer) : undefined,
        mayRepeat: this.#isRepeatable,
      },
      (outcome) => this.#done(place, outcome),
    );
  }

  /** It is answered while it waits. */
  #giveUp(error: ReasonError): void {
    if (this.#state.kind !== 'waiting') return;
    this.#entry.throttler.leave(this.#ticket);
    this.#isShownPage = true;
    this.refused(error);
  }

  refused(error: ReasonError): void {
    this.#entry.account.series.failed(error.code);
    const fallback = this.#isFallback ? undefined : fallbackOf(this.#entry, this.#request, error, this.#deps);
    if (fallback) this.#entry.account.series.fellBack(fallback.kind);
    if (fallback?.kind === 'function') return this.#passTo(fallback.entry, error);
    this.#request.fail(fallback?.error ?? error);
    this.#end({ kind: 'status', status: error.status });
  }

  /** The call ends here as one that failed, and goes on as one of the other function. */
  #passTo(other: FunctionEntry, { status }: ReasonError): void {
    this.#count({ kind: 'status', status }, this.#deps.clock.now());
    this.#fallback = new ProxyCall(other, this.#request, this.#deps, true);
    this.#fallback.start();
  }

  get #isRepeatable(): boolean {
    const { method, headers } = this.#request.head;
    return mayRunTwice(method, headerValue(headers, 'idempotency-key') !== undefined);
  }

  /** The head of a sidecar's answer: its load, and whether it is an answer at all. */
  #decide(place: PodPlace, answer: ResponseHead): 'forward' | 'discard' {
    const load = parseLoad(headerValue(answer.headers, HEADER.load));
    if (load) place.endpoint.learned(load.running, load.limit);
    else place.endpoint.answered();
    this.#refusal = answer.status === 503 ? headerValue(answer.headers, HEADER.refused) : undefined;
    if (this.#refusal !== undefined) this.#trouble = headerValue(answer.headers, HEADER.trouble);
    if (this.#refusal !== undefined) return 'discard';
    this.#entry.throttler.worked();
    if (this.#entry.throttler.waiting > 0) this.#entry.throttler.changed();
    return 'forward';
  }

  #done(place: PodPlace, outcome: Outcome): void {
    const now = this.#deps.clock.now();
    this.#entry.account.left(now);
    place.release(true);
    if (outcome.kind === 'answered') place.endpoint.answered();
    const action = outcomeAction(outcome, {
      refusal: this.#refusal,
      canResend: this.#request.body.canStart,
      mayRepeat: this.#isRepeatable && this.#deaths < MAX_DEATHS,
    });
    if (action.suspect !== undefined) place.endpoint.failed(action.suspect);
    if (this.#refusal !== undefined) noteRefusal(this.#entry, place.endpoint, this.#refusal, this.#trouble);
    if (action.kind === 'again') this.#again(action.phase, action.mayHaveRun);
    else if (action.kind === 'fail') this.refused(action.error);
    else this.#end(action.end, now);
    // Last, so that a call that goes back to the line does so before the line moves.
    this.#entry.pods.changed();
  }

  #again(phase: string | undefined, mayHaveRun: boolean): void {
    if (mayHaveRun) this.#deaths++;
    if (phase !== undefined) this.#entry.account.series.retried(phase);
    this.#state = { kind: 'waiting' };
    this.#entry.throttler.join(this.#ticket, true);
    if (this.#ticket.isWaiting) this.#request.onWait();
  }

  /** A pod that failed before and keeps our call longer than a connect may take has taken it. */
  #trustAfterConnect(state: CallState & { kind: 'running' }): void {
    this.#deps.clock.after(POD_CONNECT_MS + 100, () => {
      if (this.#state !== state) return;
      state.place.endpoint.answered();
      this.#entry.pods.changed();
    });
  }

  #end(end: CallEnd, now = this.#deps.clock.now()): void {
    if (this.#state.kind === 'ended') return;
    this.#count(end, now);
    this.#request.onEnd(end);
  }

  #count(end: CallEnd, now: number): void {
    this.#state = { kind: 'ended' };
    this.#stopPage?.();
    const { account } = this.#entry;
    account.ended(end, now - this.#ticket.arrivedMs);
    if (!this.#isShownPage)
      account.judged(end, this.#placedMs === undefined ? undefined : now - this.#placedMs);
  }
}

/** A request that kills two pods is likely to kill the third. */
export const MAX_DEATHS = 2;
