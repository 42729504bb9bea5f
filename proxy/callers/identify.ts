/** From a caller's credentials to who it is, by what a function's `slimfaas.dev/auth` lets in. */
import type { JWTPayload } from 'jose';
import type { AuthSpec, JwtSpec } from '../../common/function/callers.ts';
import { headerValue, HeaderNames, withoutHeaders } from '../../common/relay/index.ts';
import type { RawHeaders } from '../../common/relay/types.ts';
import { ReasonError } from '../../common/runtime/errors.ts';
import { percentEncoded } from '../edge/percent-encoded.ts';
import type { ApiKeys } from './api-keys.ts';
import { unauthorized, type CallerTokens } from './tokens.ts';

export interface IdentifiedCaller {
  /** For rates; no two callers share one. */
  readonly id: string;
  /** Without the credentials that were shown here. */
  readonly headers: RawHeaders;
  readonly added: RawHeaders;
}

export interface CallerCredentials {
  readonly tokens: CallerTokens | undefined;
  readonly keys: ApiKeys | undefined;
  readonly now: () => number;
}

/** What shows who a caller is. */
export const CREDENTIAL_HEADERS = new HeaderNames(['x-api-key', 'authorization']);
const KEY_HEADER = new HeaderNames(['x-api-key']);
const TOKEN_HEADER = new HeaderNames(['authorization']);
const MAX_CLAIM_CHARS = 4_096;

/** @throws ReasonError unauthorized, forbidden, rate-limited, auth-unavailable; some come by the promise */
export function identify(
  spec: Exclude<AuthSpec, 'none'>,
  headers: RawHeaders,
  credentials: CallerCredentials,
): IdentifiedCaller | Promise<IdentifiedCaller> {
  if (spec === 'closed')
    throw unauthorized('slimfaas.dev/auth of this function cannot be read', 'Bearer realm="slimfaas"');
  const key = headerValue(headers, 'x-api-key');
  if (key !== undefined && spec.apiKeys.length > 0) return byKey(key, spec.apiKeys, headers, credentials);
  const token = /^bearer +(\S+)$/i.exec(headerValue(headers, 'authorization') ?? '')?.[1];
  const { jwt } = spec;
  if (!jwt || token === undefined) throw unauthorized(`show ${waysOf(spec)}`, challengeOf(spec));
  if (!credentials.tokens) throw unauthorized('this proxy knows no issuer of tokens (--jwt-issuers)');
  const payload = credentials.tokens.verify(token);
  if (payload instanceof Promise) return payload.then((verified) => byToken(verified, jwt, headers));
  return byToken(payload, jwt, headers);
}

function byKey(
  text: string,
  names: readonly string[],
  headers: RawHeaders,
  { keys, now }: CallerCredentials,
): IdentifiedCaller {
  const key = keys?.find(text);
  if (!key || !keys) throw unauthorized('the API key is not known', 'ApiKey realm="slimfaas"');
  if (!names.includes('*') && !names.includes(key.name))
    throw new ReasonError('forbidden', `the API key ${key.name} is not for this function`);
  const waitMs = keys.takeToken(key, now());
  if (waitMs > 0)
    throw new ReasonError('rate-limited', `the rate of the API key ${key.name} is used up`, {
      retryAfterSeconds: waitMs / 1_000,
    });
  return {
    id: `key ${key.name}`,
    headers: withoutHeaders(headers, KEY_HEADER),
    added: ['SlimFaas-Caller', key.name, 'SlimFaas-Caller-Kind', 'api-key'],
  };
}

function byToken(payload: JWTPayload, spec: JwtSpec, headers: RawHeaders): IdentifiedCaller {
  const { iss = '', aud = [] } = payload;
  const sub = subjectOf(payload);
  if (iss !== spec.issuer) throw unauthorized('the token is of another issuer than this function takes');
  if (spec.audience !== '' && ![aud].flat().includes(spec.audience))
    throw unauthorized('the token is for another audience than this function');
  for (const [claim, wanted] of Object.entries(spec.requiredClaims))
    if (!hasClaim(claimOf(payload, claim), wanted, claim))
      throw new ReasonError('forbidden', `the token's claim ${claim} must have ${JSON.stringify(wanted)}`);
  const claims = spec.forwardClaims.flatMap((claim) => claimHeader(claim, claimOf(payload, claim)));
  return {
    id: `jwt ${iss} ${sub}`,
    headers: withoutHeaders(headers, TOKEN_HEADER),
    added: ['SlimFaas-Caller', sub, 'SlimFaas-Caller-Kind', 'jwt', ...claims],
  };
}

/** As a header can hold it; '' where the token has none. It is remembered for rates, so it has a bound. */
function subjectOf({ sub = '' }: JWTPayload): string {
  if (typeof sub !== 'string') throw unauthorized("the token's claim sub is no text");
  return bounded('sub', percentEncoded(sub));
}

function claimOf(payload: JWTPayload, claim: string): unknown {
  return Object.hasOwn(payload, claim) ? payload[claim] : undefined;
}

function hasClaim(value: unknown, wanted: string, claim: string): boolean {
  if (Array.isArray(value)) return value.includes(wanted);
  if (claim === 'scope' && typeof value === 'string') return value.split(' ').includes(wanted);
  return ['string', 'number', 'boolean'].includes(typeof value) && String(value) === wanted;
}

function claimHeader(claim: string, value: unknown): string[] {
  if (value === undefined || value === null) return [];
  const text = percentEncoded(typeof value === 'string' ? value : JSON.stringify(value));
  return [`SlimFaas-Claim-${claim.replaceAll('_', '-')}`, bounded(claim, text)];
}

function bounded(claim: string, text: string): string {
  if (text.length <= MAX_CLAIM_CHARS) return text;
  throw new ReasonError('forbidden', `the token's claim ${claim} has over ${MAX_CLAIM_CHARS} characters`);
}

function waysOf({ jwt, apiKeys }: Exclude<AuthSpec, string>): string {
  const ways = [
    ...(jwt ? [`Authorization: Bearer with a token of ${jwt.issuer}`] : []),
    ...(apiKeys.length > 0 ? ['X-Api-Key'] : []),
  ];
  return ways.join(' or ');
}

function challengeOf({ jwt }: Exclude<AuthSpec, string>): string {
  return jwt ? 'Bearer realm="slimfaas"' : 'ApiKey realm="slimfaas"';
}
