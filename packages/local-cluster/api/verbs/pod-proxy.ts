/**
 * `pods/NAME:PORT/proxy/PATH`: one HTTP request passed on to a pod, as `kubectl get --raw` and the `slimfaas`
 * commands send it. Given up: upgrades, TLS to the pod, and the rewriting of links that a real API server does.
 */
import { request as send } from 'node:http';
import { pipeline } from 'node:stream/promises';
import type { RequestContext } from '../http/context.ts';
import { ApiError, badRequest, notFound } from '../objects/api-errors.ts';
import { named } from '../http/request-target.ts';
import type { Registry } from '../objects/registry.ts';
import type { RequestTarget } from '../http/request-target.ts';

const NOT_PASSED_ON: ReadonlySet<string> = new Set(['authorization', 'host', 'connection', 'upgrade']);

export async function proxyToPod(
  registry: Registry,
  target: RequestTarget,
  { request, response }: RequestContext,
): Promise<void> {
  const { kind, namespace, name } = named(target);
  const [podName = '', port = ''] = name.split(':');
  const pod = registry.store.get('pods', namespace, podName);
  if (pod === undefined) throw notFound(kind, podName);
  const host = pod['status']?.podIP as string | undefined;
  if (host === undefined) throw badRequest(`address not allowed: pod ${podName} has none yet`);
  if (!/^\d{1,5}$/.test(port)) throw badRequest(`name the port: pods/${podName}:PORT/proxy`);
  const headers = Object.entries(request.headers).filter(([header]) => !NOT_PASSED_ON.has(header));
  const path = /\/proxy(\/.*|\?.*)?$/.exec(request.url?.replace(/^.*?\/pods\/[^/]+/, '') ?? '')?.[1] ?? '/';
  const options = {
    host,
    port: Number(port),
    method: request.method,
    path,
    headers: Object.fromEntries(headers),
  };
  const outgoing = send({ ...options, agent: false });
  const answered = new Promise<void>((resolve, reject) => {
    outgoing.on('error', (error) => reject(unreachable(error)));
    outgoing.on('response', (answer) => {
      response.writeHead(answer.statusCode ?? 502, answer.headers);
      pipeline(answer, response).then(resolve, reject);
    });
  });
  response.once('close', () => outgoing.destroy());
  request.pipe(outgoing);
  await answered;
}

function unreachable(error: Error): ApiError {
  return new ApiError(503, 'ServiceUnavailable', `error trying to reach service: ${error.message}`);
}
