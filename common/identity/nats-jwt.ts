/**
 * The three kinds of JWT that NATS servers in operator mode believe: the operator's for an account, the account's for a
 * user. They are ordinary JWTs except for the algorithm's name and an id that is a hash of the content. Pure.
 */
import { createHash } from 'node:crypto';
import { base32, type Nkey } from './nkey.ts';

export interface SubjectRules {
  readonly allow?: readonly string[];
  readonly deny?: readonly string[];
}

/** What a client may do; an absent list of `allow` is everything. */
export interface NatsPermissions {
  readonly publish: SubjectRules;
  readonly subscribe: SubjectRules;
  /** It may answer what it hears, so many messages each, within so many milliseconds. */
  readonly responses?: { readonly max: number; readonly ttlMs: number };
}

/** What an account offers to others, or takes from one. */
export interface AccountRule {
  readonly kind: 'service' | 'stream';
  readonly subject: string;
  /** For a service that is offered: how many answers a question has. Default: `Singleton`. */
  readonly responseType?: 'Singleton' | 'Stream';
  /** The subject in the account that takes it, where it is another one. */
  readonly localSubject?: string;
}

interface Content {
  readonly issuer: Nkey;
  readonly subject: string;
  readonly name: string;
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  /** Absent: it never ends. */
  readonly expiresMs?: number;
  readonly nats: object;
}

const NO_LIMITS = { subs: -1, data: -1, payload: -1 };
const ACCOUNT_LIMITS = {
  ...NO_LIMITS,
  imports: -1,
  exports: -1,
  wildcards: true,
  conn: -1,
  leaf: -1,
};
const JETSTREAM_LIMITS = { mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };

export interface OperatorFacts {
  readonly name: string;
  readonly systemAccount: string;
  readonly nowMs: number;
}

/** Signed by the operator itself. */
export function operatorJwt(operator: Nkey, { name, systemAccount, nowMs }: OperatorFacts): string {
  const nats = { system_account: systemAccount, type: 'operator', version: 2 };
  return encodeJwt({ issuer: operator, subject: operator.publicKey, name, nowMs, nats });
}

export interface AccountFacts {
  readonly account: string;
  readonly name: string;
  /** Public keys that may sign users, beside the account's own. */
  readonly signingKeys: readonly string[];
  readonly hasJetStream: boolean;
  readonly exports?: readonly AccountRule[];
  readonly imports?: { readonly from: string; readonly rules: readonly AccountRule[] };
  readonly nowMs: number;
}

export function accountJwt(operator: Nkey, facts: AccountFacts): string {
  const { account, name, signingKeys, hasJetStream, exports = [], imports, nowMs } = facts;
  const nats = {
    limits: { ...ACCOUNT_LIMITS, ...(hasJetStream ? JETSTREAM_LIMITS : {}) },
    default_permissions: { pub: {}, sub: {} },
    ...(signingKeys.length === 0 ? {} : { signing_keys: signingKeys }),
    ...(exports.length === 0 ? {} : { exports: exports.map(exportOf) }),
    ...(imports ? { imports: imports.rules.map((rule) => importOf(rule, imports.from)) } : {}),
    type: 'account',
    version: 2,
  };
  return encodeJwt({ issuer: operator, subject: account, name, nowMs, nats });
}

function exportOf({ kind, subject, responseType }: AccountRule): object {
  return { name: subject, subject, type: kind, ...(responseType ? { response_type: responseType } : {}) };
}

function importOf({ kind, subject, localSubject }: AccountRule, from: string): object {
  const local = localSubject === undefined ? {} : { local_subject: localSubject };
  return { name: subject, subject, ...local, account: from, type: kind };
}

export interface UserFacts {
  /** The account's public key, whoever signs. */
  readonly account: string;
  /** The user's public key. */
  readonly user: string;
  readonly name: string;
  readonly permissions: NatsPermissions;
  readonly nowMs: number;
  readonly expiresMs: number;
}

/** In a millisecond. */
const NANOSECONDS = 1_000_000;

/** @param signer the account's key, or one of its signing keys */
export function userJwt(signer: Nkey, facts: UserFacts): string {
  const { account, user, name, permissions, nowMs, expiresMs } = facts;
  const { publish, subscribe, responses } = permissions;
  const nats = {
    pub: publish,
    sub: subscribe,
    ...(responses ? { resp: { max: responses.max, ttl: responses.ttlMs * NANOSECONDS } } : {}),
    ...NO_LIMITS,
    issuer_account: account,
    type: 'user',
    version: 2,
  };
  return encodeJwt({ issuer: signer, subject: user, name, nowMs, expiresMs, nats });
}

function encodeJwt({ issuer, subject, name, nowMs, expiresMs, nats }: Content): string {
  const claims = {
    iat: Math.floor(nowMs / 1_000),
    iss: issuer.publicKey,
    name,
    sub: subject,
    ...(expiresMs === undefined ? {} : { exp: Math.floor(expiresMs / 1_000) }),
    nats,
  };
  const jti = base32(createHash('sha512-256').update(JSON.stringify(claims)).digest());
  const content = `${encode({ typ: 'JWT', alg: 'ed25519-nkey' })}.${encode({ jti, ...claims })}`;
  return `${content}.${issuer.sign(Buffer.from(content)).toString('base64url')}`;
}

function encode(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
