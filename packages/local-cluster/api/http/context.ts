/** One request as the handlers see it: who asks for what, and what will be said besides the answer. */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { describeDenial, isAllowed } from '../admission/rbac.ts';
import type { ApiUser } from '../objects/request.ts';
import type { RequestTarget } from './request-target.ts';
import { forbidden } from '../objects/api-errors.ts';
import type { Store } from '../objects/store.ts';
import type { User } from './auth.ts';

export interface RequestContext {
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  readonly query: URLSearchParams;
  readonly user: User;
  readonly caller: ApiUser;
}

/** Warnings are collected as headers until the answer begins; the same text is said once. */
export function createContext(
  request: IncomingMessage,
  response: ServerResponse,
  user: User,
): RequestContext {
  const query = new URL(request.url ?? '/', 'https://localhost').searchParams;
  const warnings = new Set<string>();
  const warn = (text: string) => {
    if (response.headersSent || warnings.has(text)) return;
    warnings.add(text);
    // 299: "miscellaneous persistent warning", RFC 7234; the text is a quoted string.
    const quoted = JSON.stringify(text.replaceAll(/[^\x20-\x7e]/g, ' '));
    response.setHeader('warning', [...warningsOf(response), `299 - ${quoted}`]);
  };
  return { request, response, query, user, caller: { user, isDryRun: query.get('dryRun') === 'All', warn } };
}

function warningsOf(response: ServerResponse): string[] {
  return (response.getHeader('warning') as string[] | undefined) ?? [];
}

/** The verbs that RBAC knows. */
export function verbOf({ request, query }: RequestContext, { name }: RequestTarget): string {
  const isNamed = name !== undefined;
  switch (request.method) {
    case 'POST':
      return 'create';
    case 'PUT':
      return 'update';
    case 'PATCH':
      return 'patch';
    case 'DELETE':
      return isNamed ? 'delete' : 'deletecollection';
    default:
      if (/^(true|1)$/.test(query.get('watch') ?? '')) return 'watch';
      return isNamed ? 'get' : 'list';
  }
}

/** Throws 403 where RBAC has no rule for it. */
export function authorize(store: Store, { user }: RequestContext, verb: string, target: RequestTarget): void {
  const { kind, namespace, name, subresource } = target;
  const { group, resource } = kind;
  // Being in a namespace's URL, a namespace itself is authorised within that namespace.
  const within = resource === 'namespaces' ? name : namespace;
  const access = { verb, group, resource, subresource, namespace: within, name };
  if (isAllowed(store, user, access)) return;
  throw forbidden(kind, name ?? '', describeDenial(user, access));
}
