/**
 * Takes the results that wait for their URLs, a few at a time, and posts them. What fails is given back to
 * JetStream with a delay, so it outlives this proxy; it is given up when it is too old. It gives up a record of
 * what became of a post beyond log and metric: the result itself can be asked for by its job's id. A function whose
 * results wait for long and take more than its share of the store loses some, so that those of others find room.
 *
 * Room `proxy/callbacks`: Results on their way to callback URLs.
 * Comes in: stored results.
 * Goes out: posts to allowed addresses.
 */
import { functionKey } from '../../common/bus/subjects.ts';
import type { Delivery, QueueLink, Taker } from '../../common/queue/queue.ts';
import { describeError } from '../../common/runtime/errors.ts';
import { decodeCallback, type ResultCallback } from '../../common/queue/callback.ts';
import type { Running } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import { jobView } from '../jobs/query.ts';
import { CallbackShare } from './callback-share.ts';
import { postResult, type PostDeps, type PostOutcome } from './post.ts';
import { CALLBACK_TTL_MS } from '../../common/queue/settings.ts';

export type CallbackEnd = PostOutcome['kind'] | 'given-up';

export interface DelivererOptions extends PostDeps {
  readonly queue: QueueLink;
  readonly log: Log;
  readonly ended: (how: CallbackEnd) => void;
  readonly now: () => number;
}

/** Posts at once; a receiver may have a quarter of them, so that one that hangs is in nobody's way. */
const MAX_POSTS_AT_ONCE = 16;
const POSTS_AT_ONCE_PER_RECEIVER = 4;
/** What found its receiver busy is looked at again after this. */
const BUSY_MS = 1_000;
/** Results that have waited for less are never given up for their share. */
const SHARE_AFTER_MS = 10_000;
const FIRST_DELAY_MS = 2_000;
const DELAY_MAX_MS = 3_600_000;
/** The consumer is not there yet, or NATS is not. */
const PULL_PAUSE_MS = 1_000;

const CALLBACKS = { kind: 'callbacks' } as const;

export class CallbackDeliverer implements Running {
  readonly #options: DelivererOptions;
  readonly #release: () => void;
  readonly #running = new Set<Promise<void>>();
  readonly #perReceiver = new Map<string, number>();
  readonly #share: CallbackShare;
  #taker: Taker | undefined;
  #pause: NodeJS.Timeout | undefined;
  #isStopped = false;

  constructor(options: DelivererOptions) {
    this.#options = options;
    this.#share = new CallbackShare(options);
    this.#release = options.queue.onStatus(() => this.#connect());
    this.#connect();
  }

  /** Results that are being posted now. */
  get posting(): number {
    return this.#running.size;
  }

  /** What is being posted is finished; its time is bounded. */
  async stop(): Promise<void> {
    this.#isStopped = true;
    this.#release();
    clearTimeout(this.#pause);
    this.#taker?.stop();
    this.#taker = undefined;
    await Promise.all(this.#running);
  }

  #connect(): void {
    this.#taker?.stop();
    this.#taker = undefined;
    const { live } = this.#options.queue;
    if (!live) return;
    this.#taker = live.take(CALLBACKS, {
      onDelivery: (delivery) => this.#receive(delivery),
      onCredits: (isRefused) => {
        if (isRefused) this.#pause = setTimeout(() => this.#fill(), PULL_PAUSE_MS).unref();
        else this.#fill();
      },
    });
    this.#fill();
  }

  #fill(): void {
    const free = MAX_POSTS_AT_ONCE - this.#running.size;
    if (free > 0 && this.#taker?.credits === 0) this.#taker.ask(free);
  }

  #receive(delivery: Delivery): void {
    if (this.#isStopped) return delivery.retryLater(0);
    const run: Promise<void> = this.#handle(delivery).finally(() => {
      this.#running.delete(run);
      this.#fill();
    });
    this.#running.add(run);
  }

  async #handle(delivery: Delivery): Promise<void> {
    const callback = this.#decode(delivery);
    if (!callback) return delivery.finish();
    const receiver = URL.parse(callback.url)?.host ?? '';
    const busy = this.#perReceiver.get(receiver) ?? 0;
    if (busy >= POSTS_AT_ONCE_PER_RECEIVER) return this.#postpone(delivery, callback, BUSY_MS);
    this.#perReceiver.set(receiver, busy + 1);
    try {
      await this.#settle(delivery, callback, await postResult(postOf(callback), this.#options));
    } finally {
      const left = (this.#perReceiver.get(receiver) ?? 1) - 1;
      if (left > 0) this.#perReceiver.set(receiver, left);
      else this.#perReceiver.delete(receiver);
    }
  }

  #decode(delivery: Delivery): ResultCallback | undefined {
    try {
      return decodeCallback(delivery.data);
    } catch (error) {
      this.#options.log.error({ error: describeError(error) }, 'result for a URL that cannot be read');
      return undefined;
    }
  }

  async #settle(delivery: Delivery, callback: ResultCallback, outcome: PostOutcome): Promise<void> {
    const { ended, log, now } = this.#options;
    const what = { job: callback.elementId.slice(32), receiver: URL.parse(callback.url)?.host, ...outcome };
    const delayMs = outcome.kind === 'failed' ? nextDelayMs(now() - callback.endedAtMs) : undefined;
    if (delayMs !== undefined) {
      log.info({ ...what, delayMs }, 'result not delivered; will be tried again');
      ended('failed');
      return this.#postpone(delivery, callback, delayMs);
    }
    if (outcome.kind !== 'delivered') log.warn(what, 'result not delivered; given up');
    ended(outcome.kind === 'failed' ? 'given-up' : outcome.kind);
    delivery.finish();
  }

  async #postpone(delivery: Delivery, { elementId, url }: ResultCallback, delayMs: number): Promise<void> {
    const { ended, log, now } = this.#options;
    const { id, data, storedAtMs } = delivery;
    const isLate = now() - storedAtMs >= SHARE_AFTER_MS;
    if (!id || !isLate || !(await this.#share.givesUp(id, data.length))) return delivery.retryLater(delayMs);
    log.warn(
      { function: functionKey(id), job: elementId.slice(32), receiver: URL.parse(url)?.host },
      'result not delivered; given up, because the results of its function take more than their share of the store',
    );
    ended('given-up');
    delivery.finish();
  }
}

/**
 * Each try when the time since the job's end has doubled: after 2, 4, 8 s …, an hour at most, about 35 in a day.
 * @returns undefined: it is too old by then
 */
export function nextDelayMs(ageMs: number): number | undefined {
  const delay = Math.min(DELAY_MAX_MS, Math.max(FIRST_DELAY_MS, ageMs));
  return ageMs + delay < CALLBACK_TTL_MS ? delay : undefined;
}

function postOf({ url, elementId, state }: ResultCallback) {
  return { url, elementId, body: Buffer.from(JSON.stringify(jobView(elementId, state))) };
}
