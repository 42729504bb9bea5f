/**
 * Undoes publishes whose callers were told 503. It publishes a void under the same message id. The answer names
 * either the void's own place or, as a duplicate, the place of the job that was stored after all. Whatever is there
 * is deleted. Until JetStream answers it tries again, at each reconnect and every second. What it gives up: the
 * duplicate window bounds it, and so does the life of this process.
 */
import { describeError } from '../../../common/runtime/errors.ts';
import { JOBS_STREAM } from '../../../common/queue/jetstream/streams.ts';
import type { Running } from '../../../common/runtime/lifecycle.ts';
import type { Log } from '../../../common/runtime/log.ts';
import type { NatsLink } from '../../../common/bus/nats.ts';
import { functionKey } from '../../../common/bus/subjects.ts';
import { publishVoid, type JobPublish } from './publisher.ts';

const INTERVAL_MS = 1_000;
/** About 200 bytes each; beyond it the oldest is given up with an error in the log. */
const PENDING_MAX = 50_000;

export class Settler implements Running {
  readonly #nats: NatsLink;
  readonly #log: Log;
  readonly #pending = new Map<string, JobPublish>();
  readonly #releases: (() => void)[];
  #isRunning = false;

  constructor(nats: NatsLink, log: Log) {
    this.#nats = nats;
    this.#log = log;
    const timer = setInterval(() => void this.#run(), INTERVAL_MS);
    timer.unref();
    this.#releases = [
      () => clearInterval(timer),
      nats.onStatus((isConnected) => isConnected && void this.#run()),
    ];
  }

  get pending(): number {
    return this.#pending.size;
  }

  /** The payload is not kept. */
  add({ id, messageId }: JobPublish): void {
    if (this.#pending.size >= PENDING_MAX) this.#giveUpOldest();
    this.#pending.set(messageId, { id, messageId, payload: new Uint8Array(0) });
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

  async #settle(job: JobPublish): Promise<void> {
    const { connection } = this.#nats;
    if (!connection) throw new Error('not connected to NATS');
    const ack = await publishVoid(connection, job);
    const jsm = await connection.jetstreamManager({ checkAPI: false });
    // Already gone: a sidecar drops voids that it meets.
    await jsm.streams.deleteMessage(JOBS_STREAM, ack.sequence).catch(() => false);
    this.#pending.delete(job.messageId);
    this.#log.info(
      { function: functionKey(job.id), wasStored: ack.isDuplicate },
      'publish without ack is settled',
    );
  }

  #giveUpOldest(): void {
    const oldest = this.#pending.keys().next().value;
    if (oldest === undefined) return;
    this.#pending.delete(oldest);
    this.#log.error({ messageId: oldest }, 'too many unsettled publishes; this one may still run');
  }
}
