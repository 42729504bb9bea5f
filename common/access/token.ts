/**
 * The token of a request. `SlimFaas-Authorization` is for what comes through the API server's proxy to a pod, which takes
 * `Authorization` for itself. What can be no token is refused without asking anybody.
 */
import { ReasonError } from '../runtime/errors.ts';

export const TOKEN_HEADER = 'slimfaas-authorization';

export type TokenHeaders = Readonly<Record<string, string | string[] | undefined>>;

/** Tokens of Kubernetes have about 1,200 characters. */
const MAX_TOKEN_CHARS = 8 * 1024;

/** @throws ReasonError `unauthenticated` */
export function tokenIn(headers: TokenHeaders): string {
  const value = headers[TOKEN_HEADER] ?? headers['authorization'];
  if (value === undefined) throw new ReasonError('unauthenticated', `this route needs a token; ${HOW}`);
  const token = typeof value === 'string' ? /^Bearer +([\w.~+/=-]+)$/i.exec(value)?.[1] : undefined;
  if (token !== undefined && token.length <= MAX_TOKEN_CHARS) return token;
  throw new ReasonError('unauthenticated', `the header is not "Bearer <token>"; ${HOW}`);
}

export function hasToken(headers: TokenHeaders): boolean {
  return (headers[TOKEN_HEADER] ?? headers['authorization']) !== undefined;
}

/** To pass a request on to another replica. */
export function tokenHeaders(headers: TokenHeaders): Record<string, string> {
  const value = headers[TOKEN_HEADER] ?? headers['authorization'];
  return typeof value === 'string' ? { [TOKEN_HEADER]: value } : {};
}

const HOW = 'send "Authorization: Bearer <token>", or use the slimfaas command, which asks for one';
