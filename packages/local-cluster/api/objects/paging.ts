/**
 * Lists in pages (`limit` and `continue`). The token holds the version of the first page and the last key seen. Later
 * pages show the present from there on, so a watch from the list's version misses nothing.
 */
import { badRequest, expired } from './api-errors.ts';
import type { ListMetadata } from '../http/encode.ts';
import { storeKey } from './store.ts';
import type { Store } from './store.ts';
import type { KubeObject } from './types.ts';

export interface Page {
  readonly objects: readonly KubeObject[];
  readonly metadata: ListMetadata;
}

interface Token {
  readonly version: number;
  readonly after: string;
}

/** A token of another server, or of before its history was forgotten, starts the list again. */
function readToken(store: Store, text: string): Token {
  let token: Token;
  try {
    token = JSON.parse(Buffer.from(text, 'base64url').toString()) as Token;
  } catch (error) {
    throw badRequest(`continue key is not valid: ${(error as Error).message}`);
  }
  if (token.version < store.oldestVersion) {
    throw expired('The provided continue parameter is too old to display a consistent list result.');
  }
  return token;
}

function key({ metadata }: KubeObject): string {
  return storeKey(metadata.namespace, metadata.name);
}

/** `objects` in the store's order. */
export function pageOf(store: Store, objects: readonly KubeObject[], query: URLSearchParams): Page {
  const limit = Number(query.get('limit') ?? 0) || Infinity;
  const text = query.get('continue');
  const token = text ? readToken(store, text) : { version: store.version, after: '' };
  const rest = objects.filter((object) => key(object) > token.after);
  const page = rest.slice(0, limit);
  const resourceVersion = String(token.version);
  const remainingItemCount = rest.length - page.length;
  if (remainingItemCount === 0) return { objects: page, metadata: { resourceVersion } };
  const next: Token = { version: token.version, after: key(page.at(-1)!) };
  const encoded = Buffer.from(JSON.stringify(next)).toString('base64url');
  return { objects: page, metadata: { resourceVersion, continue: encoded, remainingItemCount } };
}
