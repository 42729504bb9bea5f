/**
 * The queue: what proxy and sidecar need of a store of jobs and events, in the product's terms. JetStream is one
 * such store; only its adapter (common/queue/jetstream/) knows streams, consumers and their subjects. A second one, in
 * memory, is for tests (test/common/queue/memory-queue.ts); both pass test/common/queue/contract.test.ts.
 * See docs/internals/queue.md.
 *
 * The life of a job:
 *
 *     enqueue → queued ── take ──→ running ──┬─ finish ──────────→ done       (record first)
 *                 ↑                          ├─ retryLater(ms) ──→ retrying   (record first), queued again when due
 *                 ├──────────────────────────┤
 *                 │  retryLater(0), or silence└─ bury, finish ───→ dead       (letter and record first)
 *                 │  for the ack wait
 *                 └── replay of a dead letter: a new job
 *
 *     queued, retrying ── cancel ──→ cancelled       queued ── revoke ──→ never was (its sender was told 503)
 *
 * A running job whose function answered 202 is `waiting-for-callback`: to the queue it runs on. What is recorded of a
 * job (state.ts) stays after it has left the queue, for the result's time to live.
 *
 * The life of an event, one copy for each pod that was there:
 *
 *     enqueue → stored ── take by the pod ──→ running ──┬─ finish ─────────→ gone for this pod
 *                 ↑                                     ├─ retryLater(ms) ─→ stored, due later
 *                 └─────────────────────────────────────┘
 *     moveEvents (the pod ends, or is gone) → a job of its function, once for all pods
 *
 * Room `common/queue`: Jobs and events at rest, and JetStream behind them.
 * Comes in: a stored request.
 * Goes out: deliveries, states, results, dead letters.
 */
import type { CallbackRoom, StoreRoom } from './room.ts';
import type { FunctionId } from '../bus/subjects.ts';
import type { StoredBody } from './body.ts';
import type { ReadChunk } from './body-wish.ts';
import type { DeadHistory } from './dead.ts';

/** The queue of one process, across its connections. */
export interface QueueLink {
  /** The queue over the live connection; undefined while there is none. A new connection has a new one. */
  readonly live: Queue | undefined;
  /** See NatsLink. */
  readonly othersBackInMs: number;
  /** Called on every change. Returns its own release. */
  onStatus(listener: (isLive: boolean) => void): () => void;
  /**
   * What is recorded of one job, or of all, from now on. Holds across connections; what is recorded between two is missed.
   * @param job undefined: of all
   * @param listener gets the encoded state (state.ts), of which only the end may matter
   * @returns its own release
   */
  watch(job: JobRef | undefined, listener: (job: JobRef, state: Uint8Array) => void): () => void;
}

export interface Queue extends JobStore, Deliveries, DeadLetterStore, BodyStore, EventCopies {}

/** A job by its function and its sequence, which the queue gives each job and counts upwards. */
export interface JobRef {
  readonly id: FunctionId;
  readonly sequence: number;
}

/** The same message id within the duplicate window is stored once. */
export interface JobEntry {
  readonly kind: 'job';
  readonly id: FunctionId;
  readonly payload: Uint8Array;
  readonly messageId: string;
}

export interface EventEntry {
  readonly kind: 'event';
  readonly id: FunctionId;
  readonly event: string;
  readonly payload: Uint8Array;
  readonly messageId: string;
}

/** The state of a job; the last one counts. */
export interface RecordEntry extends JobRef {
  readonly kind: 'record';
  /** Encoded (state.ts). */
  readonly payload: Uint8Array;
}

export interface DeadLetterEntry {
  readonly kind: 'dead-letter';
  readonly id: FunctionId;
  /** The job's own. */
  readonly payload: Uint8Array;
  readonly history: DeadHistory;
  readonly messageId: string;
}

/** A result for the URL that its job was given (callback.ts). */
export interface CallbackEntry {
  readonly kind: 'callback';
  readonly id: FunctionId;
  readonly payload: Uint8Array;
  readonly messageId: string;
}

