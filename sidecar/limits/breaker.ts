/**
 * The concurrency limiter (a breaker in Knative's sense): at most `limit` places are out at once, the rest
 * wait, first come first served. It knows nothing of HTTP, so that calls, upgrades and jobs can share one.
 *
 * Invariants, each restated where it could be broken:
 *  1. a place is handed out only while running < limit;
 *  2. while anyone waits no place is free (running ≥ limit), so a newcomer cannot pass the line, except one whom
 *     `yieldTo` lets in;
 *  3. a place comes back exactly once, however often its release is called;
 *  4. `running` may exceed `limit` only after the limit was lowered, and then only falls.
 *
 * It gives up fairness between callers: the line knows order of arrival and nothing else.
 */
import { TimeAverage, type TimeAverageReading } from '../../common/runtime/time-average.ts';
import { WaitingLine } from './waiting-line.ts';

/** Why no place was given: the line was full, the waiting clock ran out, the caller left. */
export type BreakerRefusal = 'queue-full' | 'wait-timeout' | 'abandoned';

export class BreakerError extends Error {
  readonly code: BreakerRefusal;

  constructor(code: BreakerRefusal) {
    super(`no place: ${code}`);
    this.name = 'BreakerError';
    this.code = code;
  }
}

/** One of the `limit` places. */
export interface Place {
  /** Order of arrival: pass it to `acquire` to come back before everyone who arrived later. */
  readonly arrival: number;
  /** Gives the place back; doing so twice is harmless. */
  release(): void;
}

export interface AcquireOptions {
  /** How long to wait; absent or Infinity: until served or aborted. */
  readonly timeoutMs?: number | undefined;
  /** Aborted when the caller leaves. */
  readonly signal?: AbortSignal | undefined;
  /** From an earlier Place. Its holder was let in once, so the bound of the line does not apply to it. */
  readonly arrival?: number | undefined;
  /** The bound of the line does not hold for this one: it was asked for. */
  readonly isUnbounded?: boolean | undefined;
}

export interface BreakerOptions {
  readonly limit: number;
  /** How many may wait. */
  readonly queueLimit: number;
  /** Monotonic milliseconds. */
  readonly now?: () => number;
  /** After a release or a resize that left a place free: for work that is fetched rather than queued here. */
  readonly onFree?: () => void;
  /**
   * Asked before each waiter is served: true, when somebody outside of the line was due and has just taken the place
   * with `tryAcquire`. For a breaker whose line is one of several.
   */
  readonly yieldTo?: (waiting: number) => boolean;
}

export class Breaker {
  readonly #line = new WaitingLine();
  readonly #queueLimit: number;
  readonly #running: TimeAverage;
  readonly #onFree: (() => void) | undefined;
  readonly #yieldTo: BreakerOptions['yieldTo'];
  #limit: number;
  #arrivals = 0;

  constructor({ limit, queueLimit, now = () => performance.now(), onFree, yieldTo }: BreakerOptions) {
    this.#yieldTo = yieldTo;
    this.#onFree = onFree;
    this.#limit = wholeNumber('limit', limit);
    this.#queueLimit = wholeNumber('queueLimit', queueLimit);
    this.#running = new TimeAverage(now);
  }

  get running(): number {
    return this.#running.value;
  }

  get waiting(): number {
    return this.#line.length;
  }

  get limit(): number {
    return this.#limit;
  }

  /** Places free now. While anyone waits there is none (invariant 2). */
  get free(): number {
    return Math.max(0, this.#limit - this.running);
  }

  /** Running over time since the last reading. */
  readWindow(): TimeAverageReading {
    return this.#running.read();
  }

  /** A place if one is free. */
  tryAcquire(): Place | undefined {
    // Invariant 2 makes this fair: a free place means an empty line.
    return this.free > 0 ? this.#handOut(this.#arrivals++) : undefined;
  }

  /**
   * A place, after waiting in line if need be.
   * @throws BreakerError saying why there was none
   */
  acquire(options: AcquireOptions = {}): Promise<Place> {
    const { signal, arrival, isUnbounded } = options;
    if (signal?.aborted) return Promise.reject(new BreakerError('abandoned'));
    if (this.free > 0) return Promise.resolve(this.#handOut(arrival ?? this.#arrivals++));
    if (arrival === undefined && !isUnbounded && this.#line.length >= this.#queueLimit) {
      return Promise.reject(new BreakerError('queue-full'));
    }
    return this.#wait(arrival ?? this.#arrivals++, options);
  }

  /** Lowering ends no one and admits no one until enough have left; raising admits exactly the difference. */
  resize(limit: number): void {
    this.#limit = wholeNumber('limit', limit);
    this.#serveLine();
  }

  #wait(arrival: number, { timeoutMs, signal }: AcquireOptions): Promise<Place> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        clearTimeout(timer);
        signal?.removeEventListener('abort', abandon);
      };
      const leave = this.#line.join({
        arrival,
        serve: () => {
          settle();
          resolve(this.#handOut(arrival));
        },
      });
      const refuse = (code: BreakerRefusal): void => {
        settle();
        leave();
        reject(new BreakerError(code));
      };
      const abandon = (): void => refuse('abandoned');
      const timer = startTimer(timeoutMs, () => refuse('wait-timeout'));
      signal?.addEventListener('abort', abandon, { once: true });
    });
  }

  #handOut(arrival: number): Place {
    // Invariant 1. Every caller has checked it; a defect there must not overload the function unseen.
    if (this.running >= this.#limit)
      throw new Error(`breaker: ${this.running} of ${this.#limit} places are out`);
    this.#running.set(this.running + 1);
    let isOut = true;
    return {
      arrival,
      release: () => {
        if (!isOut) return; // invariant 3
        isOut = false;
        this.#running.set(this.running - 1);
        this.#serveLine();
      },
    };
  }

  /** Restores invariant 2 after a place came free or the limit rose. */
  #serveLine(): void {
    while (this.free > 0) {
      if (this.#line.length > 0 && this.#yieldTo?.(this.#line.length)) continue;
      const waiter = this.#line.shift();
      if (!waiter) return this.#onFree?.();
      waiter.serve();
    }
  }
}

/** A longer delay would overflow Node's timer and fire at once; 24 days is forever here. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

function startTimer(timeoutMs: number | undefined, onTimeout: () => void): NodeJS.Timeout | undefined {
  if (timeoutMs === undefined || timeoutMs > LONGEST_TIMER_MS) return undefined;
  return setTimeout(onTimeout, timeoutMs);
}

function wholeNumber(name: string, value: number): number {
  if (!Number.isSafeInteger(value) || value < 0) {
    throw new RangeError(`breaker: ${name} must be a whole number ≥ 0, got ${value}`);
  }
  return value;
}
