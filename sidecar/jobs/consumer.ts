/**
 * Keeps the pod's free places filled with jobs: asks JetStream for as many as may begin now, runs what comes,
 * and asks again when a place comes free, when the limit changes, and when a request ends without a job.
 * A job that comes when its place has just gone to a call waits here for a second, then goes back uncharged.
 */
import type { Place } from '../../common/breaker.ts';
import { describeError } from '../../common/errors.ts';
import type { Delivery } from '../../common/jobs/delivery.ts';
import { decodeJob, elementId } from '../../common/jobs/job.ts';
import { JOBS_STREAM, VOID_HEADER } from '../../common/jobs/streams.ts';
import type { Running } from '../../common/lifecycle.ts';
import type { Log } from '../../common/log.ts';
import type { NatsConnection, NatsLink } from '../../common/nats.ts';
import { consumerName, jobQuestionSubject, type FunctionId } from '../../common/subjects.ts';
import type { Callbacks } from './callbacks.ts';
import type { Fairness } from './fairness.ts';
import { PullConsumer } from './pull.ts';
import type { JetStream } from './records.ts';

/** What the consumer needs of the pod's admission. */
export interface JobPlaces {
  /** Free places for jobs now, credits under way not counted. */
  room(): number;
  tryAcquire(): Place | undefined;
  /** After each release and each change of the limit. Returns its own release. */
  onChange(listener: () => void): () => void;
}

export interface ConsumerDeps {
  readonly id: FunctionId;
  readonly nats: NatsLink;
  readonly places: JobPlaces;
  readonly fairness: Fairness;
  readonly callbacks: Callbacks;
  /** Runs a job with its place; made anew for each connection. */
  readonly createRunner: (jetstream: JetStream) => { run(delivery: Delivery): Promise<void> };
  readonly log: Log;
}

/** An absent consumer (the scaler has not made it yet) is asked for again after this. */
const ABSENT_MS = 500;
/** How often a pod whose places are all taken by calls looks whether jobs wait. */
const LOOK_MS = 1_000;
const HOLD_MS = 1_000;

export class JobConsumer implements Running {
  readonly #deps: ConsumerDeps;
  readonly #releases: (() => void)[] = [];
  /** Jobs that came and have no place yet. */
  readonly #held = new Set<{ delivery: Delivery; timer: NodeJS.Timeout }>();
  readonly #runs = new Set<Promise<void>>();
  #session: { pull: PullConsumer; run(delivery: Delivery): Promise<void> } | undefined;
  #isStopping = false;
  #isAbsentUntil = 0;

