/**
 * The main thread's end of the queries' thread. It starts the thread when it is first needed, notices when it dies or
 * stops answering, and puts another in its place. The function whose query was at work then is left out for a while.
 * Nothing here waits: the main thread leads, whatever a query does.
 */
import { Worker } from 'node:worker_threads';
import { describeError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import { SOURCES_PART } from '../sources/source-series.ts';
import { SERIES_LIMITS, type SeriesStoreOptions } from '../promql/limits.ts';
import {
  QUESTION_AT_WORK,
  type FromQueryThread,
  type QueryThreadData,
  type ToQueryThread,
} from './query-messages.ts';

export interface QueryHostOptions {
  readonly data: Omit<QueryThreadData, 'atWork'>;
  readonly onMessage: (message: FromQueryThread) => void;
  /** The thread is lost, and `culprit` is what it was at. */
  readonly onLost: (culprit: number) => void;
  /** The thread is new and knows nothing. */
  readonly onStarted: () => void;
  readonly clock?: () => number;
  readonly log: Log;
  /** What the thread runs; for tests. */
  readonly script?: URL;
  readonly silentMs?: number;
  readonly memoryMb?: number;
}

export type RestartReason = 'silent' | 'died';

/** An evaluation round and a question take 1.5 s together; a thread that is silent for so long never comes back. */
const SILENT_MS = 15_000;
const RESTART_FIRST_PAUSE_MS = 1_000;
const RESTART_LONGEST_PAUSE_MS = 30_000;
/** Calm for so long, and the next death is a first one. */
const CALM_MS = 300_000;
/** What an evaluation, a scrape and the code need; and for each sample and each series that may be kept. */
const BASE_MIB = 128;
const SAMPLE_BYTES = 32;
const SERIES_BYTES = 4_096;

/** From the bundle it lies beside it, from the source it is this folder's. */
const SCRIPT = new URL(
  import.meta.url.endsWith('.ts') ? './query-worker.ts' : './query-worker.js',
  import.meta.url,
);

export class QueryHost {
  readonly #options: QueryHostOptions;
  readonly #clock: () => number;
  readonly #restarts: Record<RestartReason, number> = { silent: 0, died: 0 };
  #atWork = new Int32Array(new SharedArrayBuffer(4));
  #worker: Worker | undefined;
  /** Since when an answer to a tick is outstanding. */
  #askedAtMs: number | undefined;
  #startedAtMs = -Infinity;
  #pauseMs = RESTART_FIRST_PAUSE_MS;
  #startAfterMs = -Infinity;
  #isStopped = false;

  constructor(options: QueryHostOptions) {
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
  }

  get restarts(): Readonly<Record<RestartReason, number>> {
    return this.#restarts;
  }

  get isRunning(): boolean {
    return this.#worker !== undefined;
  }

  /** Makes sure that there is a thread, if one may be started now. @returns whether there is */
  ensure(): boolean {
    if (!this.#worker && !this.#isStopped && this.#clock() >= this.#startAfterMs) this.#start();
    return this.isRunning;
  }

  post(message: ToQueryThread, transfer: readonly ArrayBuffer[] = []): void {
    this.#worker?.postMessage(message, [...transfer]);
  }

  /** Asks for a sign of life, unless one is outstanding; for too long, and the thread is replaced. */
  tick(evaluates: boolean): void {
    if (!this.#worker) return;
    const nowMs = this.#clock();
    if (this.#askedAtMs === undefined) {
      this.#askedAtMs = nowMs;
      this.post({ kind: 'tick', evaluates });
    } else if (nowMs - this.#askedAtMs > (this.#options.silentMs ?? SILENT_MS)) {
      this.#lost(this.#worker, 'silent', 'no sign of life');
    }
  }

  async stop(): Promise<void> {
    this.#isStopped = true;
    const worker = this.#worker;
    this.#worker = undefined;
    await worker?.terminate();
  }

  #start(): void {
    const { data, script = SCRIPT, memoryMb = memoryFor(data.series) } = this.#options;
    this.#atWork = new Int32Array(new SharedArrayBuffer(4));
    const workerData: QueryThreadData = { ...data, atWork: this.#atWork.buffer as SharedArrayBuffer };
    const worker = new Worker(script, {
      workerData,
      name: 'queries',
      resourceLimits: { maxOldGenerationSizeMb: memoryMb },
    });
    this.#worker = worker;
    this.#startedAtMs = this.#clock();
    this.#askedAtMs = this.#startedAtMs; // it says by itself that it is there
    worker.on('message', (message: FromQueryThread) => this.#heard(worker, message));
    worker.on('error', (error) => this.#lost(worker, 'died', describeError(error)));
    worker.on('exit', (code) => this.#lost(worker, 'died', `exit code ${code}`));
    worker.unref();
    this.#options.onStarted();
  }

  #heard(worker: Worker, message: FromQueryThread): void {
    if (worker !== this.#worker) return;
    if (message.kind === 'alive') this.#askedAtMs = undefined;
    this.#options.onMessage(message);
  }

  #lost(worker: Worker, reason: RestartReason, why: string): void {
    if (worker !== this.#worker) return;
    const nowMs = this.#clock();
    this.#worker = undefined;
    const culprit = Atomics.load(this.#atWork, 0);
    this.#restarts[reason] += 1;
    if (nowMs - this.#startedAtMs > CALM_MS) this.#pauseMs = RESTART_FIRST_PAUSE_MS;
    this.#startAfterMs = nowMs + this.#pauseMs;
    this.#pauseMs = Math.min(RESTART_LONGEST_PAUSE_MS, this.#pauseMs * 2);
    const atWork = culprit === QUESTION_AT_WORK ? 'a question' : culprit;
    this.#options.log.error({ why, reason, atWork }, 'the thread of the queries is lost; another is started');
    this.#options.onLost(culprit);
    void worker.terminate();
  }
}

/** 302 MiB as long as nobody changes a flag. */
function memoryFor({
  maxSamples = SERIES_LIMITS.maxSamples,
  maxSeries = SERIES_LIMITS.maxSeries,
}: SeriesStoreOptions): number {
  return (
    BASE_MIB +
    Math.ceil(((maxSamples * SAMPLE_BYTES + maxSeries * SERIES_BYTES) * (1 + SOURCES_PART)) / 2 ** 20)
  );
}
