/**
 * Who is asking. Every identity is a bearer token, a JWT signed with a key that lives as long as the server:
 * no client certificates, no expiry, no TokenReview. Tokens of service accounts look like a real cluster's.
 */
import { createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

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

export function serviceAccountName(namespace: string, name: string): string {
  return `system:serviceaccount:${namespace}:${name}`;
}

export function userNamed(username: string): User {
  if (username === ADMIN.username) return ADMIN;
  const account = SERVICE_ACCOUNT.exec(username);
  const groups = account === null ? [] : ['system:serviceaccounts', `system:serviceaccounts:${account[1]}`];
  return { username, groups: [...groups, 'system:authenticated'] };
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}

/** Comparison in constant time is a habit here, not a need: everything is on loopback. */
export class Tokens {
  readonly #key = randomBytes(32);

  issue(username: string): string {
    const content = `${encode({ alg: 'HS256', typ: 'JWT' })}.${encode({ iss: 'slimfaas-local', sub: username })}`;
    return `${content}.${this.#sign(content)}`;
  }

  /** Undefined for a token that is not of this server. */
  verify(token: string): User | undefined {
    const end = token.lastIndexOf('.');
    const content = token.slice(0, Math.max(0, end));
    const given = Buffer.from(token.slice(end + 1));
    const expected = Buffer.from(this.#sign(content));
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) return undefined;
    const payload = Buffer.from(content.split('.')[1] ?? '', 'base64url').toString();
    return userNamed((JSON.parse(payload) as { sub: string }).sub);
  }

  #sign(content: string): string {
    return createHmac('sha256', this.#key).update(content).digest('base64url');
  }
}
