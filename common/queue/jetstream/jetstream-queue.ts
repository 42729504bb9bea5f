/** The queue over one connection to NATS: each call as a message or a question to JetStream. */
import type { NatsConnection } from '../../bus/nats.ts';
import { everyFunction, functionSubject, resultSubject, type FunctionId } from '../../bus/subjects.ts';
import { isEventBodyName, isOldBodyName, type StoredBody } from '../body.ts';
import type { ReadChunk } from '../body-wish.ts';
import type {
  DeadLetter,
  DeadLetterEntry,
  Delivery,
  Entry,
  JobRef,
  PodReader,
  Queue,
  QueueSource,
  SourceView,
  StoreOutcome,
  TakeOptions,
  Taker,
} from '../queue.ts';
import type { CallbackRoom, StoreRoom } from '../room.ts';
import { AckedPublisher } from './acked-publisher.ts';
import { askForChunk, askToRemove } from './bodies/ask-proxies.ts';
import {
  bodiesLeft,
  readStoredBody,
  readChunk,
  removeBody,
  storeBody,
  type ReadNext,
} from './bodies/body-store.ts';
import { deadLetterOf } from './dead-letter.ts';
import { readCallbackRoom, readRoom } from './depth.ts';
import { finishOn, retryLaterOn } from './delivery.ts';
import {
  absentIf,
  answered,
  CONSUMER_NOT_FOUND,
  getLast,
  getStored,
  isNarrow,
  MESSAGE_NOT_FOUND,
  type JetStreamManager,
} from './library.ts';
import { messageOf, voidOf } from './messages.ts';
import { ensurePodConsumer } from './events/pod-consumer.ts';
import { PullConsumer } from './pull.ts';
import {
  CALLBACKS_CONSUMER,
  CALLBACKS_STREAM,
  DEAD_STREAM,
  EVENTS_STREAM,
  JOBS_STREAM,
  RESULTS_STREAM,
} from './streams.ts';
import { consumerName, eventConsumerName } from './names.ts';

export class JetStreamQueue implements Queue {
  readonly #connection: NatsConnection;
  readonly #publisher: AckedPublisher;
  readonly #owner: FunctionId | undefined;

  constructor(connection: NatsConnection, owner?: FunctionId) {
    this.#connection = connection;
    this.#publisher = AckedPublisher.of(connection);
    this.#owner = owner;
  }

  /**
   * The one of this connection.
   * @param owner the function whose sidecar has it
   */
  static of(connection: NatsConnection, owner?: FunctionId): JetStreamQueue {
    let queue = queues.get(connection);
    if (!queue) queues.set(connection, (queue = new JetStreamQueue(connection, owner)));
    return queue;
  }

