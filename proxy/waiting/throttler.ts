/**
 * Holds the calls of one function while no pod has a place for them: first come first served, bounded in number, in
 * bytes and in time. It moves only on events: a place freed, a pod came, a share changed. A timer does one thing: it
 * asks pods again that are only believed to be full or broken.
 *
 * Invariants:
 *  1. a newcomer never passes a call that waits;
 *  2. a call that came back stands before all who arrived after it;
 *  3. what waits is counted in the budget, once, until it is placed, refused or leaves.
 *
 * It gives up fairness between callers of one function: order of arrival is all it knows.
 *
 * Room `proxy/waiting`: Calls that wait for a place or for a first pod.
 * Comes in: a call.
 * Goes out: a place in a pod, or a reason.
 */
import { createBackoff, type Backoff } from '../../common/runtime/backoff.ts';
import { ReasonError } from '../../common/runtime/errors.ts';
import type { Clock } from '../clock.ts';
import type { PodPlace, PodGroup } from '../pods/pod-group.ts';
import { neverComes, noPodCame, queueFull } from './refusals.ts';
import type { WaitingBudget } from './waiting-budget.ts';
import { Ticket, WaitingCalls } from './waiting-calls.ts';

/** Who wants a place. */
export interface WaitingCall {
  /** What the call keeps in memory while it waits. */
  readonly heldBytes: number;
  placed(place: PodPlace): void;
  refused(error: ReasonError): void;
}

export type CallTicket = Ticket<WaitingCall>;

export interface ThrottlerLimits {
  readonly maxWaiting: number;
  /** While no pod is there. */
  readonly coldStartMs: number;
  /** While pods are there and all are full. */
  readonly placeMs: number;
}

export interface ThrottlerOptions {
  readonly pods: Pick<PodGroup, 'take' | 'probe' | 'isWorthProbing' | 'isUsable'>;
  readonly budget: Pick<WaitingBudget, 'whyFull' | 'add' | 'remove'>;
  readonly clock: Clock;
  readonly random: () => number;
  /** Asked each time: annotations change. */
  readonly limits: () => ThrottlerLimits;
  /** Called on every change of what waits for lack of a pod. */
  readonly onCold: (waiting: number) => void;
  /** Called on every change of what waits, for whatever reason. */
  readonly onWaiting?: (waiting: number) => void;
  /** Why no pod came up. */
  readonly explainCold: () => string;
  /** Why none will, if that is known: nobody waits for nothing. */
  readonly hopeless?: () => string | undefined;
}

/** How often a pod that is only believed to be full is asked again: at once enough not to be felt. */
const PROBE_MIN_MS = 50;
const PROBE_MAX_MS = 1_000;

export class Throttler {
  readonly #options: ThrottlerOptions;
  readonly #waiting = new WaitingCalls<WaitingCall>();
  readonly #backoff: Backoff;
  #arrivals = 0;
  /** No pod is there; undefined before anybody asked. */
  #isCold: boolean | undefined;
  #coldOrNotSinceMs = 0;
  /** When the last cold start began, and whether a pod has taken a call since. */
  #coldSinceMs: number | undefined;
  #hasWorked = false;
  #cancelDeadline: (() => void) | undefined;
  #deadlineMs = Infinity;
  #cancelProbe: (() => void) | undefined;

