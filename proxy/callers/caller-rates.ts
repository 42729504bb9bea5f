/**
 * Rate limits as token buckets, one number for each. A bucket is kept as the time at which it will be full again (the
 * "generic cell rate algorithm"): each call moves that time on by the time that one token takes. A bucket that is full
 * is the same as none, so only callers of the last moments are kept.
 *
 * The callers of all functions together have a bound. Beyond it the caller that was silent longest is forgotten, which
 * gives it a full bucket. A function that has more than its fair part of the places loses its own first.
 */
import type { RateSpec } from '../../common/function/callers.ts';

/** What a bucket says to a call: 0 lets it in, else milliseconds until a token is there. */
export function takeToken(
  fullAtMs: number,
  rate: RateSpec,
  now: number,
): { waitMs: number; fullAtMs: number } {
  const tokenMs = 1_000 / rate.ratePerSecond;
  const emptyMs = now + rate.burst * tokenMs;
  // No bucket is emptier than empty: what was taken at a slower rate, before the limit was changed, is no debt.
  const from = Math.min(Math.max(fullAtMs, now), emptyMs);
  const waitMs = from + tokenMs - emptyMs;
  // The sum of many steps is off by some nanoseconds, which must not refuse the last call of a burst.
  if (waitMs > 1e-3) return { waitMs, fullAtMs: from };
  return { waitMs: 0, fullAtMs: from + tokenMs };
}

/** The places of all functions. */
export class CallerRates {
  readonly #max: number;
  readonly #functions = new Set<FunctionRates>();
  /** Callers that are kept, of all functions. */
  size = 0;

  constructor(max: number) {
    this.#max = max;
  }

  ofFunction(): FunctionRates {
    const rates = new FunctionRates(this);
    this.#functions.add(rates);
    return rates;
  }

  remove(rates: FunctionRates): void {
    if (this.#functions.delete(rates)) this.size -= rates.size;
  }

  /** Makes room for one more caller of this function. */
  makeRoom(asking: FunctionRates): void {
    while (this.size > 0 && this.size >= this.#max) {
      const isLarge = asking.size * this.#functions.size >= this.#max;
      const largest = isLarge ? asking : this.#largest(asking);
      largest.forgetOldest();
    }
  }

  #largest(first: FunctionRates): FunctionRates {
    let largest = first;
    for (const each of this.#functions) if (each.size > largest.size) largest = each;
    return largest;
  }
}

/** The buckets of one function: one for all its callers, and one for each. */
export class FunctionRates {
  readonly #all: CallerRates;
  /** The caller that was silent longest comes first. */
  readonly #callers = new Map<string, number>();
  #fullAtMs = 0;
  #isClosed = false;

  constructor(all: CallerRates) {
    this.#all = all;
  }

  get size(): number {
    return this.#callers.size;
  }

  /** @returns 0, or milliseconds until the caller has a token */
  takeOfCaller(caller: string, rate: RateSpec, now: number): number {
    // Its function is gone. A call whose token was being verified meanwhile still comes here.
    if (this.#isClosed) return 0;
    const known = this.#callers.get(caller);
    const { waitMs, fullAtMs } = takeToken(known ?? 0, rate, now);
    if (known === undefined) this.#admit(now);
    else this.#callers.delete(caller);
    this.#callers.set(caller, fullAtMs);
    return waitMs;
  }

  /** Takes from the rate of all callers together. */
  takeOfAll(rate: RateSpec, now: number): number {
    const { waitMs, fullAtMs } = takeToken(this.#fullAtMs, rate, now);
    this.#fullAtMs = fullAtMs;
    return waitMs;
  }

  forgetOldest(): void {
    const [oldest] = this.#callers.keys();
    if (oldest !== undefined && this.#callers.delete(oldest)) this.#all.size--;
  }

  close(): void {
    this.#isClosed = true;
    this.#all.remove(this);
  }

  #admit(now: number): void {
    // Two for one: what has become full again goes, without a timer.
    for (let i = 0; i < 2; i++) {
      const [oldest] = this.#callers;
      if (oldest === undefined || oldest[1] > now) break;
      this.forgetOldest();
    }
    this.#all.makeRoom(this);
    this.#all.size++;
  }
}
