/**
 * A part through the API server: `pods/NAME:PORT/proxy`, to one of its ready pods. What it needs is the right to list
 * pods in the namespace of the installation and to use their `pods/proxy`. Given up: WebSockets, and the links in an
 * HTML answer come as the API server rewrites them.
 */
import { request, type RequestOptions } from 'node:https';
import { request as plainRequest, type IncomingMessage } from 'node:http';
import { Readable } from 'node:stream';
import { readPod, type PodModel } from '../../common/kube/model/pod.ts';
import { describeError } from '../../common/runtime/errors.ts';
import { kubeFault, loadCluster, type ReachedCluster } from './cluster.ts';
import type { Door, PartAddress } from './door.ts';
import type { ClusterFlags } from '../people-flags.ts';

/** @throws Error when the part has no ready pod, and for what the API server refuses */
export async function openClusterDoor(part: PartAddress, flags: ClusterFlags): Promise<Door> {
  const cluster = loadCluster(flags);
  const namespace = flags['system-namespace'];
  const pod = await readyPod(cluster, namespace, part.component);
  const base = `/api/v1/namespaces/${namespace}/pods/${pod}:${part.port}/proxy`;
  return {
    name: `${part.component} ${namespace}/${pod}`,
    fetch: (path, init = {}) => askApi(cluster, `${base}${path}`, init),
  };
}

async function readyPod(
  { core, config }: ReachedCluster,
  namespace: string,
  component: string,
): Promise<string> {
  const labelSelector = `app.kubernetes.io/name=slimfaas,app.kubernetes.io/component=${component}`;
  const { items } = await core.listNamespacedPod({ namespace, labelSelector }).catch((cause: unknown) => {
    throw new Error(`context ${config.getCurrentContext()}: ${kubeFault(cause)}`, { cause });
  });
  const ready = items.map(readPod).find((pod) => pod && takesCalls(pod));
  if (ready) return ready.name;
  const where = `namespace ${namespace} of context ${config.getCurrentContext()}`;
  throw new Error(
    `no ready pod of the ${component} in ${where}; --system-namespace says where slimfaas is installed`,
  );
}

function takesCalls(pod: PodModel): boolean {
  return pod.isReady && !pod.isTerminating;
}

/** Answers of these have no body, and `Response` takes none. */
const WITHOUT_BODY: ReadonlySet<number> = new Set([101, 204, 205, 304]);

/** The API server itself; nothing is followed and no status is an error. @throws Error when nothing answers */
export async function askApi(
  cluster: ReachedCluster,
  path: string,
  init: RequestInit = {},
): Promise<Response> {
  const server = cluster.config.getCurrentCluster()?.server ?? '';
  try {
    return await send(cluster, `${server.replace(/\/$/, '')}${path}`, init);
  } catch (cause) {
    throw new Error(`no answer from ${server}: ${describeError(cause)}`, { cause });
  }
}

/** `fetch` cannot take the client certificates and agents that a kubeconfig may ask for. */
async function send({ config }: ReachedCluster, url: string, init: RequestInit): Promise<Response> {
  const headers = Object.fromEntries(new Headers(init.headers ?? {}));
  const options: RequestOptions = { method: init.method ?? 'GET', headers };
  await config.applyToHTTPSOptions(options);
  const start = url.startsWith('https:') ? request : plainRequest;
  const answer = await new Promise<IncomingMessage>((resolve, reject) => {
    const outgoing = start(url, { ...options, ...(init.signal ? { signal: init.signal } : {}) }, resolve);
    outgoing.on('error', reject);
    outgoing.end(typeof init.body === 'string' ? init.body : undefined);
  });
  const status = answer.statusCode ?? 502;
  const body = WITHOUT_BODY.has(status) ? null : (Readable.toWeb(answer) as ReadableStream<Uint8Array>);
  if (body === null) answer.resume();
  return new Response(body, { status, statusText: answer.statusMessage ?? '', headers: headersOf(answer) });
}

function headersOf({ rawHeaders }: IncomingMessage): Headers {
  const headers = new Headers();
  for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i] ?? '', rawHeaders[i + 1] ?? '');
  return headers;
}
