/**
 * What became of this pod's jobs, until JetStream knows it. First the record, confirmed, then the ack: a crash between
 * the two runs the job once more and forgets none. What cannot be told now is kept in memory and told later:
 *
 * - NATS is away: the record and the ack follow after its return. The job is held until then, so that it does not run again.
 * - JetStream has no room: the job leaves the queue first, because that makes room, and its record follows when there
 *   is some. After a minute without room the record is missing, which is logged and counted.
 *
 * It gives up what is kept when the pod ends meanwhile: then the job runs again, or its record is missing.
 */
import type { Delivery, EndEntry, Queue, QueueLink } from '../../../common/queue/queue.ts';
import { messagesOf, storeEnd, withoutResult, type EndedJob } from './job-messages.ts';
import { elementId, ownBody, type JobHead } from '../../../common/queue/job.ts';
import { decodeState, type JobState } from '../../../common/queue/state.ts';
import type { Running } from '../../../common/runtime/lifecycle.ts';
import type { Log } from '../../../common/runtime/log.ts';
import type { FunctionId } from '../../../common/bus/subjects.ts';
import type { InFlight } from '../../limits/in-flight.ts';
import type { Callbacks } from '../callbacks.ts';
import type { JobStats, RecordPart } from './job-stats.ts';

export interface OutcomesDeps {
  readonly id: FunctionId;
  readonly queue: QueueLink;
  readonly callbacks: Pick<Callbacks, 'hold'>;
  readonly inFlight: InFlight;
  readonly stats: JobStats;
  readonly log: Log;
  readonly now: () => number;
}

interface Kept {
  readonly ended: EndedJob;
  /** The last one: a job that comes again is answered there. */
  delivery: Delivery;
  /** What JetStream has not confirmed yet, in the order in which it must be stored. */
  readonly left: Map<RecordPart, EndEntry>;
  /** The job was acknowledged, or given back for its next try. */
  hasLeft: boolean;
  noRoomSinceMs: number | undefined;
  readonly releases: (() => void)[];
}

/** Less than the ack wait, so that a job that cannot be recorded is held before it is taken away. */
const END_CONFIRM_MS = 5_000;
const END_RETRY_MS = 1_000;
/** For so long a record waits for room. */
const NO_ROOM_MS = 60_000;
/** Ends that are kept. While NATS is away no more jobs come in; while there is no room some do. */
const KEPT_MAX = 1_000;
const KEPT_BYTES_MAX = 16 * 1024 * 1024;
const UNTOLD_DELAY_MS = 1_000;

type Told = 'all' | 'no-room' | 'callbacks-full' | 'unconfirmed';

export class Outcomes implements Running {
  readonly #deps: OutcomesDeps;
  readonly #kept = new Map<string, Kept>();
  readonly #releases: (() => void)[];
  #timer: NodeJS.Timeout | undefined;
  #round: Promise<void> | undefined;

  constructor(deps: OutcomesDeps) {
    this.#deps = deps;
    this.#releases = [deps.queue.onStatus((isLive) => isLive && void this.tellAll())];
  }

  get size(): number {
    return this.#kept.size;
  }

