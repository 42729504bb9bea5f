/**
 * Who gets which JWT: from what Kubernetes says of a pod, and what the pod says of itself with the webhook's proof.
 *
 * Room `webhook/issuer`: Who a pod is on the bus: keys, tokens, JWTs.
 * Comes in: a token of a service account.
 * Goes out: a user JWT of NATS with this pod's permissions.
 */
import type { ExchangeAnswer, TokenExchangeRequest } from '../../common/identity/messages.ts';
import { userJwt, type NatsPermissions } from '../../common/identity/nats-jwt.ts';
import { isPublicKey } from '../../common/identity/nkey.ts';
import { isGrant, type IdentityKeys } from './identity-keys.ts';
import type { TokenIdentity } from './verify-token.ts';

export interface ExchangeFacts {
  readonly keys: IdentityKeys;
  /** CA certificates, PEM. */
  readonly ca: string;
  /** Where slimfaas itself is, with the service accounts of its parts. */
  readonly namespace: string;
  readonly lifeMs: number;
  readonly nowMs: number;
}

/**
 * Everything, until sidecars say nothing any more that common/bus/permissions.ts does not let them say.
 * @see docs/decisions/bus-accounts.md
 */
const EVERYTHING: NatsPermissions = { publish: {}, subscribe: {} };

/** The pod may not have what it asks for. */
export class GrantError extends Error {
  readonly code = 'no-grant';
}

/** For a request that is no request at all. */
export class RequestError extends Error {
  readonly code = 'bad-request';
}

/** @throws RequestError */
export function readRequest(text: string): TokenExchangeRequest {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new RequestError('the body is not JSON', { cause });
  }
  if (typeof value !== 'object' || value === null) throw new RequestError('the body is not a JSON object');
  const { token, user, function: name, grant } = value as Record<string, unknown>;
  if (typeof token !== 'string' || token === '') throw new RequestError('token is missing');
  if (typeof user !== 'string' || !isPublicKey('user', user))
    throw new RequestError('user is not the public key of a user of NATS');
  if (name === undefined && grant === undefined) return { token, user };
  if (typeof name !== 'string' || typeof grant !== 'string')
    throw new RequestError('function and grant are both text, or both absent');
  return { token, user, function: name, grant };
}

/** @throws GrantError */
export function answerExchange(
  request: TokenExchangeRequest,
  pod: TokenIdentity,
  { keys, ca, namespace, lifeMs, nowMs }: ExchangeFacts,
): ExchangeAnswer {
  const role = roleOf(request, pod, { keys, namespace });
  const expires = nowMs + lifeMs;
  const jwt = userJwt(keys.signer, {
    account: keys.account.publicKey,
    user: request.user,
    name: `${role.name} ${pod.namespace}/${pod.pod}`,
    permissions: role.permissions,
    nowMs,
    expiresMs: expires,
  });
  return { jwt, expires, ca };
}

interface Role {
  readonly name: string;
  readonly permissions: NatsPermissions;
}

function roleOf(
  request: TokenExchangeRequest,
  { namespace, serviceAccount, isPart }: TokenIdentity,
  own: Pick<ExchangeFacts, 'keys' | 'namespace'>,
): Role {
  const { grantKey } = own.keys;
  const { function: name, grant } = request;
  if (name !== undefined && grant !== undefined) {
    if (!isGrant(grantKey, { namespace, serviceAccount, function: name }, grant))
      throw new GrantError(`the proof is not one for function ${name} of ${namespace}`);
    return { name: 'sidecar', permissions: EVERYTHING };
  }
  const part =
    isPart && namespace === own.namespace ? /^slimfaas-(proxy|scaler)$/.exec(serviceAccount) : null;
  if (part) return { name: part[1] as string, permissions: EVERYTHING };
  throw new GrantError(
    `a pod of service account ${namespace}/${serviceAccount} has no place here without a proof`,
  );
}
