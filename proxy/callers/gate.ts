/**
 * What a function asks of a caller, before anything is woken, stored or counted as activity.
 *
 * Room `proxy/callers`: Who calls, and whether they may.
 * Comes in: a request's head.
 * Goes out: the head as the function gets it, or a reason.
 */
import type { AuthSpec, RateSpec } from '../../common/function/callers.ts';
import type { FunctionSpec } from '../../common/function/spec.ts';
import type { RawHeaders } from '../../common/relay/types.ts';
import { describeError, ReasonError } from '../../common/runtime/errors.ts';
import type { Ranges } from '../../common/outbound/address.ts';
import { systemNames, type Resolve } from '../../common/outbound/resolve.ts';
import type { Clock } from '../clock.ts';
import type { Log } from '../../common/runtime/log.ts';
import { ApiKeys } from './api-keys.ts';
import { callerAddress, readRanges } from './caller-address.ts';
import { readAuthFlag, readCorsFlags, readRateFlag, type CorsConfig } from './caller-flags.ts';
import { CorsPolicy } from './cors.ts';
import { identify, type IdentifiedCaller, type CallerCredentials } from './identify.ts';
import { CallerTokens } from './tokens.ts';
import { CallerRates, type FunctionRates } from './caller-rates.ts';

/** A request, as far as it matters here. */
export interface Visit {
  /** End-to-end headers as the caller wrote them. */
  readonly headers: RawHeaders;
  /** The peer's. */
  readonly address: string;
}

/** A caller that was let in. */
export interface Pass {
  /** The caller's headers without what was meant for the gate. */
  readonly headers: RawHeaders;
  /** What the function is told of the caller. */
  readonly added: RawHeaders;
}

export interface GatesConfig extends CorsConfig {
  readonly 'rate-limit': string;
  readonly 'rate-limit-callers': number;
  readonly 'trusted-proxies': readonly string[];
  readonly 'caller-auth': string;
  readonly 'jwt-issuers': readonly string[];
  readonly 'jwks-hosts': readonly string[];
  readonly 'token-bytes': number;
  readonly 'api-keys': string;
}

export interface GatesDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly resolve?: Resolve | undefined;
  /** Milliseconds since 1970, by which tokens expire. */
  readonly wallClock?: (() => number) | undefined;
}

/** The gates of all functions. */
export class Gates {
  readonly rates: CallerRates;
  readonly clock: Clock;
  readonly balancers: Ranges | undefined;
  readonly credentials: CallerCredentials;
  /** CORS of functions that say nothing of it, and of the proxy's own routes; undefined: none. */
  readonly cors: CorsPolicy | undefined;
  readonly #auth: AuthSpec | undefined;
  readonly #perCaller: RateSpec | 'none' | undefined;
  readonly #perFunction: RateSpec | 'none' | undefined;

  /** @throws UsageError for a flag that cannot be used */
  constructor(config: GatesConfig, deps: GatesDeps) {
    const { clock, log } = deps;
    this.#auth = readAuthFlag(config['caller-auth']);
    const keys = config['api-keys'] === '' ? undefined : new ApiKeys(config['api-keys'], log);
    this.credentials = { tokens: tokensOf(config, deps), keys, now: () => clock.now() };
    const limits = readRateFlag(config['rate-limit']);
    this.#perCaller = limits?.perCaller;
    this.#perFunction = limits?.perFunction;
    this.rates = new CallerRates(config['rate-limit-callers']);
    this.balancers = readRanges('trusted-proxies', config['trusted-proxies']);
    const cors = readCorsFlags(config);
    this.cors = cors && new CorsPolicy(cors, '--cors-allow-origin of the proxy');
    this.clock = clock;
  }

  /** @param refused counts a refusal of the function, by reason */
  ofFunction(refused: (reason: string) => void): FunctionGates {
    return new FunctionGates(this, refused);
  }

  /** Follows what is read from outside. @returns its release */
  async start(): Promise<() => void> {
    return (await this.credentials.keys?.follow(this.clock, KEYS_MS)) ?? (() => undefined);
  }

  corsOf({ cors }: Pick<FunctionSpec, 'cors'>): CorsPolicy | undefined {
    if (cors === undefined) return this.cors;
    return cors === 'none' ? undefined : new CorsPolicy(cors, 'slimfaas.dev/cors');
  }

