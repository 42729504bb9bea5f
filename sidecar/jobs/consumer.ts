/**
 * Keeps the pod's free places filled with jobs. It asks the queue for as many as may begin now and runs what comes.
 * It asks again when a place comes free, when the limit changes, and when a request ends without a job. A job that
 * comes when its place has just gone to a call stands in line with the callers for a while, then goes back uncharged.
 */
import type { Delivery, Queue, QueueLink, QueueSource, Taker } from '../../common/queue/queue.ts';
import type { Place } from '../limits/breaker.ts';
import { describeError } from '../../common/runtime/errors.ts';
import type { Running } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import { Suspects, type HeldUpTo } from './suspects.ts';

/** What the consumer needs of the pod's admission. */
export interface JobPlaces {
  /** Jobs that may begin now; what was asked for already is not counted. */
  readonly room: number;
  tryEnter(): Place | undefined;
  /** In line with the callers. Rejects when there is no place in time, or on abort. */
  enter(signal: AbortSignal, timeoutMs: number): Promise<Place>;
  /** After each release and each change of the limit. Returns its own release. */
  onRoom(listener: () => void): () => void;
}

export interface ConsumerDeps {
  readonly source: QueueSource;
  readonly queue: QueueLink;
  readonly places: JobPlaces;
  /** Is told whether more of them wait. */
  readonly fairness: { areJobsWaiting: boolean };
  /** Runs a job that has its place; made again for each connection. */
  readonly createRunner: (session: QueueSession) => JobRun;
  /** Undefined: no other pod reads from this consumer. */
  readonly heldUpTo?: HeldUpTo;
  readonly log: Log;
}

export interface JobRun {
  /** Never rejects. On abort the job is given back, whatever it was doing. */
  run(delivery: Delivery, signal: AbortSignal): Promise<void>;
}

/** The queue while one connection lives. */
export interface QueueSession {
  readonly queue: Queue;
  readonly suspects: Suspects;
}

interface Session extends QueueSession {
  readonly taker: Taker;
  readonly runner: JobRun;
}

/** A consumer that is absent (the scaler has not made it yet) or refuses is asked again after this. */
const CONSUME_PAUSE_MS = 500;
/** How often a pod whose places are all taken looks whether jobs wait. */
const BACKLOG_CHECK_INTERVAL_MS = 1_000;
/** After so long without a job what was said to wait has gone to other pods. */
const PULL_QUIET_MS = 50;
/** A pod that met no NATS for so long began while it was away. */
const LATE_MS = 3_000;
/** A third of the ack wait: a job in our line is not given to another pod meanwhile. */
const LINE_MS = 5_000;

export class JobConsumer implements Running {
  readonly #deps: ConsumerDeps;
  readonly #releases: (() => void)[] = [];
  readonly #runs = new Set<Promise<void>>();
  readonly #inHand = new Set<Delivery>();
  readonly #stopsPulling = new AbortController();
  readonly #stopsRunning = new AbortController();
  #session: Session | undefined;
  readonly #begunAt = performance.now();
  #isReconnect = false;
  #inLine = 0;
  #receivedAt = -Infinity;
  #quiet: NodeJS.Timeout | undefined;
  #pausedUntil = 0;