/** What is stored at a job's end. */
export type EndEntry = RecordEntry | DeadLetterEntry | CallbackEntry;
export type Entry = JobEntry | EventEntry | EndEntry;

/** Never an exception: a caller must tell "is not stored" from "nobody knows". */
export type StoreOutcome =
  | { readonly kind: 'accepted'; readonly sequence: number; readonly isDuplicate: boolean }
  /** The queue answered: it has not stored it. `isFull`: at a bound of its own, of a function or of a kind of entry. */
  | { readonly kind: 'refused'; readonly error: Error; readonly isFull: boolean }
  /** Never left this process, or nobody was there to take it. */
  | { readonly kind: 'not-sent'; readonly error: Error }
  | { readonly kind: 'unknown'; readonly error: Error };

/** All that ask throw {@link QueueError}. */
export interface JobStore {
  /** Stores that wait for their confirmation. */
  readonly unconfirmed: number;
  enqueue(entry: JobEntry | EventEntry, timeoutMs: number): Promise<StoreOutcome>;
  record(entry: RecordEntry, timeoutMs: number): Promise<StoreOutcome>;
  /** A result for the proxies, who post it. */
  offerResult(entry: CallbackEntry, timeoutMs: number): Promise<StoreOutcome>;
  /**
   * Undoes an enqueue whose outcome is unknown: the job goes if it was stored, and its message id is spent in any case.
   * @throws Error when it is not confirmed; then it must be tried again
   */
  revoke(id: FunctionId, messageId: string, timeoutMs: number): Promise<{ readonly wasStored: boolean }>;
  /** The payload of a queued, running or retrying job; undefined: there is none of that function. */
  job(job: JobRef): Promise<Uint8Array | undefined>;
  /** Takes a job out of the queue. @returns false: it was not there any more */
  cancel(sequence: number): Promise<boolean>;
  /** The encoded state (state.ts) that was recorded last. */
  result(job: JobRef): Promise<Uint8Array | undefined>;
  /** How full what jobs are kept in is, and how many unfinished jobs each function has. */
  room(): Promise<StoreRoom>;
  callbackRoom(): Promise<CallbackRoom>;
  /** How many unfinished jobs a function has, and may have. */
  depth(id: FunctionId): Promise<{ readonly jobs: number; readonly bound: number }>;
  /** All jobs of the function up to this sequence are finished; 0: nobody can tell. */
  doneUpTo(id: FunctionId): Promise<number>;
}

/** From where entries are taken. */
export type QueueSource =
  | { readonly kind: 'jobs'; readonly id: FunctionId }
  | { readonly kind: 'events'; readonly id: FunctionId; readonly pod: string }
  /** Results on their way to URLs, of all functions. */
  | { readonly kind: 'callbacks' };

export interface Delivery {
  readonly data: Uint8Array;
  /** Whose it is, where that is known. */
  readonly id?: FunctionId | undefined;
  /** The job's sequence. */
  readonly seq: number;
  /** Times it was delivered, this one included. */
  readonly deliveries: number;
  /** Entries of the same source that are still to be delivered. */
  readonly pending: number;
  readonly storedAtMs: number;
  /** Its place in the order in which its source delivered; it falls when the source was made again. */
  readonly order: number;
  /** A revoked enqueue: nothing to run. */
  readonly isVoid: boolean;
  /** Names this delivery to the queue that made it. */
  readonly receipt: string;
  /** Each of the three is sent and not confirmed; on a connection that is gone it is silence. */
  finish(): void;
  /** Back to the queue, due after `delayMs`. */
  retryLater(delayMs: number): void;
  /** Prolongs the delivery by the ack wait. */
  working(): void;
}

export interface TakeOptions {
  readonly onDelivery: (delivery: Delivery) => void;
  /**
   * What was asked for ended without a delivery: time to ask again. `isRefused`: not at once, because there is no such
   * source (yet), or it has too many open requests.
   */
  readonly onCredits: (isRefused: boolean) => void;
}

