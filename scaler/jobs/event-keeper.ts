/**
 * Events whose pod is gone. Here the leader finds the readers that pods have left behind, moves what they hold to the
 * queue of the function, where another pod gets it, and removes them. A sidecar that ends in order says so
 * (event-readers.ts), and most of that is done by then. One that was killed says nothing.
 */
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import type { EventReader, Upkeep, UpkeepLink } from '../../common/queue/upkeep.ts';
import { describeError } from '../../common/runtime/errors.ts';
import { FewAtOnce } from '../../common/runtime/few-at-once.ts';
import type { Log } from '../../common/runtime/log.ts';
import { EVENTS_PER_ROUND, type EventReaders } from './event-readers.ts';

/** `unknown`: this scaler does not know the function's pods, or not all of them. */
export type PodState = 'there' | 'ending' | 'gone' | 'unknown';

export interface EventKeeperOptions {
  readonly queue: UpkeepLink;
  readonly isLeader: () => boolean;
  readonly podState: (id: FunctionId, pod: string) => PodState;
  readonly readers: Pick<EventReaders, 'hasLeft' | 'keepOnly'>;
  readonly now: () => number;
  readonly log: Log;
}

/** A consumer without a pod is left alone until the next look: a watch may be a moment behind. */
const EVERY_MS = 5_000;
/** JetStream lists 256 consumers an answer, 1 KB each: 5,000 pods are looked at every 25 s. */
const MS_PER_POD = 5;
/**
 * A pod that ends hands over by itself. One that ends for so long is on a lost node, and stays until somebody removes
 * it. Where a grace period is longer than that, what such a pod still runs is run twice.
 */
const ENDING_MS = 300_000;
/** Pods of a lost node pool are moved side by side. So a full queue of one function does not delay the others. */
const MAX_MOVES_AT_ONCE = 16;

interface Orphan extends Pick<EventReader, 'id' | 'pod'> {
  readonly state: 'ending' | 'gone';
  readonly sinceMs: number;
}

export class EventKeeper {
  readonly #options: EventKeeperOptions;
  /** Consumers without a working pod, and since when. */
  #orphans: ReadonlyMap<string, Orphan> = new Map();
  #lookedAtMs: number;
  #everyMs = EVERY_MS;
  #round: Promise<void> | undefined;
  #hasFailed = false;

  constructor(options: EventKeeperOptions) {
    this.#options = options;
    this.#lookedAtMs = options.now(); // there may be no stream before the first look
  }

  /** One round at a time. */
  tick(): Promise<void> {
    const { queue, isLeader, now } = this.#options;
    const { live } = queue;
    const isDue = now() - this.#lookedAtMs >= this.#everyMs || now() < this.#lookedAtMs;
    if (!live || !isLeader() || !isDue) return this.#round ?? Promise.resolve();
    this.#lookedAtMs = now();
    this.#round ??= this.#look(live).finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  async #look(queue: Upkeep): Promise<void> {
    const { log } = this.#options;
    try {
      const before = this.#orphans;
      this.#orphans = await this.#findOrphans(queue);
      const sure = [...this.#orphans].filter(([consumer, orphan]) =>
        this.#isSure(orphan, before.get(consumer)),
      );
      const few = new FewAtOnce({ atOnce: MAX_MOVES_AT_ONCE });
      const moves = sure.map(([, orphan]) => few.run(() => this.#moveToQueue(queue, orphan)));
      const failed = (await Promise.allSettled(moves)).find((move) => move.status === 'rejected');
      if (failed) throw failed.reason;
      this.#hasFailed = false;
    } catch (error) {
      if (!this.#hasFailed)
        log.warn({ error: describeError(error) }, 'events of ended pods wait; trying again');
      this.#hasFailed = true;
    }
  }

  #isSure({ state, sinceMs }: Orphan, before: Orphan | undefined): boolean {
    if (state === 'gone') return before?.state === 'gone';
    return this.#options.now() - sinceMs >= ENDING_MS;
  }

  async #findOrphans(queue: Upkeep): Promise<Map<string, Orphan>> {
    const { readers, now } = this.#options;
    const orphans = new Map<string, Orphan>();
    const known: EventReader[] = [];
    const count = await queue.eventReaders((reader) => {
      known.push(reader);
      const { name, id, pod } = reader;
      const state = this.#stateOf(reader);
      if (state === 'there' || state === 'unknown') return;
      orphans.set(name, { id, pod, state, sinceMs: this.#orphans.get(name)?.sinceMs ?? now() });
    });
    readers.keepOnly(known);
    this.#everyMs = Math.max(EVERY_MS, count * MS_PER_POD);
    return orphans;
  }

  /** A pod whose sidecar has said that it leaves is gone. That holds too where the function's pods are not known here. */
  #stateOf(reader: EventReader): PodState {
    const state = this.#options.podState(reader.id, reader.pod);
    const mayBeOver = state === 'ending' || state === 'unknown';
    return mayBeOver && this.#options.readers.hasLeft(reader) ? 'gone' : state;
  }

  async #moveToQueue(queue: Upkeep, { id, pod }: Orphan): Promise<void> {
    const count = await queue.moveEvents({ id, pod }, { most: EVENTS_PER_ROUND, stays: false });
    const { log } = this.#options;
    if (count > 0) log.info({ function: functionKey(id), pod, count }, 'events of an ended pod moved');
  }
}
