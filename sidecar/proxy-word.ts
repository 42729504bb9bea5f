/**
 * The pod's first `ready`, brought to a proxy by HTTP: at this moment NATS may not be reachable for a new pod, and
 * Kubernetes may not have reported the pod's address to anybody. A few tries and no more; the other ways go on.
 */
import type { IncomingMessage } from 'node:http';
import { sleep } from '../common/lifecycle.ts';
import { http } from '../common/node-http.ts';
import type { FunctionId } from '../common/subjects.ts';

/** 404: the proxy's watch has not shown it this pod yet. */
const PAUSES_MS = [0, 50, 150, 300];
const TIMEOUT_MS = 500;

/**
 * @param proxyUrl of the webhook's flag; one that is none is no error: Kubernetes leaves `$(NAME)` as it is where a
 *   Service did not exist yet
 * @returns whether a proxy took it
 */
export async function tellProxy(proxyUrl: string, id: FunctionId, message: Uint8Array): Promise<boolean> {
  const path = `/pod-ready/${encodeURIComponent(id.namespace)}/${encodeURIComponent(id.name)}`;
  if (!URL.canParse(path, proxyUrl)) return false;
  const url = new URL(path, proxyUrl);
  for (const pause of PAUSES_MS) {
    await sleep(pause);
    const status = await post(url, message);
    if (status === 204) return true;
    if (status !== undefined && status !== 404) return false; // an older proxy says 405, and one that knows better 403
  }
  return false;
}

function post(url: URL, body: Uint8Array): Promise<number | undefined> {
  return new Promise((resolve) => {
    const options = { method: 'POST', agent: false, signal: AbortSignal.timeout(TIMEOUT_MS) };
    const req = http.request(url, { ...options, headers: { 'Content-Length': body.length } });
    req.on('error', () => resolve(undefined));
    req.on('response', (res: IncomingMessage) => {
      res.resume();
      resolve(res.statusCode);
    });
    req.end(body);
  });
}
