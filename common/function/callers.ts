/** What a function asks of its callers, once its annotations have been read: checked and frozen. */

/** A token bucket: `burst` calls at once, then `ratePerSecond`. */
export interface RateSpec {
  readonly ratePerSecond: number;
  readonly burst: number;
}

/** `undefined`: the proxy's default holds; `none`: no limit. */
export interface RateLimitSpec {
  readonly perCaller: RateSpec | 'none' | undefined;
  readonly perFunction: RateSpec | 'none' | undefined;
}