  constructor(deps: ConsumerDeps) {
    this.#deps = deps;
    const { nats, places, id, callbacks } = deps;
    this.#releases.push(
      nats.onStatus((isConnected) => this.#connectionChanged(isConnected)),
      places.onChange(() => this.#fill()),
      nats.serve(jobQuestionSubject(id), (data) => this.#answer(data, callbacks)),
    );
    const timer = setInterval(() => void this.#look(), LOOK_MS);
    this.#releases.push(() => clearInterval(timer));
    if (nats.isConnected) this.#connectionChanged(true);
  }

  /** Jobs that run now. */
  get running(): number {
    return this.#runs.size;
  }

  /** No new jobs from now on; what waits for a place or a callback goes back. */
  drain(): void {
    if (this.#isStopping) return;
    this.#isStopping = true;
    this.#session?.pull.stop();
    for (const held of this.#held) this.#giveBack(held);
  }

  /** Drains, gives back what only waits for a callback, and ends when nothing runs. */
  async stop(): Promise<void> {
    this.drain();
    for (const release of this.#releases) release();
    this.#deps.callbacks.end();
    await Promise.all(this.#runs);
  }

  #connectionChanged(isConnected: boolean): void {
    this.#session?.pull.stop();
    this.#session = undefined;
    const { connection } = this.#deps.nats;
    if (isConnected && connection && !this.#isStopping) void this.#open(connection);
  }

  async #open(connection: NatsConnection): Promise<void> {
    try {
      const jsm = await connection.jetstreamManager({ checkAPI: false });
      if (this.#isStopping || this.#deps.nats.connection !== connection) return;
      const { run } = bound(this.#deps.createRunner({ js: connection.jetstream(), jsm }));
      this.#session = { pull: this.#createPull(connection), run };
      this.#fill();
    } catch (error) {
      this.#deps.log.warn({ error: describeError(error) }, 'no JetStream; jobs wait');
    }
  }

  #createPull(connection: NatsConnection): PullConsumer {
    return new PullConsumer({
      connection,
      stream: JOBS_STREAM,
      consumer: consumerName(this.#deps.id),
      onJob: (delivery) => this.#receive(delivery),
      onCredits: (isAbsent) => {
        if (isAbsent) this.#isAbsentUntil = performance.now() + ABSENT_MS;
        this.#deps.fairness.areJobsWaiting = false; // a request that ended empty: there was nothing
        this.#fill();
      },
    });
  }

  #fill(): void {
    this.#serveHeld();
    const pull = this.#session?.pull;
    if (!pull || this.#isStopping) return;
    const waitMs = this.#isAbsentUntil - performance.now();
    if (waitMs > 0) return void setTimeout(() => this.#fill(), waitMs).unref();
    const wanted = this.#deps.places.room() - pull.credits - this.#held.size;
    if (wanted > 0) pull.ask(wanted);
  }

  #receive(delivery: Delivery): void {
    this.#deps.fairness.areJobsWaiting = delivery.pending > 0;
    if (!this.#start(delivery)) this.#hold(delivery);
    this.#fill();
  }

  #start(delivery: Delivery): boolean {
    const session = this.#session;
    if (!session || this.#isStopping) return false;
    // A void is nothing to run, so it needs no place.
    const place = delivery.hasHeader(VOID_HEADER) ? NO_PLACE : this.#deps.places.tryAcquire();
    if (!place) return false;
    this.#deps.fairness.served('job');
    const release = this.#deps.callbacks.hold(idOf(delivery));
    const run: Promise<void> = session.run(delivery).finally(() => {
      this.#runs.delete(run);
      release();
      place.release();
    });
    this.#runs.add(run);
    return true;
  }

  #hold(delivery: Delivery): void {
    const held = { delivery, timer: setTimeout(() => this.#giveBack(held), HOLD_MS) };
    this.#held.add(held);
    this.#deps.fairness.areJobsWaiting = true;
    if (this.#isStopping) this.#giveBack(held);
  }

  #giveBack(held: { delivery: Delivery; timer: NodeJS.Timeout }): void {
    clearTimeout(held.timer);
    this.#held.delete(held);
    held.delivery.nak(0);
  }

  #serveHeld(): void {
    for (const held of this.#held) {
      if (!this.#start(held.delivery)) return;
      clearTimeout(held.timer);
      this.#held.delete(held);
    }
  }

  /** With every place taken nothing is pulled, so only the server can tell that jobs wait. */
  async #look(): Promise<void> {
    const session = this.#session;
    const { connection } = this.#deps.nats;
    if (!session || !connection || session.pull.credits > 0 || this.#isStopping) return this.#fill();
    try {
      const jsm = await connection.jetstreamManager({ checkAPI: false });
      const info = await jsm.consumers.info(JOBS_STREAM, consumerName(this.#deps.id));
      this.#deps.fairness.areJobsWaiting = info.num_pending > 0;
    } catch {
      // no consumer yet, or no server: nothing waits as far as we know
    }
    this.#fill();
  }

  #answer(data: Uint8Array, callbacks: Callbacks): Uint8Array | undefined {
    try {
      return callbacks.answer(data);
    } catch (error) {
      this.#deps.log.warn({ error: describeError(error) }, 'question not understood');
      return undefined;
    }
  }
}

const NO_PLACE: Place = { arrival: 0, release: () => undefined };

function bound(runner: { run(delivery: Delivery): Promise<void> }): {
  run(delivery: Delivery): Promise<void>;
} {
  return { run: (delivery) => runner.run(delivery) };
}

/** A payload that cannot be read has no id that anyone could ask for. */
function idOf(delivery: Delivery): string {
  try {
    return elementId(decodeJob(delivery.data).head.secret, delivery.seq);
  } catch {
    return '';
  }
}
