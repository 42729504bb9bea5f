/**
 * Bearer tokens (JWT). One that was verified is remembered by its hash, for ten minutes and until it expires, so that a
 * caller does not pay for its signature at each call. What is remembered has a bound in bytes; beyond it the token that was used longest ago goes.
 */
import { hash } from 'node:crypto';
import {
  createLocalJWKSet,
  decodeJwt,
  errors,
  jwtVerify,
  type CryptoKey,
  type JSONWebKeySet,
  type JWTPayload,
  type JWTVerifyOptions,
} from 'jose';
import { describeError, ReasonError, UsageError } from '../../common/runtime/errors.ts';
import { UrlAllow } from '../../common/outbound/allow.ts';
import { Jwks, type JwksDeps } from './jwks.ts';

type Keys = ReturnType<typeof createLocalJWKSet>;

const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
  'Ed25519',
];
const TOLERANCE_SECONDS = 5;
/** Then a token is verified again, so that one whose key its issuer has taken back does not stay good. */
const REMEMBERED_MS = 600_000;
/** Tokens of one issuer that are checked at once. An issuer that does not answer holds up its own callers alone. */
const MAX_VERIFICATIONS = 256;
/** A token that names no key is tried with so many. */
const MAX_KEYS_TRIED = 16;

interface Known {
  readonly payload: JWTPayload;
  readonly expiresAtMs: number;
  readonly bytes: number;
}

interface Issuer {
  readonly jwks: Jwks<Keys>;
  verifying: number;
}

export interface TokensDeps extends Omit<JwksDeps, 'allow'> {
  readonly maxBytes: number;
}

export class CallerTokens {
  readonly #issuers = new Map<string, Issuer>();
  readonly #known = new Map<string, Known>();
  readonly #deps: TokensDeps;
  /** Memory of the tokens that are remembered. */
  bytes = 0;

  /**
   * @param entries URLs of issuers. One without a discovery document has the URL of its keys behind it, after `=`
   * @param hosts where keys may be, too. The hosts of the issuers need not be named
   * @throws UsageError naming the entry
   */
  constructor(entries: readonly string[], hosts: readonly string[], deps: TokensDeps) {
    this.#deps = deps;
    const urls = entries.map((entry) => entry.split('=') as [string, string?]);
    const named = urls.flatMap((pair) => pair.filter((text) => text !== undefined).map(hostOfEntry));
    const allow = new UrlAllow([...named, ...hosts], 'jwt-issuers');
    for (const [issuer, url] of urls)
      this.#issuers.set(issuer, {
        jwks: new Jwks(issuer, url, (keys) => this.#use(keys as JSONWebKeySet), { ...deps, allow }),
        verifying: 0,
      });
  }

  /** @throws ReasonError unauthorized, auth-unavailable, too-busy */
  verify(token: string): JWTPayload | Promise<JWTPayload> {
    const key = hash('sha256', token, 'base64');
    const known = this.#known.get(key);
    if (known && known.expiresAtMs > this.#deps.now()) {
      this.#known.delete(key);
      this.#known.set(key, known);
      return known.payload;
    }
    if (known) this.#forget(key, known);
    return this.#verify(token, key);
  }

  async #verify(token: string, key: string): Promise<JWTPayload> {
    const issuer = this.#issuerOf(token);
    if (issuer.verifying >= MAX_VERIFICATIONS)
      throw new ReasonError('too-busy', 'too many tokens are being verified', { retryAfterSeconds: 1 });
    issuer.verifying++;
    try {
      const payload = await this.#check(token, issuer);
      this.#remember(key, token, payload);
      return payload;
    } catch (error) {
      if (error instanceof ReasonError) throw error;
      // A published key may be none that can be used, which the library says by errors of any kind.
      throw unauthorized(`the token is not valid: ${describeError(error)}`);
    } finally {
      issuer.verifying--;
    }
  }

  #issuerOf(token: string): Issuer {
    let iss: unknown;
    try {
      ({ iss } = decodeJwt(token));
    } catch (error) {
      throw unauthorized(`the token is not valid: ${describeError(error)}`);
    }
    const issuer = typeof iss === 'string' ? this.#issuers.get(iss) : undefined;
    if (issuer) return issuer;
    throw unauthorized('the token is of an issuer that this proxy does not know (--jwt-issuers)');
  }

  async #check(token: string, { jwks }: Issuer): Promise<JWTPayload> {
    const options = {
      issuer: jwks.issuer,
      algorithms: ALGORITHMS,
      clockTolerance: TOLERANCE_SECONDS,
      requiredClaims: ['exp'],
      currentDate: new Date(this.#deps.now()),
    };
    const keys = await jwks.keys();
    try {
      return await byAnyKey(token, keys, options);
    } catch (error) {
      if (!isOfNoKey(error) || !(await jwks.refresh(keys))) throw error;
      return byAnyKey(token, await jwks.keys(), options); // its keys were rotated
    }
  }

  /** Tokens of keys that an issuer has taken back are asked about again. */
  #use(keys: JSONWebKeySet): Keys {
    this.#known.clear();
    this.bytes = 0;
    return createLocalJWKSet(keys);
  }

  #remember(key: string, token: string, payload: JWTPayload): void {
    const bytes = 2 * token.length + 300;
    if (bytes > this.#deps.maxBytes / 16 || this.#known.has(key)) return;
    const expiresAtMs = Math.min(
      ((payload.exp ?? 0) + TOLERANCE_SECONDS) * 1_000,
      this.#deps.now() + REMEMBERED_MS,
    );
    this.#known.set(key, { payload, expiresAtMs, bytes });
    this.bytes += bytes;
    for (const [oldest, known] of this.#known) {
      if (this.bytes <= this.#deps.maxBytes) break;
      this.#forget(oldest, known);
    }
  }

  #forget(key: string, { bytes }: Known): void {
    if (this.#known.delete(key)) this.bytes -= bytes;
  }
}

/** A token that names no key may be of each that the issuer has. */
async function byAnyKey(token: string, keys: Keys, options: JWTVerifyOptions): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, keys, options)).payload;
  } catch (error) {
    if (!(error instanceof errors.JWKSMultipleMatchingKeys)) throw error;
    return await firstThatFits(token, error, options);
  }
}

async function firstThatFits(
  token: string,
  keys: AsyncIterable<CryptoKey>,
  options: JWTVerifyOptions,
): Promise<JWTPayload> {
  let tried = 0;
  for await (const key of keys) {
    if (++tried > MAX_KEYS_TRIED) break;
    try {
      return (await jwtVerify(token, key, options)).payload;
    } catch (error) {
      if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw error;
    }
  }
  throw new errors.JWSSignatureVerificationFailed();
}

/** Its issuer may have another key by now, be it one of the same name, or of none. */
function isOfNoKey(error: unknown): boolean {
  return error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWSSignatureVerificationFailed;
}

export function unauthorized(
  message: string,
  scheme = 'Bearer realm="slimfaas", error="invalid_token"',
): ReasonError {
  return new ReasonError('unauthorized', message, { headers: ['WWW-Authenticate', scheme] });
}

/** A port that is written opens the private network for that host and port alone. */
function hostOfEntry(text: string): string {
  const url = URL.parse(text);
  const port = /^https?:\/\/[^/]*(:\d+)(?:\/|$)/i.exec(text)?.[1] ?? ''; // URL leaves :443 out
  if (url && /^https?:$/.test(url.protocol)) return `${url.hostname}${port}`;
  throw new UsageError(
    `--jwt-issuers: ${JSON.stringify(text)} is not allowed; use https://issuer or https://issuer=https://keys`,
  );
}
