/** What a scaler does for the events of pods, with a clock that a test sets forward; it knows no pod. */
import { jetStreamUpkeep } from '../../../common/queue/jetstream/upkeep.ts';
import { openNatsLink, type NatsLink } from '../../../common/bus/nats.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { EventKeeper, type PodState } from '../../../scaler/jobs/event-keeper.ts';
import { EventReaders } from '../../../scaler/jobs/event-readers.ts';
import { serveAsks } from '../../../scaler/world/asks.ts';
import { jobSettings } from '../../helpers/jetstream.ts';
import { waitFor } from '../../helpers/wait.ts';

export interface EventScaler extends AsyncDisposable {
  /** One look for readers whose pods are gone, as there is one every five seconds. */
  look(): Promise<void>;
}

export interface EventScalerOptions {
  /** The URL of a server where everybody may everything, or a link of its own, which it stops. */
  readonly nats: string | NatsLink;
  readonly isLeader?: boolean;
  readonly podState?: () => PodState;
}

export async function startEventScaler(options: EventScalerOptions): Promise<EventScaler> {
  const { nats, isLeader = true, podState = () => 'unknown' } = options;
  const link =
    typeof nats === 'string' ? openNatsLink({ servers: nats, name: 'scaler', log: silentLog }) : nats;
  const queue = jetStreamUpkeep(link);
  let aheadMs = 0;
  const base = { queue, isLeader: () => isLeader, now: () => Date.now() + aheadMs, log: silentLog };
  const readers = new EventReaders({ ...base, now: Date.now, settings: jobSettings, isOurs: () => true });
  const keeper = new EventKeeper({ ...base, readers, podState });
  const world = { workload: () => undefined, podsOf: () => new Map() };
  const served = { nats: link, world, hearsOlder: true, onDropped: () => undefined, log: silentLog };
  serveAsks({ ...served, eventReaders: readers });
  const connection = await waitFor(() => link.connection, { what: 'the scaler is connected' });
  await connection.flush();
  return {
    async look() {
      aheadMs += 5_000;
      await keeper.tick();
    },
    [Symbol.asyncDispose]: () => link.stop(),
  };
}
