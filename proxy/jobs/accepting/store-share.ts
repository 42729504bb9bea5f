/**
 * How much of what NATS keeps jobs in one function may hold: three times what is left free. One alone gets three quarters,
 * and the others always find room. JetStream counts bytes by stream and not by function, so the proxy keeps account of the
 * jobs that it has accepted. How full the streams are it reads every few seconds. As the room shrinks, so does what each
 * proxy lets in: several of them, or one that was restarted and has forgotten its account, leave less free and never
 * nothing.
 *
 * A job leaves the account (store-accounts.ts) when the queue says that the function has none left, or that all up to some
 * number are done. A function that is at its bound is looked at job by job. Then it is asked which large bodies are left.
 */
import { functionKey, type FunctionId } from '../../../common/bus/subjects.ts';
import type { Queue, QueueLink } from '../../../common/queue/queue.ts';
import type { StoreKind, StoreRoom } from '../../../common/queue/room.ts';
import { ReasonError } from '../../../common/runtime/errors.ts';
import { StoreAccounts, type StoreAccount } from './store-accounts.ts';

/** What is held for one job, until it is stored or given up. */
export interface ShareHold {
  /** It became another size, or too large to travel in a message. @throws ReasonError `queue-full` for more than may be */
  resize(kind: StoreKind, bytes: number): void;
  /** The job was stored under this sequence. @param body the name of its large body */
  settle(sequence: number, body?: string): void;
  /** It was not; harmless after `settle`. */
  release(): void;
}

export interface StoreShareOptions {
  readonly queue: Pick<QueueLink, 'live'>;
  readonly now?: () => number;
}

const TIMES_FREE = 3;
/** What is less than this is never refused for its share. */
const ALWAYS_BYTES = 1024 * 1024;
/** Between two readings, and for so long one is believed. */
const READ_MS = 2_000;
const RETRY_AFTER_SECONDS = 2;
/** A look at the jobs of a function that is at its bound, twice a second. */
const LOOK_MS = 500;
const LOOK_JOBS = 32;
/** Functions whose large bodies are asked about with each reading. */
const LOOK_BODIES = 16;

/** Without a bound there is nothing to count. */
const NO_HOLD: ShareHold = { resize: () => undefined, settle: () => undefined, release: () => undefined };

export class StoreShare {
  readonly #options: StoreShareOptions;
  readonly #now: () => number;
  readonly #accounts = new StoreAccounts();
  #room: StoreRoom | undefined;
  /** On its way: whoever reads how full the streams are does not see it yet, or sees a part of it. */
  readonly #coming: Record<StoreKind, number> = { inline: 0, stored: 0 };
  /** Stored since the last reading. */
  readonly #taken: Record<StoreKind, number> = { inline: 0, stored: 0 };
  #readAt = -Infinity;
  #reading: Promise<void> | undefined;

  constructor(options: StoreShareOptions) {
    this.#options = options;
    this.#now = options.now ?? (() => performance.now());
  }

