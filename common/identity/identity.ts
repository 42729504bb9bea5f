/**
 * Who this process is on the bus: a key of its own, and a JWT for it that is renewed long before it ends. The key never
 * leaves the process. Everything works without an identity as before, where none is asked for.
 *
 * Room `common/identity`: Who a process is on the bus: keys, JWTs, the exchange for them.
 * Comes in: a token of a service account.
 * Goes out: a JWT and the signature of its key.
 */
import { createBackoff } from '../runtime/backoff.ts';
import { describeError } from '../runtime/errors.ts';
import { sleep, type Running } from '../runtime/lifecycle.ts';
import type { Log } from '../runtime/log.ts';
import type { ExchangeInput, IssuerPlace } from './exchange.ts';
import type { ExchangeAnswer, SharedCredentials } from './messages.ts';
import { createNkey, readSeed, type Nkey } from './nkey.ts';

/** What the NATS client sends when it connects. */
export type NatsCredentials =
  | {
      readonly jwt: string;
      readonly nkey: string;
      /** The signature of the server's nonce, base64url. */
      readonly sig: string;
    }
  | { readonly auth_token: string }
  | { readonly user: string; readonly pass: string };

export interface NatsIdentity extends Running {
  /** What the issuer said last; undefined before the first answer, and once it has expired. */
  readonly current: ExchangeAnswer | undefined;
  /** Resolves when there is a JWT that has not expired; at once where there is one. */
  valid(): Promise<void>;
  /**
   * @param nonce undefined: the server asks for no key
   * @returns undefined without anything that could be shown
   */
  sign(nonce: string | undefined): NatsCredentials | undefined;
  /** Asks the issuer soon, whatever it said before: the server did not believe its JWT. */
  renew(): void;
  /** Told of each answer but the first that changes what is shown to NATS. Returns its own release. */
  onRenewed(listener: (answer: ExchangeAnswer) => void): () => void;
}

export interface NatsIdentityOptions {
  readonly place: IssuerPlace;
  /** By which the issuer is known, PEM, beside what it has said itself; asked for at each exchange. */
  readonly ca: () => Promise<string>;
  readonly input: Omit<ExchangeInput, 'user'>;
  readonly log: Log;
  /** The first exchange waits for it. */
  readonly after?: Promise<unknown>;
  readonly now?: () => number;
}

/** A JWT is renewed when a third of its life is left, less a part by chance: pods that started together come apart. */
const RENEW_AT = 2 / 3;
const RENEW_SPREAD = 1 / 6;
/** A server that does not believe us makes us ask so often at most. */
const RENEW_PAUSE_MS = 5_000;

/** A timer takes no longer one. */
const LONGEST_WAIT_MS = 2 ** 31 - 1;

/** Starts exchanging, and returns. */
export function openIdentity(options: NatsIdentityOptions): NatsIdentity {
  return new OwnIdentity(options);
}

class OwnIdentity implements NatsIdentity {
  readonly #options: NatsIdentityOptions;
  readonly #now: () => number;
  #key: Nkey | undefined;
  readonly #listeners = new Set<(answer: ExchangeAnswer) => void>();
  readonly #stopping = new AbortController();
  #waking = new AbortController();
  #answer: ExchangeAnswer | undefined;
  #isValid = Promise.withResolvers<void>();
  #askedAtMs = -Infinity;

  constructor(options: NatsIdentityOptions) {
    this.#options = options;
    this.#now = options.now ?? Date.now;
    void this.#keep();
  }

  get current(): ExchangeAnswer | undefined {
    return this.#answer && this.#answer.expires > this.#now() ? this.#answer : undefined;
  }

  async valid(): Promise<void> {
    while (!this.current && !this.#stopping.signal.aborted) await this.#isValid.promise;
  }

  sign(nonce: string | undefined): NatsCredentials | undefined {
    const answer = this.current;
    if (answer?.shared) return sharedCredentials(answer.shared, nonce);
    if (!answer || !this.#key || nonce === undefined) return undefined;
    const sig = this.#key.sign(Buffer.from(nonce)).toString('base64url');
    return { jwt: answer.jwt, nkey: this.#key.publicKey, sig };
  }

  renew(): void {
    if (this.#now() - this.#askedAtMs > RENEW_PAUSE_MS) this.#waking.abort();
  }

  onRenewed(listener: (answer: ExchangeAnswer) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#isValid.resolve();
  }

  async #keep(): Promise<void> {
    const { after, log, place } = this.#options;
    await after;
    const backoff = createBackoff({ minMs: 100, maxMs: 10_000 });
    while (!this.#stopping.signal.aborted) {
      let waitMs: number;
      try {
        waitMs = this.#take(await this.#ask());
        backoff.reset();
      } catch (error) {
        waitMs = backoff.next();
        const facts = { issuer: place.url, error: describeError(error), retryInMs: Math.round(waitMs) };
        log.warn(facts, this.current ? 'no new identity yet' : 'no identity yet');
      }
      this.#waking = new AbortController();
      await sleep(waitMs, AbortSignal.any([this.#stopping.signal, this.#waking.signal]));
    }
  }

  async #ask(): Promise<ExchangeAnswer> {
    this.#askedAtMs = this.#now();
    const { place, ca, input } = this.#options;
    // Loaded here: who waits for this pod needs neither HTTPS nor a key.
    const { exchange } = await import('./exchange.ts');
    this.#key ??= createNkey('user');
    const trusted = `${this.#answer?.ca ?? ''}\n${await ca()}`;
    return exchange(place, trusted, { ...input, user: this.#key.publicKey });
  }

  /** @returns when to ask again, in milliseconds from now */
  #take(answer: ExchangeAnswer): number {
    const lifeMs = answer.expires - this.#now();
    if (lifeMs <= 0) throw new Error('the identity has ended already; is the clock of this node right?');
    const before = this.#answer;
    const isSame = before !== undefined && isSameLogin(before, answer);
    this.#answer = answer;
    const facts = { expires: new Date(answer.expires).toISOString() };
    if (isSame) this.#options.log.debug(facts, 'the same identity');
    else this.#options.log.info(facts, 'identity');
    this.#isValid.resolve();
    this.#isValid = Promise.withResolvers<void>();
    if (before && !isSame) for (const listener of this.#listeners) listener(answer);
    const part = RENEW_AT - Math.random() * RENEW_SPREAD;
    return Math.min(lifeMs * part, (answer.renewMs ?? Infinity) * part, LONGEST_WAIT_MS);
  }
}

function isSameLogin({ shared: before }: ExchangeAnswer, { shared: now }: ExchangeAnswer): boolean {
  return before !== undefined && JSON.stringify(before) === JSON.stringify(now);
}

function sharedCredentials(
  shared: SharedCredentials,
  nonce: string | undefined,
): NatsCredentials | undefined {
  if (shared.kind === 'token') return { auth_token: shared.token };
  if (shared.kind === 'password') return { user: shared.user, pass: shared.password };
  if (nonce === undefined) return undefined;
  const key = readSeed('user', shared.seed);
  const sig = key.sign(Buffer.from(nonce)).toString('base64url');
  return { jwt: shared.jwt, nkey: key.publicKey, sig };
}
