/**
 * Who may reach the user's container, and when: the breaker, and the phases of a pod's life that open and close it.
 * - starting: the app has not passed its probe. The breaker's limit is 0, so direct callers wait in line.
 * - open: the limit is the pod's share.
 * - draining: nothing new from proxies, which have other pods. Direct callers are still served, because Kubernetes
 *   needs some moments to tell everyone that this pod is leaving.
 * - closed: the drain is over; the user's container is about to end, or has.
 *
 * Room `sidecar/limits`: How many run at once, and who is next.
 * Comes in: calls and jobs, the share of the scaler.
 * Goes out: places.
 */
import { Breaker, BreakerError, type Place } from './breaker.ts';
import { ReasonError } from '../../common/runtime/errors.ts';
import type { RefusalReason } from '../../common/function/names.ts';
import { Fairness, type RunningCount } from './fairness.ts';

export type AdmissionPhase = 'starting' | 'open' | 'draining' | 'closed';

export interface AdmissionOptions {
  readonly limit: number;
  readonly queueLimit: number;
  readonly queueTimeoutMs: number;
  /** How calls and jobs share the places; absent: as by default. */
  readonly fairness?: Fairness;
}

/** Part of the places for jobs, when calls and jobs both wait; see jobs/fairness.ts. */
const DEFAULT_JOB_SHARE = 0.5;

export class Admission {
  readonly breaker: Breaker;
  readonly fairness: Fairness;
  readonly #queueTimeoutMs: number;
  readonly #roomListeners = new Set<() => void>();
  #yieldTo: ((waiting: number) => boolean) | undefined;
  #jobs = 0;
  #limit: number;
  #phase: AdmissionPhase = 'starting';
  #isAppReady = false;

  constructor({
    limit,
    queueLimit,
    queueTimeoutMs,
    fairness = new Fairness(DEFAULT_JOB_SHARE),
  }: AdmissionOptions) {
    const onFree = (): void => this.#roomListeners.forEach((listener) => listener());
    const yieldTo = (waiting: number): boolean => this.#yieldTo?.(waiting) ?? false;
    this.breaker = new Breaker({ limit: 0, queueLimit, onFree, yieldTo });
    this.fairness = fairness;
    this.#queueTimeoutMs = queueTimeoutMs;
    this.#limit = limit;
  }

  get phase(): AdmissionPhase {
    return this.#phase;
  }

  /** The value of `slimfaas-load`. The call that is being answered counts as running. */
  get load(): string {
    return `${this.breaker.running}/${this.breaker.limit}`;
  }

  /** The app has passed its probe. */
  open(): void {
    if (this.#isAppReady) return;
    this.#isAppReady = true;
    if (this.#phase === 'starting') this.#phase = 'open';
    this.breaker.resize(this.#limit); // also while draining: there may be direct callers in line
  }

  /**
   * The app is about to go and to come back: nothing new until `open`; direct callers wait in line.
   * @returns whether calls could come until now
   */
  pause(): boolean {
    if (this.#phase !== 'open') return false;
    this.reset();
    return true;
  }

  /** While starting it is only noted: the limit stays 0 until the app can take calls. */
  setLimit(limit: number): void {
    this.#limit = limit;
    if (this.#isAppReady) this.breaker.resize(limit);
  }

  beginDrain(): void {
    if (this.#phase === 'starting' || this.#phase === 'open') this.#phase = 'draining';
  }

  close(): void {
    this.#phase = 'closed';
  }

  /** The drain is taken back: as at the start, nothing before `open`. */
  reset(): void {
    this.#phase = 'starting';
    this.#isAppReady = false;
    this.breaker.resize(0);
  }

  /** For a proxy, which queues better than we do: a place now, or why not. */
  tryEnter(): Place | RefusalReason {
    if (this.#phase === 'starting') return 'starting';
    if (this.#phase !== 'open') return 'draining';
    const place = this.fairness.mayCallEnter(this.#running) ? this.breaker.tryAcquire() : undefined;
    if (place) this.fairness.served('call');
    else this.fairness.callRefused();
    return place ?? 'full';
  }

  /** Jobs that hold a place. */
  get jobs(): number {
    return this.#jobs;
  }

  /** How many more jobs may begin now; one for the line where callers keep every place taken. */
  get jobRoom(): number {
    if (this.#phase !== 'open') return 0;
    if (this.breaker.waiting > 0) return this.#jobs === 0 ? 1 : 0;
    return this.fairness.jobRoom(this.#running);
  }

  /**
   * A place for a job that has been fetched: at once, or in line with the callers.
   * @throws BreakerError `wait-timeout` or `abandoned`
   */
  async enterJob(signal: AbortSignal, timeoutMs: number): Promise<Place> {
    // The line's bound is for callers; a job in it is one that we asked for.
    return this.#asJob(
      this.breaker.tryAcquire() ?? (await this.breaker.acquire({ signal, timeoutMs, isUnbounded: true })),
    );
  }

  /** A job's place if one is free: the common case, without a turn of the event loop. */
  tryEnterJob(): Place | undefined {
    const place = this.breaker.tryAcquire();
    return place && this.#asJob(place);
  }

  /** Called whenever places are free after a release or a change of the limit. Returns its own release. */
  onRoom(listener: () => void): () => void {
    this.#roomListeners.add(listener);
    return () => this.#roomListeners.delete(listener);
  }

  /** Who shares the places that come free with the direct callers in line; see {@link BreakerOptions.yieldTo}. */
  shareLine(yieldTo: (waiting: number) => boolean): void {
    this.#yieldTo = yieldTo;
  }

  get #running(): RunningCount {
    const { running, limit } = this.breaker;
    return { calls: running - this.#jobs, jobs: this.#jobs, limit };
  }

  #asJob(place: Place): Place {
    this.#jobs += 1;
    this.fairness.served('job');
    let isOut = true;
    return {
      arrival: place.arrival,
      release: () => {
        if (!isOut) return;
        isOut = false;
        this.#jobs -= 1;
        place.release();
      },
    };
  }

  /**
   * For a direct caller, and for anyone who comes back for a retry: a place, waiting in line if need be.
   * @param arrival of the place held before, when it is a retry
   * @throws ReasonError `queue-full`, `queue-timeout` or `shutting-down`; BreakerError `abandoned`
   */
  async enter(signal: AbortSignal, arrival?: number): Promise<Place> {
    if (this.#phase === 'closed') throw shuttingDown();
    try {
      return await this.breaker.acquire({ signal, arrival, timeoutMs: this.#queueTimeoutMs });
    } catch (error) {
      if (error instanceof BreakerError && error.code !== 'abandoned') throw this.#explain(error);
      throw error;
    }
  }

  #explain(error: BreakerError): ReasonError {
    const { running, limit, waiting } = this.breaker;
    const state = `${running} of ${limit} calls run and ${waiting} wait in this pod`;
    if (error.code === 'queue-full') {
      return new ReasonError('queue-full', `${state}; no more may wait. Try again later`, RETRY_LATER);
    }
    const waited = `waited ${this.#queueTimeoutMs / 1_000} s for a place; ${state}`;
    return new ReasonError('queue-timeout', `${waited}. Try again later`, RETRY_LATER);
  }
}

/** A second is about what a place takes to come free; a precise figure would need the function's durations. */
const RETRY_LATER = { retryAfterSeconds: 1 };

function shuttingDown(): ReasonError {
  return new ReasonError('shutting-down', 'this pod is ending; call again for another one', RETRY_LATER);
}
