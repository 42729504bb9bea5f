/**
 * The pod's first `ready`, brought to a proxy by HTTP, and before it `starting`. At this moment NATS may not be reachable
 * for a new pod, and Kubernetes may not have reported the pod's address to anybody. A few tries and no more; the other
 * ways go on.
 */
import type { IncomingMessage } from 'node:http';
import { isIP } from 'node:net';
import { sleep } from '../../common/runtime/lifecycle.ts';
import { HEADER } from '../../common/function/names.ts';
import { parseCount } from '../../common/places/protocol.ts';
import { http } from '../../common/runtime/node-http.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';

/** 404: the proxy's watch has not shown it this pod yet. */
const PAUSES_MS = [0, 50, 150, 300];
const POST_TIMEOUT_MS = 500;
/** A proxy answers within some milliseconds; an address that is no more gives no answer at all. */
const ADDRESS_HEAD_START_MS = 100;

/** Where the proxies are, by the name of their Service and by an address that the webhook had at hand. */
export interface ProxyPlace {
  /** One that is no URL is no error: an older webhook gives `http://$(NAME)` where a Service did not exist yet. */
  readonly url: string;
  /** An IP address for it; anything else is as none. */
  readonly address?: string;
}

export interface Told {
  /** A proxy took it. */
  readonly isTaken: boolean;
  /** Calls of this function that waited or ran; undefined: no proxy said so. */
  readonly callers?: number | undefined;
}

interface Reply {
  readonly status: number | undefined;
  readonly callers?: number | undefined;
}

export async function tellProxy(place: ProxyPlace, id: FunctionId, message: Uint8Array): Promise<Told> {
  const path = `/pod-ready/${encodeURIComponent(id.namespace)}/${encodeURIComponent(id.name)}`;
  if (!URL.canParse(path, place.url)) return { isTaken: false };
  const named = new URL(path, place.url);
  const atHand = atAddress(named, place.address ?? '');
  for (const pause of PAUSES_MS) {
    await sleep(pause);
    const { status, callers } = await ask(named, atHand, message);
    if (status === 204) return { isTaken: true, callers };
    // An older proxy says 405, or 400 to `starting`; one that knows better says 403.
    if (status !== undefined && status !== 404) break;
  }
  return { isTaken: false };
}

function atAddress(named: URL, address: string): URL | undefined {
  const version = isIP(address);
  if (version === 0) return undefined;
  const url = new URL(named);
  url.hostname = version === 6 ? `[${address}]` : address;
  return url;
}

/**
 * The address first, which needs no lookup, and soon after the name as well. Whoever else has the address by now
 * may say anything but 204: the name's answer is what counts then.
 */
async function ask(named: URL, atHand: URL | undefined, message: Uint8Array): Promise<Reply> {
  if (!atHand) return post(named, message);
  const byAddress = post(atHand, message);
  const first = await Promise.race([byAddress, sleep(ADDRESS_HEAD_START_MS)]);
  if (first?.status === 204) return first;
  const byName = post(named, message);
  const taken = byAddress.then((reply) => (reply.status === 204 ? reply : byName));
  return Promise.race([taken, byName.then((reply) => (reply.status === 204 ? reply : taken))]);
}

function post(url: URL, body: Uint8Array): Promise<Reply> {
  return new Promise((resolve) => {
    const options = { method: 'POST', agent: false, signal: AbortSignal.timeout(POST_TIMEOUT_MS) };
    const req = http.request(url, { ...options, headers: { 'Content-Length': body.length } });
    req.on('error', () => resolve({ status: undefined }));
    req.on('response', (res: IncomingMessage) => {
      res.resume();
      const callers = res.headers[HEADER.callers];
      resolve({
        status: res.statusCode,
        callers: typeof callers === 'string' ? parseCount(callers) : undefined,
      });
    });
    req.end(body);
  });
}