  constructor(deps: ConsumerDeps) {
    this.#deps = deps;
    const { queue, places } = deps;
    this.#releases.push(
      queue.onStatus((isLive) => this.#connectionChanged(isLive)),
      places.onRoom(() => this.#fill()),
    );
    const timer = setInterval(() => void this.#look(), BACKLOG_CHECK_INTERVAL_MS);
    this.#releases.push(() => clearInterval(timer));
    if (queue.live) this.#connectionChanged(true);
  }

  /** No new jobs from now on; what stands in line goes back. What runs, runs on. */
  drain(): void {
    if (this.#isStopping) return;
    this.#stopsPulling.abort();
    this.#session?.taker.stop();
  }

  /** The end: what still runs is given back too. */
  async stop(): Promise<void> {
    this.drain();
    for (const release of this.#releases) release();
    this.#stopsRunning.abort();
    clearTimeout(this.#quiet);
    await Promise.all(this.#runs);
  }

  get #isStopping(): boolean {
    return this.#stopsPulling.signal.aborted;
  }

  #connectionChanged(isLive: boolean): void {
    this.#session?.taker.stop();
    this.#session = undefined;
    const { live } = this.#deps.queue;
    // At once: the ack wait may have passed, and they would be given to others.
    if (isLive) for (const delivery of this.#inHand) delivery.working();
    if (isLive && live && !this.#isStopping) this.#open(live);
  }

  #open(queue: Queue): void {
    try {
      this.#isReconnect ||= performance.now() - this.#begunAt > LATE_MS;
      const { source, heldUpTo, queue: link } = this.#deps;
      const { signal } = this.#stopsPulling;
      // A pod knows its own events (ledger.ts), so only jobs are suspect.
      const isReconnect = this.#isReconnect && source.kind === 'jobs';
      const suspects = new Suspects({ queue, source, isReconnect, heldUpTo, signal });
      // Until all are back that lost the server with us, nobody can tell whether another pod has a job.
      if (this.#isReconnect && heldUpTo) this.#pausedUntil = performance.now() + link.othersBackInMs;
      this.#isReconnect = true;
      const runner = this.#deps.createRunner({ queue, suspects });
      this.#session = { taker: this.#take(queue, suspects), runner, queue, suspects };
      this.#fill();
    } catch (error) {
      this.#deps.log.warn({ error: describeError(error) }, 'no JetStream; jobs wait');
    }
  }

  #take(queue: Queue, suspects: Suspects): Taker {
    return queue.take(this.#deps.source, {
      onDelivery: (delivery) => this.#receive(delivery),
      onCredits: (isRefused) => {
        if (isRefused) this.#pausedUntil = performance.now() + CONSUME_PAUSE_MS;
        if (isRefused) suspects.sourceIsGone();
        this.#deps.fairness.areJobsWaiting = false; // a request that ended empty: there was nothing
        this.#fill();
      },
    });
  }

  #fill(): void {
    const taker = this.#session?.taker;
    if (!taker || this.#isStopping) return;
    const waitMs = this.#pausedUntil - performance.now();
    if (waitMs > 0) return void setTimeout(() => this.#fill(), waitMs).unref();
    const free = this.#deps.places.room - this.#inLine;
    // One request at a time, for all that is free. A request per job would be a sixth of its cost in the server. Of
    // several open ones nobody can tell which a message has answered. Nothing is late: while it is open it delivers.
    if (free > 0 && taker.credits === 0) taker.ask(free);
    this.#noticeQuiet(taker);
  }

  /**
   * While a request is open and nothing comes, nothing waits that could run here. Not at once: what was said to wait
   * comes a round trip later, and callers must not have taken its places by then.
   */
  #noticeQuiet(taker: Taker): void {
    if (!this.#deps.fairness.areJobsWaiting || taker.credits === 0) return;
    this.#quiet ??= setTimeout(() => {
      this.#quiet = undefined;
      const isQuiet = performance.now() - this.#receivedAt >= PULL_QUIET_MS && taker.credits > 0;
      if (isQuiet) this.#deps.fairness.areJobsWaiting = false;
      else this.#noticeQuiet(taker);
    }, PULL_QUIET_MS).unref();
  }

  #receive(delivery: Delivery): void {
    this.#receivedAt = performance.now();
    const session = this.#session;
    if (!session || this.#isStopping) return delivery.retryLater(0);
    session.suspects.saw(delivery);
    // A void is nothing to run, so it needs no place.
    const place = delivery.isVoid ? NO_PLACE : this.#deps.places.tryEnter();
    this.#deps.fairness.areJobsWaiting = delivery.pending > 0;
    const run = place ? this.#run(session, delivery, place) : this.#runAfterLine(session, delivery);
    const settled: Promise<void> = run.finally(() => this.#runs.delete(settled));
    this.#runs.add(settled);
    this.#fill();
  }

  async #runAfterLine(session: Session, delivery: Delivery): Promise<void> {
    this.#inLine += 1;
    const place = await this.#deps.places
      .enter(this.#stopsPulling.signal, LINE_MS)
      .catch(() => undefined)
      .finally(() => (this.#inLine -= 1));
    // NATS was away meanwhile. The server may have given the job to another pod, and offers it to us again if not.
    if (session !== this.#session) return place?.release();
    if (!place) {
      session.suspects.gaveBack(delivery);
      return delivery.retryLater(0);
    }
    await this.#run(session, delivery, place);
  }

  async #run(session: Session, delivery: Delivery, place: Place): Promise<void> {
    this.#inHand.add(delivery);
    try {
      await session.runner.run(delivery, this.#stopsRunning.signal);
    } finally {
      this.#inHand.delete(delivery);
      place.release();
      this.#fill(); // with callers in line no place is ever free, and nobody else would tell us
    }
  }

  /** With every place taken nothing is pulled, so only the server can tell that jobs wait. */
  async #look(): Promise<void> {
    const session = this.#session;
    if (!session || session.taker.credits > 0 || this.#isStopping) return this.#fill();
    try {
      const info = await session.queue.look(this.#deps.source);
      if (info) this.#deps.fairness.areJobsWaiting = info.waiting > 0;
    } catch {
      // no consumer yet, or no server: nothing waits as far as we know
    }
    this.#fill();
  }
}

const NO_PLACE: Place = { arrival: 0, release: () => undefined };
