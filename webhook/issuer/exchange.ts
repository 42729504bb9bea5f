/**
 * Who gets which JWT: from what Kubernetes says of a pod, and what the pod says of itself with the webhook's proof.
 *
 * Room `webhook/issuer`: Who a pod is on the bus: keys, tokens, JWTs.
 * Comes in: a token of a service account.
 * Goes out: a user JWT of NATS with this pod's permissions.
 */
import type { BusRole } from '../../common/bus/permissions.ts';
import type { ExchangeAnswer, TokenExchangeRequest } from '../../common/identity/messages.ts';
import { userJwt } from '../../common/identity/nats-jwt.ts';
import { isPublicKey } from '../../common/identity/nkey.ts';
import { isGrant, type IdentityKeys } from './identity-keys.ts';
import type { ExternalNats } from './external-nats.ts';
import { isOld, ownAccounts, rightsOf, type Client } from './rights.ts';
import type { TokenIdentity } from './verify-token.ts';

export interface Exchanged {
  readonly answer: ExchangeAnswer;
  /** For whoever counts. */
  readonly outcome: string;
}

export interface ExchangeFacts {
  readonly keys: IdentityKeys;
  /** CA certificates, PEM. */
  readonly ca: string;
  /** undefined: NATS is the bundled one. */
  readonly external: ExternalNats | undefined;
  /** Where slimfaas itself is, with the service accounts of its parts. */
  readonly namespace: string;
  readonly lifeMs: number;
  readonly nowMs: number;
  /** Sidecars of the version before get what they had there. */
  readonly allowsOldSidecars: boolean;
}

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
  const { token, user, function: name, grant, contract } = value as Record<string, unknown>;
  if (typeof token !== 'string' || token === '') throw new RequestError('token is missing');
  if (typeof user !== 'string' || !isPublicKey('user', user))
    throw new RequestError('user is not the public key of a user of NATS');
  if (contract !== undefined && typeof contract !== 'number') throw new RequestError('contract is no number');
  if (name === undefined && grant === undefined) return { token, user, contract };
  if (typeof name !== 'string' || typeof grant !== 'string')
    throw new RequestError('function and grant are both text, or both absent');
  return { token, user, function: name, grant, contract };
}

/** A JWT with every right lives this long at most. So these rights end soon after `oldSidecars` is switched off. */
const OLD_LIFE_MS = 3_600_000;

/** Credentials that change are with all who share them after so long. */
const SHARED_RENEW_MS = 300_000;
/** They end when somebody changes them. */
const SHARED_LIFE_MS = 365 * 86_400_000;

/** @throws GrantError; OldContractError */
export function answerExchange(
  request: TokenExchangeRequest,
  pod: TokenIdentity,
  facts: ExchangeFacts,
): Exchanged {
  const { keys, ca, namespace, external, nowMs } = facts;
  const client = clientOf(request, pod, { keys, namespace });
  if (external?.kind !== 'credentials') return signed(request, { client, pod }, facts);
  const answer = {
    jwt: '',
    shared: external.of[client.role],
    renewMs: SHARED_RENEW_MS,
    expires: nowMs + SHARED_LIFE_MS,
    ca,
    natsCa: external.ca,
  };
  return { answer, outcome: 'ok-shared' };
}

function signed(
  { user }: TokenExchangeRequest,
  { client, pod }: { readonly client: Client; readonly pod: TokenIdentity },
  { keys, ca, external, lifeMs, nowMs, allowsOldSidecars }: ExchangeFacts,
): Exchanged {
  const accounts = external?.kind === 'signing-key' ? external : ownAccounts(keys);
  const { signer, account, permissions } = rightsOf(client, accounts, allowsOldSidecars);
  const expires = nowMs + (isOld(client) ? Math.min(lifeMs, OLD_LIFE_MS) : lifeMs);
  const jwt = userJwt(signer, {
    account,
    user,
    name: `${client.role} ${pod.namespace}/${pod.pod}`,
    permissions,
    nowMs,
    expiresMs: expires,
  });
  const answer = { jwt, expires, ca, ...(external ? { natsCa: external.ca } : {}) };
  return { answer, outcome: isOld(client) ? 'ok-old-sidecar' : 'ok' };
}

function clientOf(
  request: TokenExchangeRequest,
  { namespace, serviceAccount, pod, isPart }: TokenIdentity,
  own: Pick<ExchangeFacts, 'keys' | 'namespace'>,
): Client {
  const { grantKey } = own.keys;
  const { function: name, grant } = request;
  if (name !== undefined && grant !== undefined) {
    if (!isGrant(grantKey, { namespace, serviceAccount, function: name }, grant))
      throw new GrantError(`the proof is not one for function ${name} of ${namespace}`);
    return { role: 'sidecar', namespace, function: name, pod, contract: request.contract };
  }
  const part =
    isPart && namespace === own.namespace ? /^slimfaas-(proxy|scaler)$/.exec(serviceAccount) : null;
  if (part) return { role: part[1] as BusRole, pod };
  throw new GrantError(
    `a pod of service account ${namespace}/${serviceAccount} has no place here without a proof`,
  );
}
