/**
 * Service account tokens, verified with the cluster's published keys. No request is made for a token whose key is known:
 * a pod can start again while the API server is away. The one file here that loads `jose`.
 */
import { createLocalJWKSet, errors, jwtVerify, type JSONWebKeySet, type JWTPayload } from 'jose';
import { PART_AUDIENCE, TOKEN_AUDIENCE } from '../../common/identity/messages.ts';

/** Whose pod it is, as Kubernetes says. */
export interface TokenIdentity {
  readonly namespace: string;
  readonly serviceAccount: string;
  readonly pod: string;
  readonly podUid: string;
  /** The token is of the audience that proxies and scalers show here alone. */
  readonly isPart: boolean;
}

/** What the cluster publishes: `/.well-known/openid-configuration` and `/openid/v1/jwks`. */
export interface PublishedKeys {
  readonly issuer: string;
  readonly jwks: JSONWebKeySet;
}

export interface TokenKeys {
  /** @throws Error when they were never read, and cannot be now */
  current(): Promise<PublishedKeys>;
  /** Reads them again; undefined where they were read a moment ago. */
  refresh(): Promise<PublishedKeys | undefined>;
}

export type TokenProblem =
  'bad-token' | 'expired' | 'wrong-issuer' | 'wrong-audience' | 'unknown-key' | 'no-pod';

export class TokenError extends Error {
  readonly code: TokenProblem;

  constructor(code: TokenProblem, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'TokenError';
    this.code = code;
  }
}

/** What API servers sign with. Never `none`, and never a symmetric one. */
const ALGORITHMS = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512'];
const CLOCK_SKEW_SECONDS = 30;

/** @throws TokenError; and what reading keys throws */
export async function verifyToken(token: string, keys: TokenKeys, nowMs: number): Promise<TokenIdentity> {
  const known = await keys.current();
  try {
    return identityOf(await verifyWith(token, known, nowMs));
  } catch (error) {
    if (!(error instanceof errors.JWKSNoMatchingKey)) throw asTokenError(error);
    // A key that has been rotated in since.
    const fresh = await keys.refresh();
    if (!fresh) throw asTokenError(error);
    try {
      return identityOf(await verifyWith(token, fresh, nowMs));
    } catch (again) {
      throw asTokenError(again);
    }
  }
}

async function verifyWith(
  token: string,
  { issuer, jwks }: PublishedKeys,
  nowMs: number,
): Promise<JWTPayload> {
  const { payload } = await jwtVerify(token, createLocalJWKSet(jwks), {
    issuer,
    audience: [TOKEN_AUDIENCE, PART_AUDIENCE],
    algorithms: ALGORITHMS,
    clockTolerance: CLOCK_SKEW_SECONDS,
    currentDate: new Date(nowMs),
    requiredClaims: ['exp', 'sub'],
  });
  return payload;
}

interface KubernetesClaim {
  readonly namespace?: unknown;
  readonly serviceaccount?: { readonly name?: unknown };
  readonly pod?: { readonly name?: unknown; readonly uid?: unknown };
}

/** Only tokens that are bound to a pod: they end with it. */
function identityOf(payload: JWTPayload): TokenIdentity {
  const claim = payload['kubernetes.io'] as KubernetesClaim | undefined;
  const [namespace, serviceAccount] = [claim?.namespace, claim?.serviceaccount?.name];
  const [pod, podUid] = [claim?.pod?.name, claim?.pod?.uid];
  if (
    typeof namespace !== 'string' ||
    typeof serviceAccount !== 'string' ||
    typeof pod !== 'string' ||
    typeof podUid !== 'string' ||
    payload.sub !== `system:serviceaccount:${namespace}:${serviceAccount}`
  )
    throw new TokenError('no-pod', 'the token is not bound to a pod');
  const isPart = [payload.aud].flat().includes(PART_AUDIENCE);
  return { namespace, serviceAccount, pod, podUid, isPart };
}

function asTokenError(cause: unknown): unknown {
  if (cause instanceof errors.JWKSNoMatchingKey)
    return new TokenError('unknown-key', 'no published key of the cluster has signed the token', { cause });
  if (cause instanceof errors.JWTExpired)
    return new TokenError('expired', 'the token has expired', { cause });
  if (cause instanceof errors.JWTClaimValidationFailed) return claimError(cause);
  if (cause instanceof errors.JOSEError)
    return new TokenError('bad-token', `not a token of a service account: ${cause.message}`, { cause });
  return cause;
}

function claimError(cause: errors.JWTClaimValidationFailed): TokenError {
  if (cause.claim === 'iss')
    return new TokenError('wrong-issuer', 'the token is of another cluster', { cause });
  if (cause.claim === 'aud')
    return new TokenError(
      'wrong-audience',
      `the token is not of audience ${TOKEN_AUDIENCE} or ${PART_AUDIENCE}`,
      { cause },
    );
  return new TokenError('bad-token', cause.message, { cause });
}
