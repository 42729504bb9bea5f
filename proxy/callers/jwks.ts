/**
 * The published keys of one issuer. They are fetched at the first token, and again every ten minutes or when no key fits
 * a token, at most once in 5 s. While the issuer is away the keys read last are good for a day.
 *
 * An issuer is named by the operator. Its host follows the rules of callback URLs: public addresses, or private ones
 * where a port is written. What its discovery document names must be on an allowed host too, and no redirect is followed.
 */
import { request as httpRequest, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { KeptKeys } from '../../common/identity/kept-keys.ts';
import { ReasonError } from '../../common/runtime/errors.ts';
import type { UrlAllow } from '../../common/outbound/allow.ts';
import { checkedAddress, only } from '../../common/outbound/checked-address.ts';
import type { Resolve } from '../../common/outbound/resolve.ts';

/** The cool-down is short: a stranger with a made-up token can start it just before the issuer signs with another key. */
const TIMES = { freshMs: 600_000, usableMs: 86_400_000, coolDownMs: 5_000, firstCoolDownMs: 1_000 };
const JWKS_FETCH_MS = 5_000;
const MAX_JWKS_BYTES = 262_144;

export interface JwksDeps {
  readonly allow: UrlAllow;
  readonly resolve: Resolve;
  readonly now: () => number;
  readonly onError: (issuer: string, error: unknown) => void;
}

interface Document<Keys> {
  readonly text: string;
  readonly keys: Keys;
}

export class Jwks<Keys> {
  readonly issuer: string;
  readonly #url: string | undefined;
  readonly #make: (document: object) => Keys;
  readonly #deps: JwksDeps;
  readonly #kept: KeptKeys<Document<Keys>>;
  #last: Document<Keys> | undefined;

  /** @param url undefined: as the issuer's discovery document says */
  constructor(issuer: string, url: string | undefined, make: (document: object) => Keys, deps: JwksDeps) {
    this.issuer = issuer;
    this.#url = url;
    this.#make = make;
    this.#deps = deps;
    const onError = (error: unknown): void => deps.onError(issuer, error);
    this.#kept = new KeptKeys({ ...TIMES, read: () => this.#read(), onError, now: deps.now });
  }

  /** @throws ReasonError `auth-unavailable` while there are none that may be used */
  async keys(): Promise<Keys> {
    try {
      return (await this.#kept.current()).keys;
    } catch (cause) {
      throw new ReasonError('auth-unavailable', `the keys of ${this.issuer} cannot be read now`, {
        retryAfterSeconds: TIMES.firstCoolDownMs / 1_000,
        cause,
      });
    }
  }

  /**
   * Reads them again, at most once in a while.
   * @param used no key of these fits a token
   * @returns whether the keys are others now. Another check may have read them in the meantime.
   * @throws ReasonError `auth-unavailable` while there are none that may be used
   */
  async refresh(used: Keys): Promise<boolean> {
    if ((await this.keys()) === used) await this.#kept.refresh().catch(() => undefined);
    return (await this.keys()) !== used;
  }

  /** The same document gives the same keys. */
  async #read(): Promise<Document<Keys>> {
    const text = await this.#fetch(this.#url ?? (await this.#discover()));
    if (text !== this.#last?.text) this.#last = { text, keys: this.#make(JSON.parse(text) as object) };
    return this.#last;
  }

  async #discover(): Promise<string> {
    const text = await this.#fetch(`${this.issuer.replace(/\/$/, '')}/.well-known/openid-configuration`);
    const { issuer, jwks_uri: uri } = JSON.parse(text) as { issuer?: unknown; jwks_uri?: unknown };
    if (issuer !== this.issuer || typeof uri !== 'string')
      throw new Error(`its discovery document names ${JSON.stringify(issuer)} and ${JSON.stringify(uri)}`);
    return uri;
  }

  async #fetch(text: string): Promise<string> {
    const url = this.#deps.allow.url(text);
    if (typeof url === 'string') throw new Error(`${text}: ${url}`);
    const signal = AbortSignal.timeout(JWKS_FETCH_MS);
    const place = await checkedAddress(url, this.#deps, signal);
    if ('why' in place) throw new Error(place.why);
    return get(url, {
      agent: false,
      signal,
      lookup: only(place.address),
      headers: { Accept: 'application/json' },
    });
  }
}

function get(url: URL, options: RequestOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const req = send(url, options, (res) => {
      let text = '';
      res.setEncoding('utf8').on('data', (chunk: string) => {
        text += chunk;
        if (text.length > MAX_JWKS_BYTES)
          res.destroy(new Error(`${url.href} has over ${MAX_JWKS_BYTES} bytes`));
      });
      res.once('error', reject);
      res.once('end', () => {
        if (res.statusCode === 200) resolve(text);
        else reject(new Error(`${url.href} answered ${res.statusCode}`));
      });
    });
    req.once('error', reject);
    req.end();
  });
}
