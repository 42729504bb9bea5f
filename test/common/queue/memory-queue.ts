/**
 * The queue in memory, for tests of what uses it: the same face as JetStream's adapter, and no server. It keeps no
 * promise beyond its process, and knows no duplicate window: a message id is spent for good.
 */
import { BodyStoreError, type StoredBody } from '../../../common/queue/body.ts';
import type { ReadChunk } from '../../../common/queue/body-wish.ts';
import { functionKey, type FunctionId } from '../../../common/bus/subjects.ts';
import type {
  CallbackEntry,
  DeadLetter,
  DeadLetterEntry,
  Delivery,
  EventEntry,
  JobEntry,
  JobRef,
  PodReader,
  Queue,
  QueueLink,
  RecordEntry,
  QueueSource,
  SourceView,
  StoreOutcome,
  TakeOptions,
  Taker,
} from '../../../common/queue/queue.ts';
import type { CallbackRoom, StoreRoom } from '../../../common/queue/room.ts';
import { Feed } from './memory-feed.ts';
import { Shelf, type Kept } from './memory-shelf.ts';

export interface MemoryOptions {
  readonly maxJobsPerFunction: number;
  readonly ackWaitMs: number;
}

const CALLBACKS_MAX_EACH = 1_000;
const CALLBACKS = 'callbacks';

type Watcher = { readonly job: JobRef | undefined; readonly listener: Parameters<QueueLink['watch']>[1] };

export class MemoryQueue implements Queue, QueueLink {
  readonly live = this;
  readonly othersBackInMs = 0;
  readonly unconfirmed = 0;
  readonly #options: MemoryOptions;
  readonly #jobs = new Shelf();
  readonly #events = new Shelf();
  readonly #dead = new Shelf();
  readonly #callbacks = new Shelf();
  readonly #feeds = new Map<string, Feed>();
  readonly #readers = new Map<string, PodReader>();
  readonly #results = new Map<string, Uint8Array>();
  readonly #bodies = new Map<string, Buffer[]>();
  readonly #watchers = new Set<Watcher>();

  constructor(options: MemoryOptions) {
    this.#options = options;
    this.#feeds.set(CALLBACKS, new Feed(CALLBACKS, options.ackWaitMs, (seq) => this.#callbacks.remove(seq)));
  }

  onStatus(): () => void {
    return () => undefined;
  }

  watch(job: JobRef | undefined, listener: Watcher['listener']): () => void {
    const watcher = { job, listener };
    this.#watchers.add(watcher);
    return () => this.#watchers.delete(watcher);
  }

