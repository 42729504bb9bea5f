/**
 * The gate before operator routes: whose token is it, and may they do this to functions there. Both answers come from
 * Kubernetes and are kept for ten seconds, so a right that is taken away ends within that. Given up: finer than a
 * namespace and a function's name, as RBAC is.
 *
 * Room `common/access`: Operator routes: who asks, and may they.
 * Comes in: the headers of a request, a question.
 * Goes out: nothing, or the reason of a refusal.
 */
import { ReasonError, describeError } from '../runtime/errors.ts';
import { ReviewCache } from './review-cache.ts';
import { tokenIn, type TokenHeaders } from './token.ts';

/** The virtual resource of access reviews: no such objects exist, only rights to them. */
export const ACCESS_GROUP = 'slimfaas.dev';
export const ACCESS_RESOURCE = 'functions';
/** For whom a token must have been made. One for the API server itself is refused: it could be used there. */
export const ACCESS_AUDIENCE = 'slimfaas';

/** What somebody wants to do. */
export interface AccessQuestion {
  readonly verb: 'get' | 'list' | 'create' | 'delete';
  readonly subresource?: 'wake' | 'deadletters' | 'queries' | 'metrics';
  /** Undefined: in all namespaces that are served. */
  readonly namespace?: string;
  readonly name?: string;
}

export interface AccessUser {
  readonly username: string;
  readonly uid?: string | undefined;
  readonly groups: readonly string[];
  readonly extra?: Readonly<Record<string, readonly string[]>> | undefined;
}

/** Who knows the answers; both may throw when they cannot be had. */
export interface Reviewer {
  /** Undefined: the token is none for us. */
  userOf(token: string): Promise<AccessUser | undefined>;
  may(user: AccessUser, question: AccessQuestion): Promise<boolean>;
}

/** The part of a request that a gate looks at. */
export interface Asking {
  readonly headers: TokenHeaders;
  readonly socket: { readonly remoteAddress?: string | undefined };
}

export interface Gate {
  /** False: everybody may do everything. */
  readonly isClosed: boolean;
  /** @throws ReasonError `unauthenticated`, `forbidden`, `too-busy`, or `identity-unavailable` */
  check(asking: Asking, question: AccessQuestion): Promise<void>;
}

export const OPEN_GATE: Gate = { isClosed: false, check: async () => undefined };

export interface GateOptions {
  readonly reviewer: Reviewer;
  /** Those that are served; empty: all. */
  readonly namespaces: readonly string[];
  /** Milliseconds. */
  readonly now: () => number;
}

export function createGate({ reviewer, namespaces, now }: GateOptions): Gate {
  const users = new ReviewCache<AccessUser | undefined>(now);
  const answers = new ReviewCache<boolean>(now);
  const mayOne = (user: AccessUser, question: AccessQuestion, from: string): Promise<boolean> => {
    const { verb, subresource, namespace, name } = question;
    const key = JSON.stringify([user, verb, subresource, namespace, name]);
    return answers.get(key, from, () => reviewer.may(user, question));
  };
  const may = async (user: AccessUser, question: AccessQuestion, from: string): Promise<boolean> => {
    if (question.namespace !== undefined || namespaces.length === 0) return mayOne(user, question, from);
    for (const namespace of namespaces)
      if (!(await mayOne(user, { ...question, namespace }, from))) return false;
    return true;
  };
  return {
    isClosed: true,
    async check({ headers, socket }, question) {
      const token = tokenIn(headers);
      const from = socket.remoteAddress ?? '';
      try {
        const user = await users.get(token, from, () => reviewer.userOf(token));
        if (!user) throw new ReasonError('unauthenticated', `the token is not good here; ${TOKEN_ADVICE}`);
        if (!(await may(user, question, from))) throw forbidden(user, question);
      } catch (cause) {
        if (cause instanceof ReasonError) throw cause;
        const message = `Kubernetes does not say whose token it is: ${describeError(cause)}`;
        throw new ReasonError('identity-unavailable', message, { cause, retryAfterSeconds: 5 });
      }
    },
  };
}

const TOKEN_ADVICE = `it must be valid, and made for the audience ${JSON.stringify(ACCESS_AUDIENCE)}`;

function forbidden(
  { username }: AccessUser,
  { verb, subresource, namespace, name }: AccessQuestion,
): ReasonError {
  const what = subresource === undefined ? ACCESS_RESOURCE : `${ACCESS_RESOURCE}/${subresource}`;
  const which = name === undefined ? '' : ` ${JSON.stringify(name)}`;
  const where =
    namespace === undefined ? 'in all namespaces' : `in the namespace ${JSON.stringify(namespace)}`;
  return new ReasonError(
    'forbidden',
    `${JSON.stringify(username)} may not ${verb} ${what}.${ACCESS_GROUP}${which} ${where}`,
  );
}
