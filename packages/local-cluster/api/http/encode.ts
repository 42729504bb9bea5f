/**
 * Answers: JSON of objects and lists, or the tables that kubectl asks for. The JSON of a stored object is made
 * once and shared by all lists and watches, since stored objects never change.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import { apiVersionOf } from '../objects/kinds.ts';
import type { Kind } from '../objects/kinds.ts';
import { tableOf } from '../tables/tables.ts';
import type { TableOptions } from '../tables/tables.ts';
import type { KubeObject } from '../objects/types.ts';

const CACHE = new WeakMap<object, string>();

export function jsonOf(object: object): string {
  if (!Object.isFrozen(object)) return JSON.stringify(object);
  let text = CACHE.get(object);
  if (text === undefined) CACHE.set(object, (text = JSON.stringify(object)));
  return text;
}

/** The options of the table that the client wants, if it wants one. */
export function tableWanted(request: IncomingMessage, query: URLSearchParams): TableOptions | undefined {
  // Media types are in order of preference; kubectl puts the table first.
  const first = (request.headers.accept ?? '').split(',')[0]!;
  if (!/;as=Table(;|$)/.test(first.replaceAll(' ', ''))) return undefined;
  const includeObject = (query.get('includeObject') ?? 'Metadata') as TableOptions['includeObject'];
  return { nowMs: Date.now(), includeObject };
}

export interface ListMetadata {
  readonly resourceVersion: string;
  readonly continue?: string;
  readonly remainingItemCount?: number;
}

/** Put together from the objects' own texts, so a list of 10,000 pods costs a join. */
export function listJson(kind: Kind, objects: readonly KubeObject[], metadata: ListMetadata): string {
  const head = JSON.stringify({ kind: `${kind.kind}List`, apiVersion: apiVersionOf(kind), metadata });
  return `${head.slice(0, -1)},"items":[${objects.map(jsonOf).join(',')}]}`;
}

export function tableJson(
  kind: Kind,
  objects: readonly KubeObject[],
  metadata: object,
  options: TableOptions,
): string {
  return JSON.stringify(tableOf(kind, objects, metadata, options));
}

export function send(response: ServerResponse, status: number, json: string): void {
  const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(json) };
  response.writeHead(status, headers).end(json);
}
