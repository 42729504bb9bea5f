/**
 * Events whose pod is gone. A sidecar hands over at its pod's end what it has not finished. A pod that was killed, or
 * whose node went away, leaves its reader behind. Here the leader finds those, moves what they hold to the queue of
 * the function, where another pod gets it, and removes them.
 */
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import type { Upkeep, UpkeepLink } from '../../common/queue/upkeep.ts';
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';

/** `unknown`: nobody here knows that function's pods, or not all of them now. */
export type PodState = 'there' | 'ending' | 'gone' | 'unknown';

export interface EventKeeperOptions {
  readonly queue: UpkeepLink;
  readonly isLeader: () => boolean;
  readonly podState: (id: FunctionId, pod: string) => PodState;
  readonly now: () => number;
  readonly log: Log;
}

/** A consumer without a pod is left alone until the next look: a watch may be a moment behind. */
const EVERY_MS = 5_000;
/** JetStream lists 256 consumers an answer, 1 KB each: 5,000 pods are looked at every 25 s. */
const MS_PER_POD = 5;
/**
 * A pod that ends hands over by itself; one that ends for so long is on a node that is gone, and stays so until
 * somebody removes it. Where a grace period is longer than that, what its pods still run is run twice.
 */
const ENDING_MS = 300_000;
/** A round moves so many events of one pod at most; the rest comes with the next. */
const EVENTS_PER_ROUND = 200;
/** Pods of a lost node pool, side by side: one whose function's queue is full holds up no other. */
const MAX_MOVES_AT_ONCE = 16;

interface Orphan {
  readonly id: FunctionId;
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
      const failures: unknown[] = [];
      const left = sure.values();
      const work = async (): Promise<void> => {
        for (const [consumer, { id }] of left)
          await this.#moveToQueue(queue, { id, consumer }).catch((error) => failures.push(error));
      };
      await Promise.all(Array.from({ length: MAX_MOVES_AT_ONCE }, work));
      if (failures.length > 0) throw failures[0];
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
    const orphans = new Map<string, Orphan>();
    const count = await queue.eventReaders(({ name, id, pod }) => {
      const state = this.#options.podState(id, pod);
      if (state === 'there' || state === 'unknown') return;
      const sinceMs = this.#orphans.get(name)?.sinceMs ?? this.#options.now();
      orphans.set(name, { id, state, sinceMs });
    });
    this.#everyMs = Math.max(EVERY_MS, count * MS_PER_POD);
    return orphans;
  }

  async #moveToQueue(
    queue: Upkeep,
    { id, consumer }: { readonly id: FunctionId; readonly consumer: string },
  ): Promise<void> {
    const count = await queue.moveEvents({ id, name: consumer }, EVENTS_PER_ROUND);
    const { log } = this.#options;
    if (count > 0) log.info({ function: functionKey(id), consumer, count }, 'events of an ended pod moved');
  }
}