  authOf({ auth }: Pick<FunctionSpec, 'auth'>): Exclude<AuthSpec, 'none'> | undefined {
    const asked = auth ?? this.#auth;
    return asked === 'none' ? undefined : asked;
  }

  ratesOf({ rateLimit }: Pick<FunctionSpec, 'rateLimit'>): Limits {
    const perCaller = rateLimit?.perCaller ?? this.#perCaller;
    const perFunction = rateLimit?.perFunction ?? this.#perFunction;
    return {
      perCaller: perCaller === 'none' ? undefined : perCaller,
      perFunction: perFunction === 'none' ? undefined : perFunction,
    };
  }
}

/** For API keys: how often their folder is read. */
const KEYS_MS = 30_000;

function tokensOf(config: GatesConfig, deps: GatesDeps): CallerTokens | undefined {
  if (config['jwt-issuers'].length === 0) return undefined;
  return new CallerTokens(config['jwt-issuers'], config['jwks-hosts'], {
    resolve: deps.resolve ?? systemNames.resolve,
    now: deps.wallClock ?? Date.now,
    maxBytes: config['token-bytes'],
    onError: (issuer, error) =>
      deps.log.error({ issuer, error: describeError(error) }, 'the keys of an issuer cannot be read'),
  });
}

interface Limits {
  readonly perCaller: RateSpec | undefined;
  readonly perFunction: RateSpec | undefined;
}

/** The gate of one function as its annotations change; its buckets stay. */
export class FunctionGates {
  readonly #gates: Gates;
  readonly #refused: (reason: string) => void;
  readonly #rates: FunctionRates;

  constructor(gates: Gates, refused: (reason: string) => void) {
    this.#gates = gates;
    this.#refused = refused;
    this.#rates = gates.rates.ofFunction();
  }

  /** @returns undefined where it asks nothing, so that its calls pay nothing */
  gateOf(spec: FunctionSpec): CallerGate | undefined {
    const limits = this.#gates.ratesOf(spec);
    const auth = this.#gates.authOf(spec);
    if (!auth && !limits.perCaller && !limits.perFunction) return undefined;
    return new CallerGate({ gates: this.#gates, rates: this.#rates, limits, auth, refused: this.#refused });
  }

  close(): void {
    this.#rates.close();
  }
}

interface GateParts {
  readonly gates: Gates;
  readonly rates: FunctionRates;
  readonly limits: Limits;
  readonly auth: Exclude<AuthSpec, 'none'> | undefined;
  readonly refused: (reason: string) => void;
}

export class CallerGate {
  readonly #parts: GateParts;

  constructor(parts: GateParts) {
    this.#parts = parts;
  }

  /** Whether a caller must say who it is. */
  get asksWho(): boolean {
    return this.#parts.auth !== undefined;
  }

  /** Lets a caller in. @throws ReasonError why not, at once or by the promise; it is counted */
  enter(visit: Visit): Pass | Promise<Pass> {
    try {
      const { auth, gates } = this.#parts;
      if (!auth) return this.#admit(undefined, visit);
      const caller = identify(auth, visit.headers, gates.credentials);
      if (!(caller instanceof Promise)) return this.#admit(caller, visit);
      return caller.then((known) => this.#admit(known, visit)).catch((error: unknown) => this.#refuse(error));
    } catch (error) {
      return this.#refuse(error);
    }
  }

  #refuse(error: unknown): never {
    if (error instanceof ReasonError) this.#parts.refused(error.code);
    throw error;
  }

  #admit(caller: IdentifiedCaller | undefined, visit: Visit): Pass {
    const { gates, rates, limits } = this.#parts;
    const now = gates.clock.now();
    if (limits.perCaller) {
      const id = caller?.id ?? callerAddress(visit.address, visit.headers, gates.balancers);
      check(rates.takeOfCaller(id, limits.perCaller, now), limits.perCaller, 'you may call this function');
    }
    // Last, so that a caller that is refused anyway takes nothing from the others.
    if (limits.perFunction)
      check(rates.takeOfAll(limits.perFunction, now), limits.perFunction, 'this function may be called');
    return caller ?? { headers: visit.headers, added: [] };
  }
}

function check(waitMs: number, { ratePerSecond, burst }: RateSpec, who: string): void {
  if (waitMs === 0) return;
  const message = `${who} ${ratePerSecond} times a second, and ${burst} times at once (slimfaas.dev/rate-limit)`;
  throw new ReasonError('rate-limited', message, { retryAfterSeconds: waitMs / 1_000 });
}
