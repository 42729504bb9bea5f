/**
 * The leader's care for JetStream: streams as the flags say, one consumer per function, and how many jobs each function
 * has, read once per tick. JetStream may be slow, away or not enabled at all. Then scaling goes on with what was last
 * read. A function of which nothing was ever read has no jobs.
 *
 * Room `scaler/jobs`: Streams and consumers of jobs and events.
 * Comes in: functions, NATS.
 * Goes out: streams that exist, depths.
 */
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import { QueueError } from '../../common/queue/queue.ts';
import type { JobSettings } from '../../common/queue/settings.ts';
import type { JobDepth, JobFunction, Upkeep, UpkeepLink } from '../../common/queue/upkeep.ts';
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';

/** What the keeper must know of a function. */
export interface KeptFunction extends JobFunction {
  /** It has a trigger on the rate of jobs, which costs a request per tick. */
  readonly wantsRate: boolean;
}

export interface JobKeeperOptions {
  readonly queue: UpkeepLink;
  readonly settings: JobSettings;
  readonly isLeader: () => boolean;
  /** undefined: not in sync, so nothing may be called gone. */
  readonly functions: () => readonly KeptFunction[] | undefined;
  /** Whether functions of that namespace are ours at all. */
  readonly isOurs: (namespace: string) => boolean;
  readonly now: () => number;
  readonly log: Log;
}

/** After a failure; streams and consumers are looked at again that often too, in case somebody removed one. */
const STREAM_RETRY_MS = 5_000;
const STREAM_CHECK_INTERVAL_MS = 60_000;
/** Whether all streams are there still, one request. */
const NAMES_MS = 5_000;
/** Depths are read each tick; two failed rounds and they are too old to scale by. */
const STREAM_FRESH_MS = 10_000;

export class JobKeeper {
  readonly #options: JobKeeperOptions;
  /** Consumers known to be as wanted, with the setting that they were made by. */
  readonly #consumers = new Map<string, JobFunction>();
  /** Consumers that may have no function; kept until their jobs are done. */
  readonly #found = new Map<string, FunctionId>();
  readonly #listeners: ((key: string) => void)[] = [];
  readonly #rates = new Map<string, RateMeter>();
  #depths: ReadonlyMap<string, JobDepth> = new Map();
  #streamsAtMs = -Infinity;
  #notBeforeMs = -Infinity;
  #namesAtMs = -Infinity;
  #hasFailed = false;
  #readAtMs = -Infinity;
  #round: Promise<void> | undefined;

  constructor(options: JobKeeperOptions) {
    this.#options = options;
  }

  /** Called after the counts of a function have changed. */
  onChange(listener: (key: string) => void): void {
    this.#listeners.push(listener);
  }

  /** undefined: none, as far as we know. */
  depthOf(key: string): JobDepth | undefined {
    return this.#depths.get(key);
  }

  /** Whether depths were read lately: if not, what they say is no measure of anything, "no jobs" least of all. */
  get isFresh(): boolean {
    return this.#options.now() - this.#readAtMs <= STREAM_FRESH_MS;
  }

  /** Jobs a second, retries included; undefined without two readings, the last one lately. */
  rateOf(key: string): number | undefined {
    return this.isFresh ? this.#rates.get(key)?.perSecond : undefined;
  }