  constructor(options: ThrottlerOptions) {
    this.#options = options;
    this.#backoff = createBackoff({ minMs: PROBE_MIN_MS, maxMs: PROBE_MAX_MS }, options.random);
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** Notes a call's arrival. It waits for nothing until it joins. */
  ticket(caller: WaitingCall): CallTicket {
    return new Ticket(caller, this.#arrivals++, this.#options.clock.now());
  }

  /**
   * A place at once if there is one and nobody is first, else a wait.
   * @param isBack the call was in already: bounds do not hold for it
   * @throws ReasonError `queue-full`, or `cold-start-timeout` at once where no pod will come
   */
  join(ticket: CallTicket, isBack = false): void {
    const { first } = this.#waiting;
    const isFirst = first === undefined || ticket.arrival < first.arrival; // invariant 1
    const place = isFirst ? this.#options.pods.take() : undefined;
    if (place) return ticket.caller.placed(place);
    if (!isBack) this.#checkBounds(ticket);
    this.#waiting.add(ticket);
    this.#options.budget.add(ticket.caller.heldBytes);
    this.#settle();
  }

  /** The caller has gone. Harmless when it was not waiting. */
  leave(ticket: CallTicket): void {
    if (this.#takeOut(ticket)) this.#settle();
  }

  /** Something about the pods has changed. */
  changed(): void {
    if (this.#waiting.length === 0) return this.#noteCold();
    for (let first = this.#waiting.first; first; first = this.#waiting.first) {
      const place = this.#options.pods.take();
      if (!place) break;
      this.#takeOut(first);
      first.caller.placed(place);
    }
    this.#settle();
  }

  /** A pod took a call: what we believe of pods is right again. */
  worked(): void {
    this.#hasWorked = true;
    this.#backoff.reset();
  }

  /** The function is no more, or we are going: everybody is refused. */
  refuseAll(error: ReasonError): void {
    this.#refuseWhile(() => error);
  }

  #checkBounds(ticket: CallTicket): void {
    const hopeless = this.#options.pods.isUsable ? undefined : this.#options.hopeless?.();
    if (hopeless !== undefined) throw neverComes(hopeless);
    const { maxWaiting } = this.#options.limits();
    if (this.#waiting.length >= maxWaiting)
      throw queueFull(`${this.#waiting.length} calls are waiting for this function, its limit`);
    const full = this.#options.budget.whyFull(ticket.caller.heldBytes);
    if (full) throw queueFull(full);
  }

  #takeOut(ticket: CallTicket): boolean {
    const wasWaiting = this.#waiting.remove(ticket);
    if (wasWaiting) this.#options.budget.remove(ticket.caller.heldBytes); // invariant 3
    return wasWaiting;
  }

  /** Brings clocks and the activator in line with what waits now. */
  #settle(): void {
    this.#noteCold();
    this.#armDeadline();
    this.#armProbe();
    this.#options.onCold(this.#isCold ? this.#waiting.length : 0);
    this.#options.onWaiting?.(this.#waiting.length);
  }

  /** Also while nobody waits: a call that a broken pod sends back must not start its clock again. */
  #noteCold(): void {
    const isCold = !this.#options.pods.isUsable;
    if (isCold === this.#isCold) return;
    this.#isCold = isCold;
    // A pod that came, took no call and went does not end the cold start. Otherwise a pod that refuses each call
    // would make callers wait for many times the timeout.
    const isGoingOn = isCold && !this.#hasWorked && this.#coldSinceMs !== undefined;
    this.#coldOrNotSinceMs = isGoingOn ? (this.#coldSinceMs as number) : this.#options.clock.now();
    if (!isCold || isGoingOn) return;
    this.#coldSinceMs = this.#coldOrNotSinceMs;
    this.#hasWorked = false;
  }

  /**
   * The first in line has the first deadline, so one timer serves all. The timer starts again when the last pod goes
   * or the first comes. Each call's whole wait is bounded by the sum of both bounds, because pods may come and go
   * forever.
   */
  #deadlineOf(ticket: CallTicket): number {
    const { coldStartMs, placeMs } = this.#options.limits();
    const since = Math.max(ticket.arrivedMs, this.#coldOrNotSinceMs);
    return Math.min(since + (this.#isCold ? coldStartMs : placeMs), ticket.arrivedMs + coldStartMs + placeMs);
  }

  #armDeadline(): void {
    const { first } = this.#waiting;
    const deadlineMs = first ? this.#deadlineOf(first) : Infinity;
    if (deadlineMs === this.#deadlineMs) return;
    this.#cancelDeadline?.();
    this.#deadlineMs = deadlineMs;
    const { clock } = this.#options;
    this.#cancelDeadline = first
      ? clock.after(Math.max(1, deadlineMs - clock.now()), () => this.#refuseLate())
      : undefined;
  }

  #refuseLate(): void {
    this.#deadlineMs = NaN; // its timer has fired: whatever comes next is another
    const now = this.#options.clock.now();
    let error: ReasonError | undefined;
    this.#refuseWhile((first) => {
      if (this.#deadlineOf(first) > now) return undefined;
      return (error ??= this.#lateError());
    });
  }

  #lateError(): ReasonError {
    const { coldStartMs, placeMs } = this.#options.limits();
    if (this.#isCold) return noPodCame(coldStartMs, this.#options.explainCold());
    return new ReasonError(
      'queue-timeout',
      `every pod was busy for ${placeMs / 1000} s: the function needs more replicas, a higher NumberParallelRequest or faster answers`,
      { retryAfterSeconds: 5 },
    );
  }

  #refuseWhile(why: (first: CallTicket) => ReasonError | undefined): void {
    for (let first = this.#waiting.first; first; first = this.#waiting.first) {
      const error = why(first);
      if (!error) break;
      this.#takeOut(first);
      first.caller.refused(error);
    }
    this.#settle();
  }

  #armProbe(): void {
    const isNeeded = this.#waiting.length > 0 && this.#options.pods.isWorthProbing;
    if (!isNeeded) {
      this.#cancelProbe?.();
      this.#cancelProbe = undefined;
      return;
    }
    this.#cancelProbe ??= this.#options.clock.after(this.#backoff.next(), () => {
      this.#cancelProbe = undefined;
      this.#options.pods.probe();
      this.changed();
    });
  }
}
