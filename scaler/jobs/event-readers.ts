/**
 * What pods want of their readers of events, which they may not make themselves. Every scaler makes readers: a reader is
 * the same whoever makes it, so a change of the leader holds up no new pod. The leader alone takes over what an ending
 * pod has left, at once and as far as that is free; the keeper finds the rest (event-keeper.ts).
 */
import type { AskAnswer, Asker } from '../../common/bus/asks.ts';
import { functionKey } from '../../common/bus/subjects.ts';
import type { JobSettings } from '../../common/queue/settings.ts';
import type { Upkeep, UpkeepLink } from '../../common/queue/upkeep.ts';
import { describeError } from '../../common/runtime/errors.ts';
import { FewAtOnce } from '../../common/runtime/few-at-once.ts';
import type { Log } from '../../common/runtime/log.ts';

export interface EventReadersOptions {
  readonly queue: UpkeepLink;
  readonly settings: JobSettings;
  readonly isLeader: () => boolean;
  /** Whether functions of that namespace are ours at all. */
  readonly isOurs: (namespace: string) => boolean;
  readonly now: () => number;
  readonly log: Log;
  /** Wishes that may wait or be worked on, of each kind; more are not heard, and their pods ask again. */
  readonly mostWishes?: number;
}

/** As many pods may start within some seconds. */
const MAX_WISHES = 2_000;
/** JetStream answers within a millisecond or two; so many at once leave it time for others. */
const MAX_WISHES_AT_ONCE = 16;
/** Nobody listens for a later answer. */
const WISH_ANSWER_MS = 5_000;
/** A round moves so many events of one pod at most. */
export const EVENTS_PER_ROUND = 200;

export class EventReaders {
  readonly #options: EventReadersOptions;
  readonly #opening: Wishes<AskAnswer>;
  readonly #moving: Wishes<void>;
  /** Pods whose sidecars have said that they end. */
  readonly #left = new Set<string>();

  constructor(options: EventReadersOptions) {
    this.#options = options;
    const { mostWishes = MAX_WISHES } = options;
    this.#opening = new Wishes(mostWishes);
    this.#moving = new Wishes(mostWishes);
  }

  /**
   * Makes the pod a reader, of the events since `sinceMs`. Never rejects.
   * @returns undefined: not by us, or nobody waits for it any more
   */
  async open(asker: Asker, sinceMs: number): Promise<AskAnswer | undefined> {
    const { queue, isOurs, now } = this.#options;
    const { live } = queue;
    this.#left.delete(keyOf(asker));
    if (!live || !isOurs(asker.id.namespace)) return undefined;
    const untilMs = now() + WISH_ANSWER_MS;
    const answer = await this.#opening.run(keyOf(asker), () => this.#open(live, asker, sinceMs));
    return now() <= untilMs ? answer : undefined;
  }

  /** @returns undefined: not by us */
  handOver(asker: Asker, sinceMs: number): AskAnswer | undefined {
    const { queue, isLeader, isOurs } = this.#options;
    const { live } = queue;
    if (!live || !isLeader() || !isOurs(asker.id.namespace)) return undefined;
    const moved = this.#moving.run(keyOf(asker), () => this.#move(live, asker, sinceMs));
    return moved && { isGranted: true };
  }

  /** Wishes that are not fulfilled yet. */
  get waiting(): number {
    return this.#opening.size + this.#moving.size;
  }

  /** Whether its sidecar has said that it ends, to this scaler. */
  hasLeft(asker: Asker): boolean {
    return this.#left.has(keyOf(asker));
  }

  /** Forgets the pods that have no reader any more. */
  keepOnly(readers: readonly Asker[]): void {
    const keys = new Set(readers.map(keyOf));
    for (const key of this.#left) if (!keys.has(key)) this.#left.delete(key);
  }

  async #open(queue: Upkeep, asker: Asker, sinceMs: number): Promise<AskAnswer> {
    const { settings, now } = this.#options;
    try {
      // A clock that is ahead must not cost the pod what comes until then.
      await queue.openReader({ ...asker, sinceMs: Math.min(sinceMs, now()) }, settings);
      return { isGranted: true };
    } catch (error) {
      return { isGranted: false, why: describeError(error) };
    }
  }

  async #move(queue: Upkeep, asker: Asker, sinceMs: number): Promise<void> {
    const { log } = this.#options;
    const facts = { function: functionKey(asker.id), pod: asker.pod };
    // It may have been ready and had no reader yet: what came for it since is in the stream.
    const opened = await this.#open(queue, asker, sinceMs);
    this.#left.add(keyOf(asker));
    try {
      if (!opened.isGranted) throw new Error(opened.why);
      let count = 0;
      for (let moved = EVENTS_PER_ROUND; moved === EVENTS_PER_ROUND; count += moved)
        moved = await queue.moveEvents(asker, { most: EVENTS_PER_ROUND, stays: true });
      if (count > 0) log.info({ ...facts, count }, 'events of an ending pod moved');
    } catch (error) {
      log.warn({ ...facts, error: describeError(error) }, 'events of an ending pod wait; trying again');
    }
  }
}

function keyOf({ id, pod }: Asker): string {
  return `${functionKey(id)}/${pod}`;
}

/** Work by name, a few at once and in turn; the same name while it is not done is the same work. */
class Wishes<T> {
  readonly #most: number;
  readonly #all = new Map<string, Promise<T>>();
  readonly #few = new FewAtOnce({ atOnce: MAX_WISHES_AT_ONCE });

  constructor(most: number) {
    this.#most = most;
  }

  get size(): number {
    return this.#all.size;
  }

  /** @returns undefined: there are too many */
  run(name: string, work: () => Promise<T>): Promise<T> | undefined {
    const known = this.#all.get(name);
    if (known || this.#all.size >= this.#most) return known;
    const done = this.#few.run(work).finally(() => this.#all.delete(name));
    this.#all.set(name, done);
    return done;
  }
}