  /** What is left, as far as is known; undefined: without a bound, or not known yet. */
  free(kind: StoreKind): number | undefined {
    const room = this.#room?.[kind];
    return room && Math.max(0, room.maxBytes - room.bytes - this.#taken[kind] - this.#coming[kind]);
  }

  heldBy(id: FunctionId, kind: StoreKind): number {
    return this.#accounts.heldBy(id, kind);
  }

  /** How many jobs are accounted for. */
  get entries(): number {
    return this.#accounts.entries;
  }

  /** @throws ReasonError `queue-full`; nothing is held then */
  async check(id: FunctionId, kind: StoreKind, bytes: number): Promise<void> {
    this.refresh();
    if (this.#isAbove(id, kind, bytes)) await this.#look(id);
    if (this.#isAbove(id, kind, bytes)) throw this.#refusal(id, kind);
  }

  /** @throws ReasonError `queue-full`; nothing is held then */
  async take(id: FunctionId, kind: StoreKind, bytes: number): Promise<ShareHold> {
    await this.check(id, kind, bytes);
    if (this.#room && !this.#room.inline && !this.#room.stored) return NO_HOLD;
    const account = this.#accounts.of(id);
    const add = (amount: number): void => {
      account.held[kind] += amount;
      this.#coming[kind] += amount;
    };
    add(bytes);
    account.coming += 1;
    let isOpen = true;
    return {
      resize: (nextKind, nextBytes) => {
        if (!isOpen) return;
        add(-bytes);
        const isRefused = (nextBytes > bytes || nextKind !== kind) && this.#isAbove(id, nextKind, nextBytes);
        if (!isRefused) [kind, bytes] = [nextKind, nextBytes];
        add(bytes);
        if (isRefused) throw this.#refusal(id, nextKind);
      },
      settle: (sequence, body) => {
        if (!isOpen) return;
        isOpen = false;
        account.coming -= 1;
        this.#coming[kind] -= bytes;
        this.#taken[kind] += bytes;
        this.#accounts.enter(account, sequence, { kind, bytes, body });
      },
      release: () => {
        if (!isOpen) return;
        isOpen = false;
        account.coming -= 1;
        this.#coming[kind] -= bytes;
        this.#accounts.give(account, kind, bytes);
      },
    };
  }

  /**
   * Large bodies of events stay until they are too old, whoever has read them. So they may have half of the room, together
   * with those of jobs: jobs find the other half.
   * @param isStored false: it is only announced
   * @throws ReasonError `queue-full`
   */
  checkEvent(bytes: number, isStored: boolean): void {
    this.refresh();
    const free = this.free('stored');
    const half = (this.#room?.stored?.maxBytes ?? 0) / 2;
    if (free !== undefined && free - bytes < half) {
      const message = `NATS keeps large bodies in ${2 * half} bytes, and ${free} are free. Events may use them only while at least half stays free; try again later`;
      throw new ReasonError('queue-full', message, { retryAfterSeconds: RETRY_AFTER_SECONDS });
    }
    if (isStored) this.#taken.stored += bytes;
  }

  #isAbove(id: FunctionId, kind: StoreKind, bytes: number): boolean {
    const free = this.free(kind);
    if (free === undefined) return false;
    const held = this.heldBy(id, kind) + bytes;
    return held > ALWAYS_BYTES && held > TIMES_FREE * Math.max(0, free - bytes);
  }

  #refusal(id: FunctionId, kind: StoreKind): ReasonError {
    const what = kind === 'inline' ? 'jobs' : 'large bodies of jobs';
    const message = `${id.name} holds ${this.heldBy(id, kind)} bytes of the store for ${what}. For all functions together ${this.free(kind)} bytes are free. Try again when some of its jobs are done${kind === 'stored' ? ', or dead letters dropped' : ''}`;
    return new ReasonError('queue-full', message, { retryAfterSeconds: RETRY_AFTER_SECONDS });
  }

  /** Reads again when the last reading is old; nobody waits for it. */
  refresh(): void {
    if (this.#now() - this.#readAt < READ_MS) return;
    this.#reading ??= this.#read().finally(() => (this.#reading = undefined));
  }

  async #read(): Promise<void> {
    const { live } = this.#options.queue;
    if (!live) return;
    const before = new Map(this.#accounts.all.map((account) => [account, account.last]));
    try {
      const taken = { ...this.#taken };
      this.#room = await live.room();
      for (const kind of KINDS) this.#taken[kind] -= taken[kind];
      this.#readAt = this.#now();
      this.#dropDone(before, this.#room.jobs);
      await this.#lookAtOldBodies(live);
    } catch {
      this.#readAt = this.#now(); // what was read before counts on
    }
  }

  /** A function without any job: what had been stored by then is done. */
  #dropDone(before: ReadonlyMap<StoreAccount, number>, jobs: ReadonlyMap<string, number>): void {
    for (const [account, last] of before) {
      if (jobs.has(functionKey(account.id))) continue;
      for (const sequence of account.jobs.keys()) if (sequence <= last) this.#accounts.end(account, sequence);
    }
  }

  async #look(id: FunctionId): Promise<void> {
    const account = this.#accounts.of(id);
    const { live } = this.#options.queue;
    if (!live || this.#now() - account.lookedAt < LOOK_MS) return;
    account.lookedAt = this.#now();
    const done = await live.doneUpTo(id).catch(() => 0);
    for (const sequence of account.jobs.keys()) if (sequence <= done) this.#accounts.end(account, sequence);
    const open = [...account.jobs].filter(([, { hasEnded }]) => !hasEnded).slice(0, LOOK_JOBS);
    await Promise.all(open.map(([sequence]) => this.#lookAt(live, account, sequence)));
    await this.#lookAtBodies(live, account);
    this.#readAt = -Infinity;
    this.refresh();
    await this.#reading;
  }

  async #lookAt(queue: Queue, account: StoreAccount, sequence: number): Promise<void> {
    const isThere = await queue.job({ id: account.id, sequence }).then(
      (payload) => payload !== undefined,
      () => true,
    );
    if (!isThere) return this.#accounts.end(account, sequence);
    const entry = account.jobs.get(sequence);
    if (!entry) return;
    account.jobs.delete(sequence);
    account.jobs.set(sequence, entry); // behind the others
  }

  async #lookAtOldBodies(queue: Queue): Promise<void> {
    const accounts = this.#accounts.all
      .filter(({ jobs }) => [...jobs.values()].some(({ hasEnded }) => hasEnded))
      .toSorted((a, b) => a.bodiesAt - b.bodiesAt);
    for (const account of accounts.slice(0, LOOK_BODIES)) await this.#lookAtBodies(queue, account);
  }

  /** Bytes of large bodies whose jobs have ended: none for one that is done, and all of a dead one until its letter is dropped. */
  async #lookAtBodies(queue: Queue, account: StoreAccount): Promise<void> {
    account.bodiesAt = this.#now();
    const ended = [...account.jobs].filter(([, { hasEnded }]) => hasEnded);
    if (ended.length === 0) return;
    const names = ended.flatMap(([, { body }]) => body ?? []);
    const left = await queue.bodiesLeft(names).catch(() => new Set(names));
    for (const [sequence, entry] of ended)
      if (account.jobs.get(sequence) === entry && !left.has(entry.body ?? ''))
        this.#accounts.strike(account, sequence);
  }
}

const KINDS: readonly StoreKind[] = ['inline', 'stored'];
