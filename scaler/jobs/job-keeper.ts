/**
 * The leader's care for JetStream: streams as the flags say, one consumer a function, and how many jobs each function
 * has, read once a tick. JetStream may be slow, away or not enabled at all. Then scaling goes on with what was last
 * read. A function of which nothing was ever read has no jobs.
 */
import { describeError } from '../../common/runtime/errors.ts';
import { JOBS_STREAM, streamConfigs } from '../../common/queue/jetstream/streams.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { NatsConnection, NatsLink } from '../../common/bus/nats.ts';
import { NatsError } from '../../common/bus/nats-library.ts';
import {
  consumerName,
  functionKey,
  parseFunctionSubject,
  type FunctionId,
} from '../../common/bus/subjects.ts';
import { readJobDepths, type JobDepth } from '../../common/queue/jetstream/depth.ts';
import {
  reconcileConsumer,
  reconcileStreams,
  removeConsumer,
  type JobFunction,
} from '../../common/queue/jetstream/upkeep.ts';
import type { JobSettings } from '../../common/queue/settings.ts';
import { type JetStreamManager, STREAM_NOT_FOUND } from '../../common/queue/jetstream/library.ts';

/** What the keeper must know of a function. */
export interface KeptFunction extends JobFunction {
  /** It has a trigger on the rate of jobs, which costs a request a tick. */
  readonly wantsRate: boolean;
}

export interface JobKeeperOptions {
  readonly nats: Pick<NatsLink, 'connection'>;
  readonly settings: JobSettings;
  readonly isLeader: () => boolean;
  /** undefined: not in sync, so nothing may be called gone. */
  readonly functions: () => readonly KeptFunction[] | undefined;
  /** Whether functions of that namespace are ours at all. */
  readonly isOurs: (namespace: string) => boolean;
  /** After the counts of a function changed. */
  readonly onChange: (key: string) => void;
  readonly now: () => number;
  readonly log: Log;
}

/** After a failure; streams and consumers are looked at again that often too, in case somebody removed one. */
const RETRY_MS = 5_000;
const LOOK_AGAIN_MS = 60_000;
/** Whether all streams are there still, one request. */
const NAMES_MS = 5_000;
/** Depths are read each tick; two failed rounds and they are too old to scale by. */
const FRESH_MS = 10_000;

export class JobKeeper {
  readonly #options: JobKeeperOptions;
  /** Consumers known to be as wanted, with the setting that they were made by. */
  readonly #consumers = new Map<string, JobFunction>();
  /** Consumers that may have no function; kept until their jobs are done. */
  readonly #found = new Map<string, FunctionId>();
  readonly #rates = new Map<string, RateMeter>();
  #depths: ReadonlyMap<string, JobDepth> = new Map();
  #manager: { readonly of: NatsConnection; readonly jsm: JetStreamManager } | undefined;
  #streamsAtMs = -Infinity;
  #notBeforeMs = -Infinity;
  #namesAtMs = -Infinity;
  #hasFailed = false;
  #readAtMs = -Infinity;
  #round: Promise<void> | undefined;

  constructor(options: JobKeeperOptions) {
    this.#options = options;
  }

  /** undefined: none, as far as we know. */
  depthOf(key: string): JobDepth | undefined {
    return this.#depths.get(key);
  }

  /** Whether depths were read lately: if not, what they say is no measure of anything, "no jobs" least of all. */
  get isFresh(): boolean {
    return this.#options.now() - this.#readAtMs <= FRESH_MS;
  }

  /** Jobs a second, retries included; undefined without two readings, the last one lately. */
  rateOf(key: string): number | undefined {
    return this.isFresh ? this.#rates.get(key)?.perSecond : undefined;
  }

