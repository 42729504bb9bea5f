/**
 * Events whose pod is gone. A sidecar hands over at its pod's end what it has not finished. A pod that was killed, or
 * whose node went away, leaves its consumer behind. Here the leader finds those, moves what they hold to the queue of
 * the function, where another pod gets it, and removes them. JetStream knows best what was not acknowledged, so it is
 * asked as the pod would have; what waits for a next try comes when that is due.
 */
import { describeError } from '../../common/runtime/errors.ts';
import { podConsumer } from '../../common/queue/jetstream/pod-consumer.ts';
import { eventToQueue } from '../../common/queue/jetstream/to-queue.ts';
import { AckedPublisher } from '../../common/queue/jetstream/acked-publisher.ts';
import { EVENTS_STREAM } from '../../common/queue/jetstream/streams.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { NatsConnection, NatsLink } from '../../common/bus/nats.ts';
import {
  functionKey,
  parseEveryEventOf,
  podOfEventConsumer,
  type FunctionId,
} from '../../common/bus/subjects.ts';
import type { JetStreamManager } from '../../common/queue/jetstream/library.ts';

/** `unknown`: nobody here knows that function's pods, or not all of them now. */
export type PodState = 'there' | 'ending' | 'gone' | 'unknown';

export interface EventKeeperOptions {
  readonly nats: Pick<NatsLink, 'connection'>;
  readonly isLeader: () => boolean;
  readonly podState: (id: FunctionId, pod: string) => PodState;
  readonly now: () => number;
  readonly log: Log;
}

/** A consumer without a pod is left alone until the next look: a watch may be a moment behind. */
const EVERY_MS = 5_000;
/** JetStream lists 256 consumers an answer, 1 KB each: 5,000 pods are looked at every 25 s. */
const EVERY_MS_EACH = 5;
/**
 * A pod that ends hands over by itself; one that ends for so long is on a node that is gone, and stays so until
 * somebody removes it. Where a grace period is longer than that, what its pods still run is run twice.
 */
const ENDING_MS = 300_000;
/** A round moves so many events of one pod at most; the rest comes with the next. */
const BATCH = 200;
/** What is there comes at once; what waits for a next try costs this each round. */
const FETCH_MS = 1_000;
/** Pods of a lost node pool, side by side: one whose function's queue is full holds up no other. */
const AT_ONCE = 16;

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
    const { nats, isLeader, now } = this.#options;
    const { connection } = nats;
    const isDue = now() - this.#lookedAtMs >= this.#everyMs || now() < this.#lookedAtMs;
    if (!connection || !isLeader() || !isDue) return this.#round ?? Promise.resolve();
    this.#lookedAtMs = now();
    this.#round ??= this.#look(connection).finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  async #look(connection: NatsConnection): Promise<void> {
    const { log } = this.#options;
    try {
      const jsm = await connection.jetstreamManager({ checkAPI: false });
      const before = this.#orphans;
      this.#orphans = await this.#findOrphans(jsm);
      const sure = [...this.#orphans].filter(([consumer, orphan]) =>
        this.#isSure(orphan, before.get(consumer)),
      );
      const failures: unknown[] = [];
      const queue = sure.values();
      const work = async (): Promise<void> => {
        for (const [consumer, { id }] of queue)
          await this.#moveToQueue(connection, jsm, { id, consumer }).catch((error) => failures.push(error));
      };
      await Promise.all(Array.from({ length: AT_ONCE }, work));
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

  async #findOrphans(jsm: JetStreamManager): Promise<Map<string, Orphan>> {
    const orphans = new Map<string, Orphan>();
    let count = 0;
    for await (const { name, config } of jsm.consumers.list(EVENTS_STREAM)) {
      count += 1;
      const id = parseEveryEventOf(config.filter_subject ?? '');
      const pod = id && podOfEventConsumer(name, id.namespace);
      if (!id || pod === undefined) continue;
      const state = this.#options.podState(id, pod);
      if (state === 'there' || state === 'unknown') continue;
      const sinceMs = this.#orphans.get(name)?.sinceMs ?? this.#options.now();
      orphans.set(name, { id, state, sinceMs });
    }
    this.#everyMs = Math.max(EVERY_MS, count * EVERY_MS_EACH);
    return orphans;
  }

  async #moveToQueue(
    connection: NatsConnection,
    jsm: JetStreamManager,
    { id, consumer }: { readonly id: FunctionId; readonly consumer: string },
  ): Promise<void> {
    const publisher = AckedPublisher.of(connection);
    const info = await podConsumer(jsm, consumer);
    if (!info) return;
    let count = 0;
    const left = info.num_pending + info.num_ack_pending;
    if (left > 0) {
      const source = await connection.jetstream().consumers.get(EVENTS_STREAM, consumer);
      for await (const message of await source.fetch({
        max_messages: Math.min(BATCH, left),
        expires: FETCH_MS,
      })) {
        await eventToQueue(publisher, id, message);
        message.ack();
        count += 1;
      }
    }
    const { log } = this.#options;
    if (count > 0) log.info({ function: functionKey(id), consumer, count }, 'events of an ended pod moved');
    const after = await podConsumer(jsm, consumer);
    if (after?.num_pending === 0 && after.num_ack_pending === 0)
      await jsm.consumers.delete(EVENTS_STREAM, consumer);
  }
}
