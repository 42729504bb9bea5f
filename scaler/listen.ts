/** What the scaler hears on NATS, and who gets it. */
import { createHearing, type HearingOptions } from '../common/bus/hearing.ts';
import {
  checkSpeaker,
  decodeActivity,
  decodeReady,
  decodeShare,
  decodeWake,
} from '../common/bus/messages.ts';
import type { NatsLink } from '../common/bus/nats.ts';
import { decodeServicePorts } from '../common/bus/service-ports.ts';
import type { FunctionId } from '../common/bus/subjects.ts';
import type { Reconciler } from './loop/reconcile.ts';
import type { Observed } from './observe/observer.ts';
import type { KeptServices } from './services/services.ts';
import { serveAsks, type AskOptions } from './world/asks.ts';

/** False for a function that we do not know (yet). */
export type OnWake = (id: FunctionId, waiting: number, from: string) => boolean;

interface Listening extends HearingOptions, Pick<AskOptions, 'eventReaders' | 'hearsOlder'> {
  readonly nats: NatsLink;
  readonly reconciler: Reconciler;
  readonly observer: Observed;
  readonly services: KeptServices;
  readonly wake: OnWake;
}

/** Hears every function's subjects. Returns the releases. */
export function listenOnBus({ reconciler, observer, services, wake, ...options }: Listening): (() => void)[] {
  const { nats } = options;
  const hearing = createHearing(options);
  reconciler.onNats(nats.isConnected);
  return [
    nats.onStatus((isConnected) => reconciler.onNats(isConnected)),
    hearing.function('wake', (id, data) => {
      const { waiting, from } = decodeWake(data);
      wake(id, waiting, from);
    }),
    hearing.speakers('activity', (id, data, pod) => {
      const message = decodeActivity(data);
      checkSpeaker(message, pod);
      reconciler.onActivity(id, message);
    }),
    hearing.speakers('ready', (id, data, pod) => {
      const message = decodeReady(data);
      checkSpeaker(message, pod);
      reconciler.onReady(id, message);
    }),
    hearing.function('share', (id, data) => reconciler.onShares(id, decodeShare(data))),
    hearing.servicePorts((data) => services.heard(decodeServicePorts(data))),
    ...serveAsks({ ...options, world: observer.world }),
  ];
}
