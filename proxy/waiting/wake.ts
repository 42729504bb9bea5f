/**
 * The wake itself: a message to the scaler, or its HTTP while NATS is down. Never throws and waits for nothing:
 * a caller that needs the pod asks again in a second.
 */
import { request } from 'node:http';
import { withBrackets } from '../../common/runtime/brackets.ts';
import { isIP } from 'node:net';
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import { encodeMessage } from '../../common/bus/messages.ts';
import type { OwnToken } from '../../common/access/own-token.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import { functionSubject, type FunctionId } from '../../common/bus/subjects.ts';

export type Wake = (id: FunctionId, waiting: number) => void;

export interface WakeOptions {
  readonly nats: Pick<NatsLink, 'publish'>;
  readonly scalerUrl: string;
  /** An IP address for the host of `scalerUrl`; '' for none. */
  readonly scalerAddress?: string;
  readonly podName: string;
  /** By which the scaler knows this proxy. */
  readonly ownToken?: OwnToken;
  readonly log: Log;
}

/** One try; the next is due in a second. */
const HTTP_TIMEOUT_MS = 1_000;

export function createWake({
  nats,
  scalerUrl,
  scalerAddress = '',
  podName,
  ownToken,
  log,
}: WakeOptions): Wake {
  const byName = withBrackets(scalerUrl);
  // In turn: the name finds a Service that was made again, the address needs no resolver.
  const urls = isIP(scalerAddress) === 0 ? [byName] : [withHost(byName, scalerAddress), byName];
  let turn = 0;
  return (id, waiting) => {
    const message = encodeMessage({ from: podName, waiting });
    if (nats.publish(functionSubject('wake', id), message)) return;
    // By the same name as over NATS: under another, the scaler would count the same callers twice.
    const query = `waiting=${waiting}&from=${encodeURIComponent(podName)}`;
    const path = `/wake/${encodeURIComponent(id.namespace)}/${encodeURIComponent(id.name)}?${query}`;
    const base = urls[turn % urls.length] as string;
    post(`${base.replace(/\/$/, '')}${path}`, ownToken?.()).catch((error: unknown) => {
      turn += 1;
      log.warn(
        { function: id, scalerUrl: base, error: describeError(error) },
        'NATS is down and so is the scaler',
      );
    });
  };
}

function withHost(url: string, address: string): string {
  const changed = new URL(url);
  changed.hostname = isIP(address) === 6 ? `[${address}]` : address;
  return changed.href;
}

function post(url: string, token: Readonly<Record<string, string>> = {}): Promise<void> {
  return new Promise((resolve, reject) => {
    const headers = { 'Content-Length': 0, ...token };
    const req = request(url, { method: 'POST', timeout: HTTP_TIMEOUT_MS, headers });
    req.on('timeout', () => req.destroy(new Error(`no answer in ${HTTP_TIMEOUT_MS} ms`)));
    req.on('error', reject);
    req.on('response', (res) => {
      res.resume();
      const status = res.statusCode ?? 0;
      if (status < 300) resolve();
      else reject(new Error(`the scaler answered ${status}`));
    });
    req.end();
  });
}
