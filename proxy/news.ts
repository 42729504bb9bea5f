/** What the proxy hears over NATS: sidecars that are ready or draining, shares, and freed places. */
import { describeError } from '../common/errors.ts';
import type { Log } from '../common/log.ts';
import { decodeActivity, decodeReady, decodeShare } from '../common/messages.ts';
import type { NatsLink } from '../common/nats.ts';
import { everyFunction, parseFunctionSubject, type FunctionId } from '../common/subjects.ts';
import type { Endpoints } from './endpoints.ts';

export interface NewsOptions {
  readonly nats: Pick<NatsLink, 'subscribe'>;
  readonly endpoints: Pick<Endpoints, 'heardReady' | 'heardShare' | 'heardActivity'>;
  /**
   * Whether reports of a function's sidecars can change anything here. Each pod of the cluster that has work
   * sends one a second; reading only those of functions that have calls here keeps 10,000 pods affordable.
   */
  readonly wantsActivity: (id: FunctionId) => boolean;
  readonly log: Log;
}

/** A message that is not what the contract says is logged and dropped. Returns its release. */
export function listenToNews({ nats, endpoints, wantsActivity, log }: NewsOptions): () => void {
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
      if (wantsActivity(id)) endpoints.heardActivity(id, decodeActivity(data));
    }),
  ];
  return () => {
    for (const release of releases) release();
  };
}
