/** `kubectl auth can-i`: asks RBAC on behalf of the caller. */
import { readBody } from '../http/body.ts';
import type { RequestContext } from '../http/context.ts';
import { send } from '../http/encode.ts';
import { badRequest } from '../objects/fault.ts';
import { isAllowed } from './rbac.ts';
import type { Store } from '../objects/store.ts';

const PATH = '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews';

interface ResourceAttributes {
  readonly verb?: string;
  readonly group?: string;
  readonly resource?: string;
  readonly subresource?: string;
  readonly namespace?: string;
  readonly name?: string;
}

function blankIsNone(text: string | undefined): string | undefined {
  return text || undefined;
}

/** False when the request is about something else. */
export async function reviewAccess(store: Store, path: string, context: RequestContext): Promise<boolean> {
  const { request, response, user } = context;
  if (path !== PATH || request.method !== 'POST') return false;
  const review = (await readBody(request)) as
    { spec?: { resourceAttributes?: ResourceAttributes } } | undefined;
  const attributes = review?.spec?.resourceAttributes;
  if (attributes === undefined) throw badRequest('spec.resourceAttributes is required');
  const { verb = '', group = '', resource = '', subresource, namespace, name } = attributes;
  const allowed = isAllowed(store, user, {
    verb,
    group,
    resource,
    subresource: blankIsNone(subresource),
    namespace: blankIsNone(namespace),
    name: blankIsNone(name),
  });
  send(response, 201, JSON.stringify({ ...review, status: { allowed } }));
  return true;
}
