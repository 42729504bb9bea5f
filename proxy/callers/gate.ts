/**
 * What a function asks of a caller, before anything is woken, stored or counted as activity.
 *
 * Room `proxy/callers`: Who calls, and whether they may.
 * Comes in: a request's head.
 * Goes out: the head as the function gets it, or a reason.
 */
import type { RateSpec } from '../../common/function/callers.ts';
import type { FunctionSpec } from '../../common/function/spec.ts';
import type { RawHeaders } from '../../common/relay/types.ts';
import { ReasonError } from '../../common/runtime/errors.ts';
import type { Ranges } from '../callbacks/address.ts';
import type { Clock } from '../clock.ts';
import { callerAddress, readRanges } from './caller-address.ts';
import { readRateFlag } from './caller-flags.ts';
import { CallerRates, type FunctionRates } from './caller-rates.ts';

/** A request, as far as it matters here. */
export interface Visit {
  readonly method: string;
  /** End-to-end headers as the caller wrote them. */
  readonly headers: RawHeaders;
  /** Of the peer. */
  readonly address: string;
}

/** A caller that was let in. */
export interface Pass {
  /** The caller's headers without what was meant for the gate. */
  readonly headers: RawHeaders;
  /** What the function is told of the caller. */
  readonly added: RawHeaders;
}

export interface GatesConfig {
  readonly 'rate-limit': string;
  readonly 'rate-limit-callers': number;
  readonly 'trusted-proxies': readonly string[];
}

/** The gates of all functions. */
export class Gates {
  readonly rates: CallerRates;
  readonly clock: Clock;
  readonly balancers: Ranges | undefined;
  readonly #perCaller: RateSpec | 'none' | undefined;
  readonly #perFunction: RateSpec | 'none' | undefined;

  /** @throws UsageError for a flag that cannot be used */
  constructor(config: GatesConfig, { clock }: { readonly clock: Clock }) {
    const limits = readRateFlag(config['rate-limit']);
    this.#perCaller = limits?.perCaller;
    this.#perFunction = limits?.perFunction;
    this.rates = new CallerRates(config['rate-limit-callers']);
    this.balancers = readRanges('trusted-proxies', config['trusted-proxies']);
    this.clock = clock;
  }

  /** @param refused counts a refusal of the function, by reason */
  ofFunction(refused: (reason: string) => void): FunctionGates {
    return new FunctionGates(this, refused);
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
    if (!limits.perCaller && !limits.perFunction) return undefined;
    return new CallerGate({ gates: this.#gates, rates: this.#rates, limits, refused: this.#refused });
  }

  close(): void {
    this.#rates.close();
  }
}

interface GateParts {
  readonly gates: Gates;
  readonly rates: FunctionRates;
  readonly limits: Limits;
  readonly refused: (reason: string) => void;
}

export class CallerGate {
  readonly #parts: GateParts;

  constructor(parts: GateParts) {
    this.#parts = parts;
  }

  /** Lets a caller in. @throws ReasonError why not; it is counted */
  enter(visit: Visit): Pass {
    try {
      this.#takeTokens(visit);
      return { headers: visit.headers, added: [] };
    } catch (error) {
      if (error instanceof ReasonError) this.#parts.refused(error.code);
      throw error;
    }
  }

  #takeTokens(visit: Visit): void {
    const { gates, rates, limits } = this.#parts;
    const now = gates.clock.now();
    if (limits.perCaller) {
      const caller = callerAddress(visit.address, visit.headers, gates.balancers);
      check(
        rates.takeOfCaller(caller, limits.perCaller, now),
        limits.perCaller,
        'you may call this function',
      );
    }
    // Last, so that a caller that is refused anyway takes nothing from the others.
    if (limits.perFunction)
      check(rates.takeOfAll(limits.perFunction, now), limits.perFunction, 'this function may be called');
  }
}

function check(waitMs: number, { ratePerSecond, burst }: RateSpec, who: string): void {
  if (waitMs === 0) return;
  const message = `${who} ${ratePerSecond} times a second, and ${burst} times at once (slimfaas.dev/rate-limit)`;
  throw new ReasonError('rate-limited', message, { retryAfterSeconds: waitMs / 1_000 });
}
