/** Questions about identity and rights: `kubectl auth can-i`, and what a part asks about its own callers. */
import { readRequestBody } from '../http/body.ts';
import { authorize, type RequestContext } from '../http/context.ts';
import { ISSUER, type ServiceAccountTokens } from '../http/auth.ts';
import { send } from '../http/encode.ts';
import { badRequest } from '../objects/api-errors.ts';
import type { Kind } from '../objects/kinds.ts';
import { isAllowed } from './rbac.ts';
import type { Store } from '../objects/store.ts';

interface ResourceAttributes {
  readonly verb?: string;
  readonly group?: string;
  readonly resource?: string;
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name?: string;
}

interface Review {
  readonly spec?: {
    readonly resourceAttributes?: ResourceAttributes;
    readonly user?: string;
    readonly groups?: readonly string[];
    readonly token?: string;
    readonly audiences?: readonly string[];
  };
}

export interface ReviewParts {
  readonly store: Store;
  readonly tokens: ServiceAccountTokens;
}

/** From a review and who asks to its status. */
type Answer = (parts: ReviewParts, review: Review, context: RequestContext) => object;

const ANSWERS: Readonly<Record<string, Answer>> = {
  '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews': ({ store }, review, { user }) =>
    access(store, user, review),
  '/apis/authorization.k8s.io/v1/subjectaccessreviews': ({ store }, review, context) => {
    mayAsk(store, context, 'authorization.k8s.io', 'subjectaccessreviews');
    const { user: username = '', groups = [] } = review.spec ?? {};
    return access(store, { username, groups }, review);
  },
  '/apis/authentication.k8s.io/v1/tokenreviews': ({ store, tokens }, { spec }, context) => {
    mayAsk(store, context, 'authentication.k8s.io', 'tokenreviews');
    const found = tokens.verify(spec?.token ?? '', spec?.audiences ?? [ISSUER]);
    if (found === undefined) return { user: {}, error: 'invalid bearer token' };
    const { username, groups } = found;
    return { authenticated: true, user: { username, groups }, audiences: found.for };
  },
};

function mayAsk(store: Store, context: RequestContext, group: string, resource: string): void {
  const kind = { group, resource } as Kind;
  authorize(store, context, 'create', {
    kind,
    namespace: undefined,
    name: undefined,
    subresource: undefined,
  });
}

function access(store: Store, user: { username: string; groups: readonly string[] }, { spec }: Review) {
  const attributes = spec?.resourceAttributes;
  if (attributes === undefined) throw badRequest('spec.resourceAttributes is required');
  const { verb = '', group = '', resource = '', subresource, namespace, name } = attributes;
  const [sub, within, named] = [subresource, namespace, name].map((text) => text || undefined);
  return {
    allowed: isAllowed(store, user, {
      verb,
      group,
      resource,
      subresource: sub,
      namespace: within,
      name: named,
    }),
  };
}

/** False when the request is about something else. */
export async function reviewAccess(
  parts: ReviewParts,
  path: string,
  context: RequestContext,
): Promise<boolean> {
  const answer = ANSWERS[path];
  if (answer === undefined || context.request.method !== 'POST') return false;
  const review = ((await readRequestBody(context.request)) ?? {}) as Review;
  send(context.response, 201, JSON.stringify({ ...review, status: answer(parts, review, context) }));
  return true;
}
