/** Scale, eviction, logs, tokens, bindings and a pod's own HTTP: what hangs below an object and is not its status. */
import type { IssueOptions } from '../http/auth.ts';
import { readRequestBody, mediaType } from '../http/body.ts';
import type { RequestContext } from '../http/context.ts';
import type { DeleteOptions } from '../objects/deletion.ts';
import { send } from '../http/encode.ts';
import { evictPod } from './eviction.ts';
import { ApiError, badRequest, methodNotAllowed, notFound, unknownPath } from '../objects/api-errors.ts';
import { named } from '../http/request-target.ts';
import { isObject } from '../../../../common/runtime/is-object.ts';
import { applyPatch } from './patches.ts';
import { proxyToPod } from './pod-proxy.ts';
import type { Registry } from '../objects/registry.ts';
import type { RequestTarget } from '../http/request-target.ts';
import { scaleObject, writeScale } from './scale.ts';
import type { RuntimeHooks } from './runtime-hooks.ts';
import type { KubeObject } from '../objects/types.ts';

export interface SubresourceParts {
  readonly registry: Registry;
  readonly hooks: () => RuntimeHooks;
  readonly issueToken: (namespace: string, name: string, options?: IssueOptions) => string;
}

type Handler = (
  parts: SubresourceParts,
  target: RequestTarget,
  context: RequestContext,
) => Promise<void> | void;

async function scale({ registry }: SubresourceParts, target: RequestTarget, context: RequestContext) {
  if (!target.kind.hasScale) throw unknownPath();
  const { request, response, caller } = context;
  const at = named(target);
  if (request.method === 'GET') return send(response, 200, JSON.stringify(scaleObject(registry, at)));
  const body = await readRequestBody(request);
  if (!isObject(body) && !Array.isArray(body)) throw badRequest('the request must have a body');
  const type = mediaType(request);
  const change = (current: KubeObject) =>
    (request.method === 'PATCH' ? applyPatch(type, current, body) : body) as KubeObject;
  send(response, 200, JSON.stringify(await writeScale(registry, at, change, caller)));
}

/** Answers 201 with a Status: an eviction is created, not stored. */
async function evict(
  { registry }: SubresourceParts,
  target: RequestTarget,
  { request, response, caller }: RequestContext,
) {
  const body = (await readRequestBody(request)) as { deleteOptions?: DeleteOptions } | undefined;
  const { kind, namespace, name } = named(target);
  const options = { ...body?.deleteOptions, isDryRun: caller.isDryRun };
  evictPod(registry.store, { kind, namespace, name }, options);
  const status = { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };
  send(response, 201, JSON.stringify(status));
}

/** As kubectl chooses: the annotated container, else the first. */
function logContainer(pod: KubeObject, wanted: string | null): string {
  const own = pod.spec.containers as { name: string }[];
  const all = [...own, ...((pod.spec.initContainers ?? []) as { name: string }[])].map(({ name }) => name);
  const preferred = pod.metadata.annotations?.['kubectl.kubernetes.io/default-container'];
  const container = wanted ?? preferred ?? own[0]!.name;
  if (all.includes(container)) return container;
  throw badRequest(
    `container ${container} is not valid for pod ${pod.metadata.name}; one of: ${all.join(', ')}`,
  );
}

async function log(
  { registry, hooks }: SubresourceParts,
  target: RequestTarget,
  { response, query }: RequestContext,
) {
  const { kind, namespace, name } = named(target);
  const pod = registry.store.get('pods', namespace, name);
  if (pod === undefined) throw notFound(kind, name);
  const container = logContainer(pod, query.get('container'));
  const tail = query.get('tailLines');
  const leaving = new AbortController();
  response.on('close', () => leaving.abort());
  const options = {
    follow: query.get('follow') === 'true',
    tailLines: tail === null ? undefined : Number(tail),
    signal: leaving.signal,
  };
  const lines = hooks().readLogs?.(namespace ?? '', name, container, options);
  if (lines === undefined) {
    throw badRequest(`container "${container}" in pod "${name}" is waiting to start: no logs yet`);
  }
  response.writeHead(200, { 'content-type': 'text/plain' });
  response.flushHeaders();
  for await (const chunk of lines) {
    if (response.destroyed) return;
    response.write(chunk);
  }
  response.end();
}

/** `kubectl create token`. */
async function token(
  { registry, issueToken }: SubresourceParts,
  target: RequestTarget,
  { request, response }: RequestContext,
) {
  const { kind, namespace, name } = named(target);
  if (!registry.store.get(kind.resource, namespace, name)) throw notFound(kind, name);
  const expirationTimestamp = new Date(Date.now() + 365 * 24 * 3_600_000).toISOString();
  const asked = (await readRequestBody(request)) as { spec?: { audiences?: string[] } } | undefined;
  const audiences = asked?.spec?.audiences?.length ? asked.spec.audiences : undefined;
  const status = { token: issueToken(namespace ?? '', name, { audiences }), expirationTimestamp };
  const answer = {
    kind: 'TokenRequest',
    apiVersion: 'authentication.k8s.io/v1',
    metadata: {},
    spec: { audiences, expirationSeconds: 365 * 24 * 3_600 },
    status,
  };
  send(response, 201, JSON.stringify(answer));
}

const HANDLERS: Readonly<Record<string, { methods: readonly string[]; handle: Handler }>> = {
  scale: { methods: ['GET', 'PUT', 'PATCH'], handle: scale },
  'pods/eviction': { methods: ['POST'], handle: evict },
  'pods/log': { methods: ['GET'], handle: log },
  'pods/proxy': {
    methods: ['GET', 'POST', 'PUT', 'PATCH', 'DELETE'],
    handle: ({ registry }, target, context) => proxyToPod(registry, target, context),
  },
  'serviceaccounts/token': { methods: ['POST'], handle: token },
};

export async function handleSubresource(
  parts: SubresourceParts,
  target: RequestTarget,
  context: RequestContext,
): Promise<void> {
  const { kind, subresource = '' } = target;
  const entry = HANDLERS[subresource] ?? HANDLERS[`${kind.resource}/${subresource}`];
  if (entry === undefined) {
    const isStreaming = ['exec', 'attach', 'portforward', 'proxy'].includes(subresource);
    if (!isStreaming) throw unknownPath();
    throw new ApiError(
      501,
      'NotImplemented',
      `the local cluster does not serve ${kind.resource}/${subresource}`,
    );
  }
  if (!entry.methods.includes(context.request.method ?? '')) throw methodNotAllowed();
  await entry.handle(parts, target, context);
}
