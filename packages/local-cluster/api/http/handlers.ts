/** What each verb does to the collection or object that a request's path names. */
import type { DeleteOptions } from '../objects/deletion.ts';
import { deleteObject } from '../objects/deletion.ts';
import { mediaType, readRequestBody } from './body.ts';
import type { RequestContext } from './context.ts';
import { jsonOf, listJson, send, tableJson, tableWanted } from './encode.ts';
import { presenter, storable } from '../verbs/event-versions.ts';
import { badRequest, methodNotAllowed, notFound } from '../objects/api-errors.ts';
import { isObject } from '../../../../common/runtime/is-object.ts';
import type { Kind } from '../objects/kinds.ts';
import { applyPatch, checkPatchType } from '../verbs/patches.ts';
import { pageOf } from '../objects/paging.ts';
import type { Registry } from '../objects/registry.ts';
import type { ApiTarget } from '../objects/request.ts';
import type { RequestTarget } from './request-target.ts';
import { loadDecoder } from '../objects/schema.ts';
import type { Decode } from '../objects/schema.ts';
import { objectMatcher } from '../objects/selectors.ts';
import type { ObjectMatcher } from '../objects/selectors.ts';
import type { KubeObject } from '../objects/types.ts';
import type { Watches } from '../objects/watch.ts';
import { named } from './request-target.ts';

export interface Parts {
  readonly registry: Registry;
  readonly watches: Watches;
}

type Handler = (parts: Parts, target: RequestTarget, context: RequestContext) => Promise<void> | void;

/** A missing name in a list's selector is read from the path: `GET …/pods/x?watch=true`. */
function matcherOf({ kind, name }: RequestTarget, { query }: RequestContext): ObjectMatcher | undefined {
  const fields = [query.get('fieldSelector'), name && `metadata.name=${name}`].filter(Boolean).join(',');
  return objectMatcher(kind.resource, query.get('labelSelector') ?? undefined, fields);
}

/** An object, or the one-row table that kubectl prints. */
function sendObject(context: RequestContext, kind: Kind, object: KubeObject, status = 200): void {
  const { request, response, query } = context;
  const table = tableWanted(request, query);
  if (table === undefined) return send(response, status, jsonOf(presenter(kind)(object)));
  const { resourceVersion } = object.metadata;
  send(response, status, tableJson(kind, [object], { resourceVersion }, table));
}

const get: Handler = ({ registry }, target, context) => {
  const { kind, namespace, name } = named(target);
  const object = registry.store.get(kind.resource, namespace, name);
  if (object === undefined) throw notFound(kind, name);
  sendObject(context, kind, object);
};

const list: Handler = ({ registry: { store } }, target, context) => {
  const { kind, namespace } = target;
  const { request, response, query } = context;
  const matcher = matcherOf(target, context);
  const all = store.list(kind.resource, namespace);
  const { objects, metadata } = pageOf(store, matcher === undefined ? all : all.filter(matcher), query);
  const table = tableWanted(request, query);
  if (table !== undefined) return send(response, 200, tableJson(kind, objects, metadata, table));
  send(response, 200, listJson(kind, objects.map(presenter(kind)), metadata));
};

const watch: Handler = ({ watches }, target, context) => {
  const { request, response, query } = context;
  const { kind, namespace } = target;
  const table = tableWanted(request, query);
  const matcher = matcherOf(target, context);
  watches.serve({ kind, namespace, matcher, query, table, present: presenter(kind) }, response);
};

/** What a client proposes, decoded; apiVersion and kind may be left out but not be another kind's. */
function decode(decoder: Decode, kind: Kind, value: unknown, { query, caller }: RequestContext): KubeObject {
  if (!isObject(value)) throw badRequest('the request must have an object as its body');
  if (value.kind !== undefined && value.kind !== kind.kind) {
    throw badRequest(`the object provided is a ${String(value.kind)}, but the URL is of kind ${kind.kind}`);
  }
  const fieldValidation = query.get('fieldValidation');
  const object = decoder(kind, value, { fieldValidation, warn: caller.warn });
  return storable(kind, { ...object, metadata: object.metadata ?? {} });
}