  /** One round at a time; a slow server makes rounds rarer and nothing else. */
  tick(): Promise<void> {
    const { live } = this.#options.queue;
    if (!live || !this.#options.isLeader() || this.#options.now() < this.#notBeforeMs)
      return this.#round ?? Promise.resolve();
    this.#round ??= this.#run(live).finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  /** A new leader makes sure of everything once; so does a reconnected one, because the server may be a new one. */
  startAnew(): void {
    this.#consumers.clear();
    this.#streamsAtMs = -Infinity;
    this.#notBeforeMs = -Infinity;
    this.#readAtMs = -Infinity;
  }

  async #run(queue: Upkeep): Promise<void> {
    const { now, log } = this.#options;
    try {
      await this.#reconcile(queue);
      await this.#readDepths(queue);
      await this.#readRates(queue);
      if (this.#hasFailed) log.info('JetStream answers again');
      this.#hasFailed = false;
    } catch (error) {
      this.#streamsAtMs = -Infinity;
      this.#notBeforeMs = now() + (isStreamGone(error) && !this.#hasFailed ? 0 : STREAM_RETRY_MS);
      if (!this.#hasFailed)
        log.warn({ error: describeError(error) }, 'JetStream does not answer; scaling goes on without it');
      this.#hasFailed = true;
    }
  }

  async #reconcile(queue: Upkeep): Promise<void> {
    const { settings, log, now } = this.#options;
    if (now() - this.#streamsAtMs >= STREAM_CHECK_INTERVAL_MS || (await this.#isStreamMissing(queue))) {
      await queue.reconcile(settings, log);
      await this.#listConsumers(queue);
      this.#streamsAtMs = now();
    }
    await this.#reconcileConsumers(queue);
  }

  /** Looks at all streams except the jobs', which each tick reads. While one is missing, what belongs there is refused. */
  async #isStreamMissing(queue: Upkeep): Promise<boolean> {
    const { settings, now } = this.#options;
    if (now() - this.#namesAtMs < NAMES_MS) return false;
    this.#namesAtMs = now();
    return !(await queue.isComplete(settings));
  }

  async #reconcileConsumers(queue: Upkeep): Promise<void> {
    const functions = this.#options.functions();
    if (!functions) return;
    const wanted = new Map(functions.map((fn) => [functionKey(fn.id), fn]));
    for (const [key, fn] of wanted) {
      if (this.#consumers.get(key)?.isOrdered === fn.isOrdered) continue;
      await this.#makeConsumer(queue, fn);
      this.#consumers.set(key, fn);
    }
    for (const [key, { id }] of this.#consumers) {
      if (wanted.has(key)) continue;
      this.#found.set(key, id);
      this.#consumers.delete(key);
      this.#rates.delete(key);
    }
    for (const [key, id] of this.#found)
      if (wanted.has(key) || (await queue.close(id))) this.#found.delete(key);
  }

  /** What JetStream refuses for one function must not keep the others waiting; it is tried again in a minute. */
  async #makeConsumer(queue: Upkeep, fn: JobFunction): Promise<void> {
    try {
      await queue.open(fn, this.#options.settings);
    } catch (error) {
      if (!(error instanceof QueueError) || error.kind === 'unanswered') throw error;
      const reason = describeError(error);
      this.#options.log.error({ function: functionKey(fn.id), error: reason }, 'no consumer for its jobs');
    }
  }

  /** Also finds the consumers of functions that were deleted while nobody led, and ours that somebody deleted. */
  async #listConsumers(queue: Upkeep): Promise<void> {
    const made = new Map(this.#consumers);
    this.#consumers.clear();
    for (const id of await queue.opened()) {
      if (!this.#options.isOurs(id.namespace)) continue;
      const key = functionKey(id);
      const known = made.get(key);
      if (known) this.#consumers.set(key, known);
      else this.#found.set(key, id);
    }
  }

  async #readDepths(queue: Upkeep): Promise<void> {
    const before = this.#depths;
    this.#depths = await queue.depths();
    this.#readAtMs = this.#options.now();
    // Jobs that nobody can run: with the next tick they can.
    for (const [key, { isOpen }] of this.#depths) if (!isOpen) this.#consumers.delete(key);
    for (const [key, depth] of this.#depths)
      if (before.get(key)?.total !== depth.total) for (const listener of this.#listeners) listener(key);
  }

  async #readRates(queue: Upkeep): Promise<void> {
    for (const { id, wantsRate } of this.#options.functions() ?? []) {
      const key = functionKey(id);
      if (!wantsRate) {
        this.#rates.delete(key);
        continue;
      }
      const counted = await this.#countOf(queue, id);
      if (counted === undefined) {
        this.#rates.delete(key);
        continue;
      }
      let meter = this.#rates.get(key);
      if (!meter) this.#rates.set(key, (meter = new RateMeter()));
      meter.read(counted, this.#options.now());
    }
  }

  /** Jobs accepted so far; undefined where the consumer is missing, which then is made again. */
  async #countOf(queue: Upkeep, id: FunctionId): Promise<number | undefined> {
    const counted = await queue.accepted(id);
    if (counted === undefined) this.#consumers.delete(functionKey(id));
    return counted;
  }
}

function isStreamGone(error: unknown): boolean {
  return error instanceof QueueError && error.kind === 'missing';
}

/** Two readings of a counter make a rate; one that falls (a new consumer) begins again. */
export class RateMeter {
  #last: { readonly count: number; readonly atMs: number } | undefined;
  perSecond: number | undefined;

  read(count: number, atMs: number): void {
    const last = this.#last;
    this.#last = { count, atMs };
    if (!last || count < last.count || atMs <= last.atMs) this.perSecond = undefined;
    else this.perSecond = ((count - last.count) * 1_000) / (atMs - last.atMs);
  }
}