  /** Upkeep's: lets the jobs of a function be taken. */
  open(id: FunctionId, isOrdered = false): void {
    const name = feedOf({ kind: 'jobs', id });
    const feed = new Feed(
      name,
      this.#options.ackWaitMs,
      (seq) => this.#jobs.remove(seq),
      isOrdered ? 1 : Infinity,
    );
    this.#feeds.set(name, feed);
    for (const kept of this.#jobs.of(id)) feed.put(kept);
  }

  async enqueue(entry: JobEntry | EventEntry): Promise<StoreOutcome> {
    if (entry.kind === 'event') {
      const put = this.#events.put(entry);
      if (put.isDuplicate) return put;
      for (const [name, { id }] of this.#readers)
        if (functionKey(id) === functionKey(entry.id))
          this.#feeds.get(name)?.put(this.#events.get(put.sequence) as Kept);
      return put;
    }
    return this.#enqueueJob(entry);
  }

  #enqueueJob(entry: Pick<JobEntry, 'id' | 'payload' | 'messageId'>): StoreOutcome {
    const isFull = this.#jobs.of(entry.id).length >= this.#options.maxJobsPerFunction;
    if (isFull && !this.#jobs.knows(entry.messageId)) return full();
    const put = this.#jobs.put(entry);
    if (!put.isDuplicate)
      this.#feeds.get(feedOf({ kind: 'jobs', id: entry.id }))?.put(this.#jobs.get(put.sequence) as Kept);
    return put;
  }

  async revoke(id: FunctionId, messageId: string): Promise<{ wasStored: boolean }> {
    const wasStored = this.#jobs.knows(messageId);
    const { sequence } = this.#jobs.put({ id, messageId, payload: new Uint8Array(0) });
    await this.cancel(sequence);
    return { wasStored };
  }

  async job({ id, sequence }: JobRef): Promise<Uint8Array | undefined> {
    const kept = this.#jobs.get(sequence);
    return kept && functionKey(kept.id) === functionKey(id) ? kept.data : undefined;
  }

  async cancel(sequence: number): Promise<boolean> {
    const kept = this.#jobs.get(sequence);
    if (!kept) return false;
    this.#feeds.get(feedOf({ kind: 'jobs', id: kept.id }))?.drop(sequence);
    return this.#jobs.remove(sequence);
  }

  async record({ id, sequence, payload }: RecordEntry): Promise<StoreOutcome> {
    this.#results.set(`${functionKey(id)}/${sequence}`, payload);
    for (const { job, listener } of this.#watchers) {
      const isMeant = !job || (job.sequence === sequence && functionKey(job.id) === functionKey(id));
      if (isMeant) listener({ id, sequence }, payload);
    }
    return { kind: 'accepted', sequence, isDuplicate: false };
  }

  async result({ id, sequence }: JobRef): Promise<Uint8Array | undefined> {
    return this.#results.get(`${functionKey(id)}/${sequence}`);
  }

  async offerResult(entry: CallbackEntry): Promise<StoreOutcome> {
    if (this.#callbacks.of(entry.id).length >= CALLBACKS_MAX_EACH) return full();
    const put = this.#callbacks.put(entry);
    if (!put.isDuplicate) this.#feeds.get(CALLBACKS)?.put(this.#callbacks.get(put.sequence) as Kept);
    return put;
  }

  async room(): Promise<StoreRoom> {
    return { inline: undefined, stored: undefined, jobs: new Map() };
  }

  async callbackRoom(): Promise<CallbackRoom> {
    return {
      all: { results: 0, bytes: 0 },
      bounds: { results: undefined, bytes: undefined },
      results: new Map(),
    };
  }

  async depth(id: FunctionId): Promise<{ jobs: number; bound: number }> {
    return { jobs: this.#jobs.of(id).length, bound: this.#options.maxJobsPerFunction };
  }

  async doneUpTo(id: FunctionId): Promise<number> {
    const [first] = this.#jobs.of(id);
    return first ? first.seq - 1 : this.#jobs.last;
  }

  take(source: QueueSource, options: TakeOptions): Taker {
    const feed = this.#feeds.get(feedOf(source));
    if (feed) return feed.take(options);
    return { credits: 0, ask: () => setImmediate(() => options.onCredits(true)), stop: () => undefined };
  }

  async finish({ receipt, seq }: Delivery): Promise<boolean> {
    this.#feeds.get(receipt)?.finish(seq);
    return true;
  }

  retryLater({ receipt, seq }: Delivery, delayMs: number): void {
    this.#feeds.get(receipt)?.retryLater(seq, delayMs);
  }

  async look(source: QueueSource): Promise<SourceView | undefined> {
    const feed = this.#feeds.get(feedOf(source));
    const doneUpTo = source.kind === 'jobs' ? await this.doneUpTo(source.id) : 0;
    return feed && { waiting: feed.waiting, madeMs: feed.madeMs, doneUpTo };
  }

  async lastSequence(id: FunctionId): Promise<number> {
    return this.#jobs.of(id).at(-1)?.seq ?? 0;
  }

  async bury(entry: DeadLetterEntry): Promise<StoreOutcome> {
    const put = this.#dead.put(entry);
    const all = this.#dead.of(entry.id);
    if (all.length > this.#options.maxJobsPerFunction) this.#dead.remove((all[0] as Kept).seq);
    return put;
  }

  async deadLetter(seq: number): Promise<DeadLetter | undefined> {
    const kept = this.#dead.get(seq);
    return kept && letterOf(kept);
  }

  async nextDeadLetter(after: number, id: FunctionId | undefined): Promise<DeadLetter | undefined> {
    const kept = this.#dead.of(id).find(({ seq }) => seq > after);
    return kept && letterOf(kept);
  }

  async dropDeadLetter(seq: number): Promise<void> {
    this.#dead.remove(seq);
  }

  async storeBody(name: string, chunks: AsyncIterable<Buffer>, maxBytes: number): Promise<StoredBody> {
    const parts: Buffer[] = [];
    let size = 0;
    for await (const chunk of chunks) {
      size += chunk.length;
      if (size > maxBytes) throw new BodyStoreError('too-large', `the body is larger than ${maxBytes} bytes`);
      parts.push(chunk);
    }
    this.#bodies.set(name, parts);
    return { name, size };
  }

  async *readBody({ name, size }: StoredBody): AsyncGenerator<Buffer> {
    const parts = this.#bodies.get(name) ?? [];
    yield* parts;
    const there = parts.reduce((sum, part) => sum + part.length, 0);
    if (there < size) throw new BodyStoreError('incomplete', `body ${name}: ${there} of ${size} bytes`);
  }

  async bodyChunk(name: string, after: number): Promise<ReadChunk> {
    const data = this.#bodies.get(name)?.[after];
    return data ? { number: after + 1, data } : { number: 0, data: new Uint8Array(0) };
  }

  async bodiesLeft(names: readonly string[]): Promise<ReadonlySet<string>> {
    return new Set(names.filter((name) => this.#bodies.has(name)));
  }

  async removeBody(name: string): Promise<void> {
    this.#bodies.delete(name);
  }

  async event(sequence: number): Promise<Uint8Array | undefined> {
    return this.#events.get(sequence)?.data;
  }

  async openReader(reader: PodReader): Promise<void> {
    const name = feedOf({ kind: 'events', ...reader });
    if (this.#readers.has(name)) return;
    const feed = new Feed(name, this.#options.ackWaitMs, () => undefined);
    this.#readers.set(name, reader);
    this.#feeds.set(name, feed);
    for (const kept of this.#events.of(reader.id)) if (kept.storedAtMs >= reader.sinceMs) feed.put(kept);
  }
}

function feedOf(source: QueueSource): string {
  if (source.kind === 'callbacks') return CALLBACKS;
  return `${source.kind} ${functionKey(source.id)} ${source.kind === 'events' ? source.pod : ''}`;
}

function letterOf({ seq, id, data, storedAtMs, history }: Kept): DeadLetter {
  return { seq, id, data, diedAtMs: storedAtMs, history };
}

function full(): StoreOutcome {
  return { kind: 'refused', isFull: true, error: new Error('maximum messages exceeded') };
}
