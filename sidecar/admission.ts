/**
 * Who may reach the user's container, and when: the breaker, and the phases of a pod's life around it.
 * - starting: the app has not passed its probe. The breaker's limit is 0, so direct callers wait in line.
 * - open: the limit is the pod's share.
 * - draining: nothing new from proxies, who have other pods; direct callers are still served, because
 *   Kubernetes needs some moments to tell everyone that this pod is leaving.
 * - closed: the drain is over; the user's container is about to end, or has.
 */
import { Breaker, BreakerError, type Place } from '../common/breaker.ts';
import { ReasonError } from '../common/errors.ts';
import type { RefusalReason } from '../common/names.ts';

export type Phase = 'starting' | 'open' | 'draining' | 'closed';

export interface AdmissionOptions {
  readonly limit: number;
  readonly queueLimit: number;
  readonly queueTimeoutMs: number;
}

export class Admission {
  readonly breaker: Breaker;
  readonly #queueTimeoutMs: number;
  #limit: number;
  #phase: Phase = 'starting';
  #isAppReady = false;

  constructor({ limit, queueLimit, queueTimeoutMs }: AdmissionOptions) {
    this.breaker = new Breaker({ limit: 0, queueLimit });
    this.#queueTimeoutMs = queueTimeoutMs;
    this.#limit = limit;
  }

  get phase(): Phase {
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

  /** For a proxy, which queues better than we do: a place now, or why not. */
  tryEnter(): Place | RefusalReason {
    if (this.#phase === 'starting') return 'starting';
    if (this.#phase !== 'open') return 'draining';
    return this.breaker.tryAcquire() ?? 'full';
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

export function shuttingDown(): ReasonError {
  return new ReasonError('shutting-down', 'this pod is ending; call again for another one', RETRY_LATER);
}