  /** One round at a time; a slow server makes rounds rarer and nothing else. */
  tick(): Promise<void> {
    const connection = this.#options.nats.connection;
    if (!connection || !this.#options.isLeader() || this.#options.now() < this.#notBeforeMs)
      return this.#round ?? Promise.resolve();
    this.#round ??= this.#run(connection).finally(() => {
      this.#round = undefined;
    });
    return this.#round;
  }

  /** A new leader makes sure of everything once; a reconnected one too, for the server may be a new one. */
  startAnew(): void {
    this.#consumers.clear();
    this.#streamsAtMs = -Infinity;
    this.#notBeforeMs = -Infinity;
    this.#readAtMs = -Infinity;
  }

  async #run(connection: NatsConnection): Promise<void> {
    const { now, log } = this.#options;
    try {
      const jsm = await this.#managerOf(connection);
      await this.#reconcile(jsm);
      await this.#readDepths(jsm);
      await this.#readRates(jsm);
      if (this.#hasFailed) log.info('JetStream answers again');
      this.#hasFailed = false;
    } catch (error) {
      this.#streamsAtMs = -Infinity;
      this.#notBeforeMs = now() + (isStreamGone(error) && !this.#hasFailed ? 0 : RETRY_MS);
      if (!this.#hasFailed)
        log.warn({ error: describeError(error) }, 'JetStream does not answer; scaling goes on without it');
      this.#hasFailed = true;
    }
  }

  async #managerOf(connection: NatsConnection): Promise<JetStreamManager> {
    if (this.#manager?.of !== connection)
      this.#manager = { of: connection, jsm: await connection.jetstreamManager() };
    return this.#manager.jsm;
  }

  async #reconcile(jsm: JetStreamManager): Promise<void> {
    const { settings, log, now } = this.#options;
    if (now() - this.#streamsAtMs >= LOOK_AGAIN_MS || (await this.#isStreamMissing(jsm))) {
      await reconcileStreams(jsm, settings, log);
      await this.#listConsumers(jsm);
      this.#streamsAtMs = now();
    }
    await this.#reconcileConsumers(jsm);
  }

  /** Of the others than SLIMFAAS_JOBS, which each tick reads; what is stored in one that is gone is refused meanwhile. */
  async #isStreamMissing(jsm: JetStreamManager): Promise<boolean> {
    const { settings, now } = this.#options;
    if (now() - this.#namesAtMs < NAMES_MS) return false;
    this.#namesAtMs = now();
    const names = new Set<string>();
    for await (const name of jsm.streams.names()) names.add(name);
    return streamConfigs(settings).some(({ name }) => !names.has(name as string));
  }

  async #reconcileConsumers(jsm: JetStreamManager): Promise<void> {
    const functions = this.#options.functions();
    if (!functions) return;
    const wanted = new Map(functions.map((fn) => [functionKey(fn.id), fn]));
    for (const [key, fn] of wanted) {
      if (this.#consumers.get(key)?.isOrdered === fn.isOrdered) continue;
      await this.#makeConsumer(jsm, fn);
      this.#consumers.set(key, fn);
    }
    for (const [key, { id }] of this.#consumers) {
      if (wanted.has(key)) continue;
      this.#found.set(key, id);
      this.#consumers.delete(key);
      this.#rates.delete(key);
    }
    for (const [key, id] of this.#found)
      if (wanted.has(key) || (await removeConsumer(jsm, id))) this.#found.delete(key);
  }

  /** What JetStream refuses for one function must not keep the others waiting; it is tried again in a minute. */
  async #makeConsumer(jsm: JetStreamManager, fn: JobFunction): Promise<void> {
    try {
      await reconcileConsumer(jsm, fn, this.#options.settings);
    } catch (error) {
      if (!(error instanceof NatsError) || error.api_error === undefined) throw error;
      const reason = describeError(error);
      this.#options.log.error({ function: functionKey(fn.id), error: reason }, 'no consumer for its jobs');
    }
  }

  /** Also finds the consumers of functions that were deleted while nobody led, and ours that somebody deleted. */
  async #listConsumers(jsm: JetStreamManager): Promise<void> {
    const made = new Map(this.#consumers);
    this.#consumers.clear();
    for await (const { name, config } of jsm.consumers.list(JOBS_STREAM)) {
      const id = ownerOf(config.filter_subject);
      // One that has our name and our subject is ours; anybody may have made others.
      if (!id || name !== consumerName(id) || !this.#options.isOurs(id.namespace)) continue;
      const key = functionKey(id);
      const known = made.get(key);
      if (known) this.#consumers.set(key, known);
      else this.#found.set(key, id);
    }
  }

  async #readDepths(jsm: JetStreamManager): Promise<void> {
    const before = this.#depths;
    this.#depths = await readJobDepths(jsm);
    this.#readAtMs = this.#options.now();
    // Jobs that nobody can run: with the next tick they can.
    for (const [key, { hasConsumer }] of this.#depths) if (!hasConsumer) this.#consumers.delete(key);
    for (const [key, depth] of this.#depths)
      if (before.get(key)?.total !== depth.total) this.#options.onChange(key);
  }

  async #readRates(jsm: JetStreamManager): Promise<void> {
    for (const { id, wantsRate } of this.#options.functions() ?? []) {
      const key = functionKey(id);
      if (!wantsRate) {
        this.#rates.delete(key);
        continue;
      }
      const counted = await this.#countOf(jsm, id);
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
  async #countOf(jsm: JetStreamManager, id: FunctionId): Promise<number | undefined> {
    try {
      const { delivered, num_pending } = await jsm.consumers.info(JOBS_STREAM, consumerName(id));
      return delivered.consumer_seq + num_pending;
    } catch (error) {
      if (!(error instanceof NatsError) || error.api_error === undefined) throw error;
      this.#consumers.delete(functionKey(id));
      return undefined;
    }
  }
}

function isStreamGone(error: unknown): boolean {
  return error instanceof NatsError && error.api_error?.err_code === STREAM_NOT_FOUND;
}

function ownerOf(filterSubject: string | undefined): FunctionId | undefined {
  const parsed = filterSubject === undefined ? undefined : parseFunctionSubject(filterSubject);
  return parsed?.kind === 'job' ? parsed.id : undefined;
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
