/**
 * Posts one result to one URL. The name is resolved once, every address is judged, and the connection goes to the
 * very address that was judged. So a name that resolves differently a moment later has no effect. No redirects, no
 * kept connections, no proxy from the environment; bounded in time, and of the answer only the status is read.
 */
import { request as httpRequest, type RequestOptions } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { describeError } from '../../common/runtime/errors.ts';
import { HEADER } from '../../common/function/names.ts';
import type { UrlAllow } from '../../common/outbound/allow.ts';
import { checkedAddress, only } from '../../common/outbound/checked-address.ts';
import type { Resolve } from '../../common/outbound/resolve.ts';

export type PostOutcome =
  | { readonly kind: 'delivered'; readonly status: number }
  /** Worth another try. */
  | { readonly kind: 'failed'; readonly why: string }
  /** It will not become better: not allowed, or the receiver says that it is gone for good (410). */
  | { readonly kind: 'refused'; readonly why: string };

export interface PostDeps {
  readonly allow: UrlAllow;
  readonly resolve: Resolve;
  readonly timeoutMs: number;
}

export interface ResultPost {
  readonly url: string;
  readonly elementId: string;
  readonly body: Buffer;
}

/** Never rejects. */
export async function postResult(post: ResultPost, deps: PostDeps): Promise<PostOutcome> {
  const url = deps.allow.url(post.url);
  if (typeof url === 'string') return { kind: 'refused', why: url };
  const signal = AbortSignal.timeout(deps.timeoutMs);
  try {
    const place = await checkedAddress(url, deps, signal);
    if ('why' in place) return { kind: 'refused', why: place.why };
    const status = await send(post, url, { address: place.address, signal });
    if (status >= 200 && status < 300) return { kind: 'delivered', status };
    return { kind: status === 410 ? 'refused' : 'failed', why: `the receiver answered ${status}` };
  } catch (error) {
    const why = signal.aborted ? `no answer within ${deps.timeoutMs / 1_000} s` : describeError(error);
    return { kind: 'failed', why };
  }
}

function send(
  { body, elementId }: ResultPost,
  url: URL,
  { address, signal }: { address: string; signal: AbortSignal },
): Promise<number> {
  const options: RequestOptions = {
    method: 'POST',
    agent: false,
    signal,
    lookup: only(address),
    headers: {
      'Content-Type': 'application/json; charset=utf-8',
      'Content-Length': body.length,
      [HEADER.elementId]: elementId,
    },
  };
  return new Promise((resolve, reject) => {
    const send = url.protocol === 'https:' ? httpsRequest : httpRequest;
    const req = send(url, options, (res) => {
      resolve(res.statusCode ?? 0);
      res.on('error', () => undefined);
      res.destroy(); // whatever it has to say, and however long
    });
    req.once('error', reject);
    req.on('error', () => undefined); // a second one, from the destroyed answer
    req.end(body);
  });
}
