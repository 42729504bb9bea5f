/** What the proxy hears over NATS: sidecars that are ready or draining, shares, and freed places. */
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import { decodeActivity, decodeReady, decodeShare, type ActivityMessage } from '../../common/bus/messages.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import { everyFunction, parseFunctionSubject, type FunctionId } from '../../common/bus/subjects.ts';
import type { Endpoints } from './endpoints.ts';

export interface NewsOptions {
  readonly nats: Pick<NatsLink, 'subscribe'>;
  readonly endpoints: Pick<Endpoints, 'heardReady' | 'heardShare' | 'heardActivity'>;
  /**
   * Whether reports of a function's sidecars can change anything here. Each pod of the cluster that has work
   * sends one per second; reading only those of functions that have calls here keeps 10,000 pods affordable.
   */
  readonly wantsActivity: (id: FunctionId) => boolean;
  /** Another proxy's report, or our own come back: few enough to read them all. */
  readonly heardProxy: (id: FunctionId, message: ActivityMessage) => void;
  readonly log: Log;
}

/** A message that is not what the contract says is logged and dropped. Returns its release. */
export function listenToNews(options: NewsOptions): () => void {
  const { nats, endpoints, wantsActivity, heardProxy, log } = options;
  const hear = (subject: string, handle: (id: FunctionId, data: Uint8Array) => void) =>
    nats.subscribe(subject, (actual, data) => {
      const parsed = parseFunctionSubject(actual);
      if (!parsed) return;
      try {
        handle(parsed.id, data);
      } catch (error) {
        log.warn({ subject: actual, error: describeError(error) }, 'a message was not understood');
      }
    });
  const releases = [
    hear(everyFunction('ready'), (id, data) => endpoints.heardReady(id, decodeReady(data))),
    hear(everyFunction('share'), (id, data) => endpoints.heardShare(id, decodeShare(data))),
    hear(everyFunction('activity'), (id, data) => {
      const isOfProxy = looksLikeProxys(data);
      if (!isOfProxy && !wantsActivity(id)) return;
      const message = decodeActivity(data);
      if (message.source === 'proxy') heardProxy(id, message);
      else endpoints.heardActivity(id, message);
    }),
  ];
  return () => {
    for (const release of releases) release();
  };
}

/**
 * Without reading it: every version writes `source` first. A message that begins otherwise is a sidecar's until it was
 * read.
 */
function looksLikeProxys(data: Uint8Array): boolean {
  for (let i = 0; i < PROXYS.length; i++) if (data[i] !== PROXYS[i]) return false;
  return true;
}

const PROXYS = new TextEncoder().encode('{"source":"proxy"');