async function readObject(kind: Kind, context: RequestContext): Promise<KubeObject> {
  const decoder = await loadDecoder();
  return decode(decoder, kind, await readRequestBody(context.request), context);
}

/** The URL decides; a body that says otherwise was meant for somewhere else. */
function checkNamespace(object: KubeObject, namespace: string | undefined): void {
  if (!object.metadata.namespace || object.metadata.namespace === namespace) return;
  throw badRequest(
    `the namespace of the provided object does not match the namespace sent on the request (${object.metadata.namespace} and ${namespace})`,
  );
}

const create: Handler = async ({ registry }, { kind, namespace, name }, context) => {
  if (name !== undefined || (kind.isNamespaced && namespace === undefined)) throw methodNotAllowed();
  const object = await readObject(kind, context);
  checkNamespace(object, namespace);
  const metadata = namespace === undefined ? object.metadata : { ...object.metadata, namespace };
  const created = await registry.create(kind, { ...object, metadata }, context.caller);
  sendObject(context, kind, created, 201);
};

/** The object or its status: what PUT and PATCH are about. */
function writeTarget(target: RequestTarget): ApiTarget {
  const subresource = target.subresource === 'status' ? 'status' : undefined;
  return { ...named(target), subresource };
}

const update: Handler = async ({ registry }, target, context) => {
  const { kind, namespace } = target;
  const at = writeTarget(target);
  const object = await readObject(kind, context);
  checkNamespace(object, namespace);
  sendObject(context, kind, await registry.update(at, () => structuredClone(object), context.caller));
};

/** The patch is applied again when somebody wrote in between, unless it names a resourceVersion itself. */
const patch: Handler = async ({ registry }, target, context) => {
  const { kind } = target;
  const at = writeTarget(target);
  const type = mediaType(context.request);
  checkPatchType(type);
  const body = await readRequestBody(context.request);
  const decoder = await loadDecoder();
  const change = (current: KubeObject) =>
    decode(decoder, kind, applyPatch(type, presenter(kind)(current), body), context);
  sendObject(context, kind, await registry.update(at, change, context.caller));
};

/** Options come in the body, and the older clients' in the query. */
async function deleteOptions({ request, query, caller }: RequestContext): Promise<DeleteOptions> {
  const body = await readRequestBody(request);
  const grace = query.get('gracePeriodSeconds');
  const propagationPolicy = query.get('propagationPolicy');
  const options = isObject(body) ? (body as DeleteOptions & { dryRun?: string[] }) : undefined;
  return {
    ...(grace === null ? {} : { gracePeriodSeconds: Number(grace) }),
    ...(propagationPolicy === null ? {} : { propagationPolicy }),
    ...options,
    isDryRun: caller.isDryRun || (options?.dryRun?.includes('All') ?? false),
  };
}

/** Answers with the object while it is ending, with a Status once it is gone: kubectl waits on the first. */
const remove: Handler = async ({ registry: { store } }, target, context) => {
  const options = await deleteOptions(context);
  const { kind, namespace, name } = named(target);
  const object = deleteObject(store, { kind, namespace, name }, options);
  if (store.get(kind.resource, namespace, name) !== undefined) return sendObject(context, kind, object);
  const details = { name, group: kind.group, kind: kind.resource, uid: object.metadata.uid };
  const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', details };
  send(context.response, 200, JSON.stringify(status));
};

/** One by one and not at once, as in Kubernetes: a failure in the middle leaves the rest. */
const removeAll: Handler = async ({ registry: { store } }, target, context) => {
  const options = await deleteOptions(context);
  const { kind, namespace } = target;
  const matcher = matcherOf(target, context);
  const objects = store.list(kind.resource, namespace).filter((object) => matcher?.(object) ?? true);
  for (const { metadata } of objects) {
    deleteObject(store, { kind, namespace: metadata.namespace, name: metadata.name }, options);
  }
  send(context.response, 200, listJson(kind, objects, { resourceVersion: String(store.version) }));
};

/** By RBAC verb. */
export const HANDLERS: Readonly<Record<string, Handler>> = {
  get,
  list,
  watch,
  create,
  update,
  patch,
  delete: remove,
  deletecollection: removeAll,
};
