/** What a request's path is about: `/apis/<group>/<version>[/namespaces/<ns>]/<resource>[/<name>[/<sub>]]`. */
import { badRequest } from '../objects/api-errors.ts';
import { findKind } from '../objects/kinds.ts';
import type { Kind } from '../objects/kinds.ts';
import { methodNotAllowed } from '../objects/api-errors.ts';

export interface RequestTarget {
  readonly kind: Kind;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
  readonly subresource: string | undefined;
}

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    throw badRequest(`malformed path segment ${JSON.stringify(part)}`);
  }
}

/** Undefined when no kind lives there. */
export function parseTarget(path: string): RequestTarget | undefined {
  const parts = path
    .split('/')
    .filter((part) => part !== '')
    .map(decode);
  const isCore = parts[0] === 'api';
  if (!isCore && parts[0] !== 'apis') return undefined;
  const group = isCore ? '' : (parts[1] ?? '');
  const version = parts[isCore ? 1 : 2] ?? '';
  const rest = parts.slice(isCore ? 2 : 3);
  // `namespaces/x` and `namespaces/x/status` are about the namespace itself.
  const isInNamespace = rest[0] === 'namespaces' && rest.length > 2 && !isNamespaceSubresource(rest);
  const [resource = '', name, subresource, ...behind] = isInNamespace ? rest.slice(2) : rest;
  const kind = findKind(group, version, resource);
  // What stands behind `proxy` is the pod's own path.
  const more = subresource === 'proxy' ? [] : behind;
  if (kind === undefined || more.length > 0 || kind.isNamespaced !== isInNamespace) {
    // All namespaces at once can be listed and watched.
    if (kind === undefined || more.length > 0 || isInNamespace || name !== undefined) return undefined;
  }
  return { kind, name, subresource, namespace: isInNamespace ? rest[1] : undefined };
}

function isNamespaceSubresource(rest: readonly string[]): boolean {
  return rest.length === 3 && (rest[2] === 'status' || rest[2] === 'finalize');
}

export type Named = RequestTarget & { readonly name: string };

/** The URL must name an object. */
export function named(target: RequestTarget): Named {
  if (target.name === undefined) throw methodNotAllowed();
  return target as Named;
}
