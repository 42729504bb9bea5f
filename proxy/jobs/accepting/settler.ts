/**
 * Undoes publishes whose callers were told 503. Whatever is stored under the message id is deleted, and the id is spent.
 * Until the queue answers it tries again, at each reconnect and every second. What it gives up: the duplicate window
 * bounds it, and so does the life of this process.
 */
import type { QueueLink } from '../../../common/queue/queue.ts';
import { describeError } from '../../../common/runtime/errors.ts';
import type { Running } from '../../../common/runtime/lifecycle.ts';
import type { Log } from '../../../common/runtime/log.ts';
import { functionKey, type FunctionId } from '../../../common/bus/subjects.ts';

interface Unsettled {
  readonly id: FunctionId;
  readonly messageId: string;
}

const SETTLE_CONFIRM_MS = 2_000;
const INTERVAL_MS = 1_000;
/** About 200 bytes each; beyond it the oldest is given up with an error in the log. */
const PENDING_MAX = 50_000;

export class Settler implements Running {
  readonly #queue: QueueLink;
  readonly #log: Log;
  readonly #pending = new Map<string, Unsettled>();
  readonly #releases: (() => void)[];
  #isRunning = false;

  constructor(queue: QueueLink, log: Log) {
    this.#queue = queue;
    this.#log = log;
    const timer = setInterval(() => void this.#run(), INTERVAL_MS);
    timer.unref();
    this.#releases = [() => clearInterval(timer), queue.onStatus((isLive) => isLive && void this.#run())];
  }

  get pending(): number {
    return this.#pending.size;
  }

  add({ id, messageId }: Unsettled): void {
    if (this.#pending.size >= PENDING_MAX) this.#giveUpOldest();
    this.#pending.set(messageId, { id, messageId });
  }

  /** One last attempt, so that a proxy that is rolled leaves nothing open that it can close. */
  async stop(): Promise<void> {
    for (const release of this.#releases) release();
    await this.#run();
    if (this.#pending.size > 0)
      this.#log.error({ jobs: this.#pending.size }, 'unsettled publishes are left behind');
  }

  async #run(): Promise<void> {
    if (this.#isRunning || this.#pending.size === 0) return;
    this.#isRunning = true;
    try {
      for (const job of this.#pending.values()) await this.#settle(job);
    } catch (error) {
      this.#log.debug(
        { error: describeError(error), jobs: this.#pending.size },
        'publishes are not settled yet',
      );
    } finally {
      this.#isRunning = false;
    }
  }

  async #settle(job: Unsettled): Promise<void> {
    const { live } = this.#queue;
    if (!live) throw new Error('not connected to NATS');
    const { wasStored } = await live.revoke(job.id, job.messageId, SETTLE_CONFIRM_MS);
    this.#pending.delete(job.messageId);
    this.#log.info({ function: functionKey(job.id), wasStored }, 'publish without ack is settled');
  }

  #giveUpOldest(): void {
    const oldest = this.#pending.keys().next().value;
    if (oldest === undefined) return;
    this.#pending.delete(oldest);
    this.#log.error({ messageId: oldest }, 'too many unsettled publishes; this one may still run');
  }
}
