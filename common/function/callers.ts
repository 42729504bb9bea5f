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

export interface JwtSpec {
  readonly issuer: string;
  /** Empty: any. */
  readonly audience: string;
  /** Claim → the text that it must have, be a list with, or (`scope`) have as one of its words. */
  readonly requiredClaims: Readonly<Record<string, string>>;
  /** Claims that the function gets as headers. */
  readonly forwardClaims: readonly string[];
}

/** `closed`: what is written cannot be used, so nobody is let in. */
export type AuthSpec =
  | 'none'
  | 'closed'
  | {
      readonly jwt: JwtSpec | undefined;
      /** Names of keys that are let in; `*`: each. */
      readonly apiKeys: readonly string[];
    };

/** Which sites' scripts may call from a browser, and how. */
export interface CorsSpec {
  /** `*` alone: any. Else origins as browsers write them, the host of some as `*.` and a name. None: nobody. */
  readonly origins: readonly string[];
  /** Empty: any. */
  readonly methods: readonly string[];
  /** Headers that a script may send; empty: any. */
  readonly headers: readonly string[];
  /** Headers that a script may read, beside those that slimfaas writes. */
  readonly exposed: readonly string[];
  /** Cookies and the like may be sent; never beside the origin `*`. */
  readonly hasCredentials: boolean;
  /** How long a browser may remember a preflight; undefined: its own default. */
  readonly maxAgeSeconds: number | undefined;
}
