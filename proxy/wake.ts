/**
 * The wake itself: a message to the scaler, or its HTTP while NATS is down. Never throws and waits for nothing:
 * whoever needs the pod asks again in a second.
 */
import { request } from 'node:http';
import { withBrackets } from '../common/brackets.ts';
import { describeError } from '../common/errors.ts';
import type { Log } from '../common/log.ts';
import { encodeMessage } from '../common/messages.ts';
import type { NatsLink } from '../common/nats.ts';
import { functionSubject, type FunctionId } from '../common/subjects.ts';

export type Wake = (id: FunctionId, waiting: number) => void;

export interface WakeOptions {
  readonly nats: Pick<NatsLink, 'publish'>;
  readonly scalerUrl: string;
  readonly podName: string;
  readonly log: Log;
}

/** One try; the next is due in a second. */
const HTTP_TIMEOUT_MS = 1_000;

export function createWake({ nats, scalerUrl, podName, log }: WakeOptions): Wake {
  const base = withBrackets(scalerUrl).replace(/\/$/, '');
  return (id, waiting) => {
    const message = encodeMessage({ from: podName, waiting });
    if (nats.publish(functionSubject('wake', id), message)) return;
    // By the same name as over NATS: under another, the scaler would count the same callers twice.
    const query = `waiting=${waiting}&from=${encodeURIComponent(podName)}`;
    const path = `/wake/${encodeURIComponent(id.namespace)}/${encodeURIComponent(id.name)}?${query}`;
    post(`${base}${path}`).catch((error: unknown) =>
      log.warn({ function: id, scalerUrl, error: describeError(error) }, 'NATS is down and so is the scaler'),
    );
  };
}

function post(url: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const req = request(url, { method: 'POST', timeout: HTTP_TIMEOUT_MS, headers: { 'Content-Length': 0 } });
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