  /** Tells JetStream, now if it can be; resolves when the pod's place is free in either case. Never rejects. */
  async settle(delivery: Delivery, ended: EndedJob): Promise<void> {
    const key = keyOf(delivery, ended.head);
    this.#forget(key);
    const left = new Map(messagesOf(this.#deps.id, delivery, ended));
    const kept: Kept = { ended, delivery, left, hasLeft: false, noRoomSinceMs: undefined, releases: [] };
    if (!(await this.#tell(kept, true))) this.#keep(key, kept);
  }

  /**
   * A job of which this pod knows more than JetStream has come again.
   * @returns its state if it is to be run once more; `told` if it has ended, which is then reported again; undefined
   *   if nothing is known of it
   */
  async onRedelivery(delivery: Delivery, head: JobHead): Promise<JobState | 'told' | undefined> {
    const kept = this.#kept.get(keyOf(delivery, head));
    if (!kept || kept.ended.kind === 'unread') return undefined;
    if (kept.ended.kind === 'retry') return kept.ended.state;
    kept.delivery = delivery;
    kept.hasLeft = false;
    await this.tellAll();
    return 'told';
  }

  /** Everything that is kept, one by one; again every second while there is any. */
  tellAll(): Promise<void> {
    this.#round ??= this.#tellRound().finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  /** One last attempt. */
  async stop(): Promise<void> {
    for (const release of this.#releases) release();
    await this.#round;
    await this.tellAll();
    clearInterval(this.#timer);
    if (this.#kept.size > 0)
      this.#deps.log.error({ jobs: this.#kept.size }, 'ends of jobs were not recorded');
    for (const key of this.#kept.keys()) this.#forget(key);
  }

  async #tellRound(): Promise<void> {
    for (const [key, kept] of this.#kept) {
      if (!this.#deps.queue.live) return;
      if (!kept.hasLeft) kept.delivery.working();
      const isOver = (await this.#isSuperseded(kept)) || (await this.#tell(kept)) || this.#isGivenUp(kept);
      if (isOver && this.#kept.get(key) === kept) this.#forget(key);
    }
  }

  /** @returns false: it must be tried again */
  async #tell(kept: Kept, isFirst = false): Promise<boolean> {
    const { live } = this.#deps.queue;
    if (!live) return false;
    let told = await this.#store(live, kept);
    if (told === 'no-room' && !kept.hasLeft) {
      kept.hasLeft = await this.#letGo(kept, live);
      if (kept.hasLeft) told = await this.#store(live, kept);
    }
    // Room for callbacks comes by itself: the job waits in the queue, with its end on record.
    if (told === 'callbacks-full' && !kept.hasLeft) live.retryLater(kept.delivery, UNTOLD_DELAY_MS);
    else if (told !== 'all') return false;
    else if (isFirst && !kept.hasLeft) this.#letGoUnconfirmed(kept, live);
    else if (!kept.hasLeft) return this.#letGo(kept, live);
    return true;
  }

  async #store(queue: Queue, kept: Kept): Promise<Told> {
    const { now } = this.#deps;
    let told: Told = 'all';
    for (const [part, entry] of kept.left) {
      const outcome = await storeEnd(queue, entry, END_CONFIRM_MS);
      if (outcome.kind === 'accepted') kept.left.delete(part);
      else if (outcome.kind !== 'refused') return 'unconfirmed';
      else if (part === 'callback' && outcome.isFull && told === 'all') told = 'callbacks-full';
      else told = 'no-room';
    }
    if (told !== 'no-room') return told;
    kept.noRoomSinceMs ??= now();
    withoutResult(this.#deps.id, kept.delivery, kept.ended, kept.left);
    return told;
  }

  /** Confirmed, because the job must not come again while its record is only here. */
  async #letGo(kept: Kept, queue: Queue): Promise<boolean> {
    const { ended, delivery } = kept;
    if (ended.kind === 'retry') {
      queue.retryLater(delivery, Math.max(0, ended.state.nextTryAtMs - this.#deps.now()));
      return true;
    }
    if (!(await queue.finish(delivery, END_CONFIRM_MS))) return false;
    await removeOwnBody(queue, ended);
    return true;
  }

  /** What gets lost on this way has its record by now; the next delivery finds that. */
  #letGoUnconfirmed({ ended, delivery }: Kept, queue: Queue): void {
    if (ended.kind === 'retry')
      return delivery.retryLater(Math.max(0, ended.state.nextTryAtMs - this.#deps.now()));
    delivery.finish();
    void removeOwnBody(queue, ended);
  }

  /** A retry whose job is no more: another pod has run it, and its record counts. */
  async #isSuperseded({ ended, delivery, hasLeft }: Kept): Promise<boolean> {
    const { id, queue } = this.#deps;
    if (ended.kind !== 'retry' || !hasLeft || !queue.live) return false;
    try {
      const view = await queue.live.look({ kind: 'jobs', id });
      if (view && view.doneUpTo >= delivery.seq) return true;
      const record = await queue.live.result({ id, sequence: delivery.seq });
      return record !== undefined && isLater(decodeState(record), ended.state);
    } catch {
      return false;
    }
  }

  #isGivenUp({ noRoomSinceMs, left, hasLeft, delivery }: Kept): boolean {
    const { now, log, stats } = this.#deps;
    if (!hasLeft || noRoomSinceMs === undefined || now() - noRoomSinceMs < NO_ROOM_MS) return false;
    for (const part of left.keys()) stats.missing[part] += 1;
    const what = { job: delivery.seq, missing: [...left.keys()].join(', ') };
    log.error(what, 'JetStream has no room for what became of a job; the job is done with all the same');
    return true;
  }

  #keep(key: string, kept: Kept): void {
    const { callbacks, inFlight, log } = this.#deps;
    const { ended, delivery, hasLeft } = kept;
    if (ended.head && !hasLeft)
      kept.releases.push(callbacks.hold(elementId(ended.head.secret, delivery.seq)));
    kept.releases.push(inFlight.begin());
    this.#kept.set(key, kept);
    log.warn({ job: delivery.seq, end: ended.kind }, 'the end of a job is not recorded yet; trying again');
    this.#makeRoom();
    this.#timer ??= setInterval(() => void this.tellAll(), END_RETRY_MS).unref();
  }

  /** The oldest go first. */
  #makeRoom(): void {
    let bytes = 0;
    for (const { left } of this.#kept.values())
      for (const { payload } of left.values()) bytes += payload.length;
    for (const [key, { left, delivery }] of this.#kept) {
      if (this.#kept.size <= KEPT_MAX && bytes <= KEPT_BYTES_MAX) return;
      for (const [part, { payload }] of left) {
        bytes -= payload.length;
        this.#deps.stats.missing[part] += 1;
      }
      this.#deps.log.error(
        { job: delivery.seq },
        'too many ends of jobs wait for JetStream; this one is lost',
      );
      this.#forget(key);
    }
  }

  #forget(key: string): void {
    for (const release of this.#kept.get(key)?.releases ?? []) release();
    this.#kept.delete(key);
    if (this.#kept.size > 0) return;
    clearInterval(this.#timer);
    this.#timer = undefined;
  }
}

/** Another try of the same job was recorded after ours. */
function isLater(record: JobState, { secret, tries }: JobState): boolean {
  return record.secret === secret && (record.tries.at(-1)?.endedAtMs ?? 0) > (tries.at(-1)?.endedAtMs ?? 0);
}

/** Sequences begin again with a stream, secrets never. */
function keyOf({ seq }: Delivery, head: JobHead | undefined): string {
  return head ? head.secret : `unread ${seq}`;
}

/** Best effort: what stays is removed by its age. A dead letter's body is kept for its replay. */
async function removeOwnBody(queue: Queue, { kind, head }: EndedJob): Promise<void> {
  const body = kind === 'done' && head ? ownBody(head) : undefined;
  if (body) await queue.removeBody(body.name).catch(() => undefined);
}
