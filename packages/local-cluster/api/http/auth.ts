/**
 * Who is asking. Every identity is a bearer token, a JWT signed with a key that lives as long as the server: no client
 * certificates. Tokens of service accounts have the claims of a real cluster's, the pod's included, and the key is
 * published as in one (`/openid/v1/jwks`). Given up: tokens end after a year, whatever was asked for.
 */
import { createHash, createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';

export interface User {
  readonly username: string;
  readonly groups: readonly string[];
}

/** The one group that RBAC lets do everything. */
export const MASTERS = 'system:masters';
export const ADMIN: User = { username: 'admin', groups: [MASTERS, 'system:authenticated'] };
/** What controllers, scheduler and kubelet are to webhooks. */
export const CONTROL_PLANE: User = {
  username: 'system:kube-controller-manager',
  groups: [MASTERS, 'system:authenticated'],
};

const SERVICE_ACCOUNT = /^system:serviceaccount:([^:]+):([^:]+)$/;
export const ISSUER = 'https://kubernetes.default.svc';
const LIFE_SECONDS = 365 * 24 * 3_600;

export function serviceAccountName(namespace: string, name: string): string {
  return `system:serviceaccount:${namespace}:${name}`;
}

export function userNamed(username: string): User {
  if (username === ADMIN.username) return ADMIN;
  const account = SERVICE_ACCOUNT.exec(username);
  const groups = account === null ? [] : ['system:serviceaccounts', `system:serviceaccounts:${account[1]}`];
  return { username, groups: [...groups, 'system:authenticated'] };
}

export interface IssueOptions {
  /** Whom the token is for; default: this API server. */
  readonly audiences?: readonly string[] | undefined;
  /** Whose token it is, for one of a service account. */
  readonly pod?: { readonly name: string; readonly uid: string };
}

interface Payload {
  readonly sub: string;
  readonly aud: readonly string[];
  readonly exp: number;
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

export class ServiceAccountTokens {
  readonly #key = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  readonly #jwk = createPublicKey(this.#key.privateKey).export({ format: 'jwk' });
  readonly #kid = createHash('sha256').update(JSON.stringify(this.#jwk)).digest('base64url');
  /** A signature costs 0.1 ms, and each client shows the same token at each request. */
  readonly #good = new Map<string, Payload>();

  issue(username: string, { audiences = [ISSUER], pod }: IssueOptions = {}): string {
    const now = Math.floor(Date.now() / 1_000);
    const account = SERVICE_ACCOUNT.exec(username);
    const own = account && {
      namespace: account[1],
      serviceaccount: { name: account[2], uid: username },
      ...(pod && { pod }),
    };
    const claims = {
      iss: ISSUER,
      sub: username,
      aud: audiences,
      iat: now,
      nbf: now,
      exp: now + LIFE_SECONDS,
    };
    const payload = { ...claims, ...(own && { 'kubernetes.io': own }) };
    const content = `${encode({ alg: 'ES256', typ: 'JWT', kid: this.#kid })}.${encode(payload)}`;
    const key = { key: this.#key.privateKey, dsaEncoding: 'ieee-p1363' } as const;
    return `${content}.${sign('sha256', Buffer.from(content), key).toString('base64url')}`;
  }

  /**
   * Undefined for a token that is not of this server, and for one that is for none of the audiences.
   * @returns the user, and those of the audiences that the token is for
   */
  verify(token: string, audiences: readonly string[] = [ISSUER]): (User & { for: string[] }) | undefined {
    const payload = this.#good.get(token) ?? this.#check(token);
    if (payload === undefined || payload.exp * 1_000 < Date.now()) return undefined;
    const meant = payload.aud.filter((audience) => audiences.includes(audience));
    return meant.length === 0 ? undefined : { ...userNamed(payload.sub), for: meant };
  }

  /** As `GET /openid/v1/jwks` answers. */
  get jwks(): object {
    return { keys: [{ ...this.#jwk, use: 'sig', alg: 'ES256', kid: this.#kid }] };
  }

  #check(token: string): Payload | undefined {
    const end = token.lastIndexOf('.');
    const content = token.slice(0, Math.max(0, end));
    const key = { key: this.#key.publicKey, dsaEncoding: 'ieee-p1363' } as const;
    if (!verify('sha256', Buffer.from(content), key, Buffer.from(token.slice(end + 1), 'base64url')))
      return undefined;
    const payload = JSON.parse(Buffer.from(content.split('.')[1] ?? '', 'base64url').toString()) as Payload;
    this.#good.set(token, payload);
    return payload;
  }
}
