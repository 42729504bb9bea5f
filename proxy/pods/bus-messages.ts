/** What the proxy hears over NATS: sidecars that are ready or draining, shares, and freed places. */
import { createHearing, type HearingOptions } from '../../common/bus/hearing.ts';
import {
  checkSpeaker,
  decodeActivity,
  decodeReady,
  decodeShare,
  type ActivityMessage,
} from '../../common/bus/messages.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { Endpoints } from './endpoints.ts';

export interface PodMessagesOptions extends HearingOptions {
  readonly endpoints: Pick<Endpoints, 'heardReady' | 'heardShare' | 'heardActivity'>;
  /**
   * Whether reports of a function's sidecars can change anything here. Each pod of the cluster that has work
   * sends one per second; reading only those of functions that have calls here keeps 10,000 pods affordable.
   */
  readonly wantsActivity: (id: FunctionId) => boolean;
  /** Another proxy's report, or our own come back: few enough to read them all. */
  readonly heardProxy: (id: FunctionId, message: ActivityMessage) => void;
}

/** Returns its release. */
export function listenToPods(options: PodMessagesOptions): () => void {
  const { endpoints, wantsActivity, heardProxy } = options;
  const hearing = createHearing(options);
  const releases = [
    hearing.speakers('ready', (id, data, pod) => {
      const message = decodeReady(data);
      checkSpeaker(message, pod);
      endpoints.heardReady(id, message);
    }),
    hearing.function('share', (id, data) => endpoints.heardShare(id, decodeShare(data))),
    hearing.speakers('activity', (id, data, pod) => {
      const isOfProxy = pod === undefined && looksLikeProxys(data);
      if (!isOfProxy && !wantsActivity(id)) return;
      const message = decodeActivity(data);
      checkSpeaker(message, pod);
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