  /** The function for which the proxies do what this connection may not. */
  get #asksFor(): FunctionId | undefined {
    return this.#owner && isNarrow(this.#connection) ? this.#owner : undefined;
  }

  get unconfirmed(): number {
    return this.#publisher.waiting;
  }

  enqueue(entry: Entry, timeoutMs: number): Promise<StoreOutcome> {
    return this.#publisher.publish(messageOf(entry), timeoutMs);
  }

  record(entry: Entry, timeoutMs: number): Promise<StoreOutcome> {
    return this.#publisher.publish(messageOf(entry), timeoutMs);
  }

  offerResult(entry: Entry, timeoutMs: number): Promise<StoreOutcome> {
    return this.#publisher.publish(messageOf(entry), timeoutMs);
  }

  bury(entry: DeadLetterEntry, timeoutMs: number): Promise<StoreOutcome> {
    return this.#publisher.publish(messageOf(entry), timeoutMs);
  }

  async revoke(id: FunctionId, messageId: string, timeoutMs: number): Promise<{ wasStored: boolean }> {
    const outcome = await this.#publisher.publish(voidOf(id, messageId), timeoutMs);
    if (outcome.kind !== 'accepted') throw outcome.error;
    // Already gone: a sidecar drops voids that it meets.
    await this.cancel(outcome.sequence).catch(() => false);
    return { wasStored: outcome.isDuplicate };
  }

  job({ id, sequence }: JobRef): Promise<Uint8Array | undefined> {
    return this.#ask(async (jsm) => {
      const message = await getStored(jsm, JOBS_STREAM, { seq: sequence });
      const isJob = message?.subject === functionSubject('job', id) && message.data.length > 0;
      return isJob ? message.data : undefined;
    });
  }

  cancel(sequence: number): Promise<boolean> {
    const gone = absentIf(...MESSAGE_NOT_FOUND);
    return this.#ask(
      async (jsm) => (await jsm.streams.deleteMessage(JOBS_STREAM, sequence).catch(gone)) ?? false,
    );
  }

  result({ id, sequence }: JobRef): Promise<Uint8Array | undefined> {
    const subject = resultSubject(id, sequence);
    return this.#ask(async (jsm) => (await getLast(jsm, RESULTS_STREAM, subject))?.data);
  }

  depth(id: FunctionId): Promise<{ jobs: number; bound: number }> {
    const subject = functionSubject('job', id);
    return this.#ask(async (jsm) => {
      const { state, config } = await jsm.streams.info(JOBS_STREAM, { subjects_filter: subject });
      return { jobs: state.subjects?.[subject] ?? 0, bound: config.max_msgs_per_subject };
    });
  }

  room(): Promise<StoreRoom> {
    return this.#ask(readRoom);
  }

  callbackRoom(): Promise<CallbackRoom> {
    return this.#ask(readCallbackRoom);
  }

  /** No job at all: everything is done. Else what the function's consumer has seen acknowledged without a gap. */
  doneUpTo(id: FunctionId): Promise<number> {
    const subject = functionSubject('job', id);
    return this.#ask(async (jsm) => {
      const { state } = await jsm.streams.info(JOBS_STREAM, { subjects_filter: subject });
      if ((state.subjects?.[subject] ?? 0) === 0) return state.last_seq;
      return (await jsm.consumers.info(JOBS_STREAM, consumerName(id))).ack_floor.stream_seq;
    });
  }

  take(source: QueueSource, options: TakeOptions): Taker {
    return new PullConsumer({ connection: this.#connection, ...placeOf(source), ...options });
  }

  finish(delivery: Delivery, timeoutMs: number): Promise<boolean> {
    return finishOn(this.#connection, delivery, timeoutMs);
  }

  retryLater(delivery: Pick<Delivery, 'receipt'>, delayMs: number): void {
    retryLaterOn(this.#connection, delivery, delayMs);
  }

  look(source: QueueSource): Promise<SourceView | undefined> {
    const { stream, consumer } = placeOf(source);
    return this.#ask(async (jsm) => {
      const info = await jsm.consumers.info(stream, consumer).catch(absentIf(CONSUMER_NOT_FOUND));
      if (!info) return undefined;
      const { num_pending: waiting, created, ack_floor } = info;
      return { waiting, madeMs: Date.parse(created), doneUpTo: ack_floor.stream_seq };
    });
  }

  lastSequence(id: FunctionId): Promise<number> {
    const subject = functionSubject('job', id);
    return this.#ask(async (jsm) => (await getLast(jsm, JOBS_STREAM, subject))?.seq ?? 0);
  }

  deadLetter(seq: number): Promise<DeadLetter | undefined> {
    return this.#deadLetter({ seq });
  }

  nextDeadLetter(after: number, id: FunctionId | undefined): Promise<DeadLetter | undefined> {
    const subject = id ? functionSubject('dead', id) : everyFunction('dead');
    return this.#deadLetter({ seq: after + 1, next_by_subj: subject });
  }

  #deadLetter(query: {
    readonly seq: number;
    readonly next_by_subj?: string;
  }): Promise<DeadLetter | undefined> {
    return this.#ask(async (jsm) => {
      const message = await getStored(jsm, DEAD_STREAM, query);
      return message && deadLetterOf(message);
    });
  }

  async dropDeadLetter(seq: number): Promise<void> {
    const gone = absentIf(...MESSAGE_NOT_FOUND); // somebody else was quicker
    await this.#ask((jsm) => jsm.streams.deleteMessage(DEAD_STREAM, seq).catch(gone));
  }

  storeBody(name: string, chunks: AsyncIterable<Buffer>, maxBytes: number): Promise<StoredBody> {
    const js = this.#connection.jetstream();
    return this.#ask((jsm) => storeBody({ js, jsm }, name, chunks, maxBytes));
  }

  async *readBody(body: StoredBody): AsyncGenerator<Buffer> {
    const jsm = await this.#jsm();
    const { name } = body;
    const asksFor = isOldBodyName(name) || isEventBodyName(name) ? this.#asksFor : undefined;
    const readNext: ReadNext = asksFor
      ? (name, after) => askForChunk(this.#connection, asksFor, { kind: 'read', name, after })
      : (name, after) => readChunk(jsm, name, after);
    yield* readStoredBody(body, readNext);
  }

  bodyChunk(name: string, after: number): Promise<ReadChunk> {
    return this.#ask((jsm) => readChunk(jsm, name, after));
  }

  removeBody(name: string): Promise<void> {
    const asksFor = this.#asksFor;
    if (asksFor) return answered(askToRemove(this.#connection, asksFor, name));
    return this.#ask((jsm) => removeBody(jsm, name));
  }

  bodiesLeft(names: readonly string[]): Promise<ReadonlySet<string>> {
    return this.#ask((jsm) => bodiesLeft(jsm, names));
  }

  event(sequence: number): Promise<Uint8Array | undefined> {
    return this.#ask(async (jsm) => (await getStored(jsm, EVENTS_STREAM, { seq: sequence }))?.data);
  }

  openReader(reader: PodReader): Promise<void> {
    return this.#ask((jsm) => ensurePodConsumer(jsm, reader));
  }

  /** @throws QueueError */
  #ask<T>(ask: (jsm: JetStreamManager) => Promise<T>): Promise<T> {
    return answered(this.#jsm().then(ask));
  }

  /** Asks the server nothing: without JetStream the first question fails and says so. */
  #jsm(): Promise<JetStreamManager> {
    return this.#connection.jetstreamManager({ checkAPI: false });
  }
}

const queues = new WeakMap<NatsConnection, JetStreamQueue>();

function placeOf(source: QueueSource): { readonly stream: string; readonly consumer: string } {
  switch (source.kind) {
    case 'jobs':
      return { stream: JOBS_STREAM, consumer: consumerName(source.id) };
    case 'events':
      return { stream: EVENTS_STREAM, consumer: eventConsumerName(source.id.namespace, source.pod) };
    case 'callbacks':
      return { stream: CALLBACKS_STREAM, consumer: CALLBACKS_CONSUMER };
  }
}