/** Gets as many entries as it asked for, and no more. */
export interface Taker {
  /** Asked for and not received. */
  readonly credits: number;
  ask(entries: number): void;
  /** What is on its way still comes, to be given back. */
  stop(): void;
}

export interface SourceView {
  /** Not delivered yet. */
  readonly waiting: number;
  /** Since when it is there. */
  readonly madeMs: number;
  /** Everything up to this sequence is finished. */
  readonly doneUpTo: number;
}

export interface Deliveries {
  take(source: QueueSource, options: TakeOptions): Taker;
  /** For a delivery that came by an earlier connection. True once the queue has it, or does not know it any more; never rejects. */
  finish(delivery: Delivery, timeoutMs: number): Promise<boolean>;
  /** For a delivery that came by an earlier connection. */
  retryLater(delivery: Pick<Delivery, 'receipt'>, delayMs: number): void;
  /** Undefined: the source is not there. @throws QueueError */
  look(source: QueueSource): Promise<SourceView | undefined>;
  /** The sequence of the function’s job that was stored last and has not ended; 0: there is none. @throws QueueError */
  lastSequence(id: FunctionId): Promise<number>;
}

/** A job that was given up. */
export interface DeadLetter {
  /** Its own number among the dead letters. */
  readonly seq: number;
  readonly id: FunctionId;
  readonly data: Uint8Array;
  readonly diedAtMs: number;
  /** Undefined: somebody else put it there. */
  readonly history: DeadHistory | undefined;
}

/** All throw {@link QueueError}. */
export interface DeadLetterStore {
  bury(entry: DeadLetterEntry, timeoutMs: number): Promise<StoreOutcome>;
  deadLetter(seq: number): Promise<DeadLetter | undefined>;
  /** The first one after that number. @param id undefined: of every function */
  nextDeadLetter(after: number, id: FunctionId | undefined): Promise<DeadLetter | undefined>;
  /** Harmless when it is not there. */
  dropDeadLetter(seq: number): Promise<void>;
}

/** Bodies that are too large to travel with their job. */
export interface BodyStore {
  /**
   * On any failure what was stored is removed again, as far as the queue answers.
   * @param name one that no other body ever has, see `bodyName`
   * @throws BodyStoreError `too-large` once more than `maxBytes` came; what `chunks` throws; an error without confirmation
   */
  storeBody(name: string, chunks: AsyncIterable<Buffer>, maxBytes: number): Promise<StoredBody>;
  /** The chunks in order. @throws BodyStoreError `incomplete` */
  readBody(body: StoredBody): AsyncIterable<Buffer>;
  /** The chunk of a body after that one; 0: the first. For those who may not read it themselves. */
  bodyChunk(name: string, after: number): Promise<ReadChunk>;
  /** Harmless when it is not there. */
  removeBody(name: string): Promise<void>;
  /** Those of these bodies whose beginning is in the store. */
  bodiesLeft(names: readonly string[]): Promise<ReadonlySet<string>>;
}

export interface PodReader {
  readonly id: FunctionId;
  readonly pod: string;
  /** Events from then on are its. */
  readonly sinceMs: number;
}

/** The events of one function, a copy for each of its pods. All throw {@link QueueError}. */
export interface EventCopies {
  /** The payload of a stored event. */
  event(sequence: number): Promise<Uint8Array | undefined>;
  /**
   * Makes the pod a reader of its function's events, if it is none. The scalers do that. A sidecar does it where no
   * scaler answers and NATS does not authenticate its clients.
   */
  openReader(reader: PodReader): Promise<void>;
}

/** `missing`: it is not there (yet). `refused`: any other answer. `unanswered`: none came. */
export type QueueErrorKind = 'missing' | 'refused' | 'unanswered';

export class QueueError extends Error {
  readonly kind: QueueErrorKind;

  constructor(kind: QueueErrorKind, message: string) {
    super(message);
    this.name = 'QueueError';
    this.kind = kind;
  }
}
