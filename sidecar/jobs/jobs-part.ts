/**
 * Jobs as the sidecar's life sees them: begun once the app is ready, and over whenever the pod ends, which may
 * be before. The rest is loaded when it is begun, so that neither a cold start nor a bare pod pays for it.
 *
 * Room `sidecar/jobs`: Jobs of this function, one place each.
 * Comes in: deliveries of JetStream.
 * Goes out: results, retries, dead letters.
 */
import type { JobsOptions, RunningJobs } from './start-jobs.ts';

export class JobsPart {
  readonly #options: JobsOptions;
  #consumer: RunningJobs | undefined;
  #isDraining = false;
  #isStarted = false;
  /** Ends the answers of before the start. */
  readonly #early: Promise<() => void> | undefined;

  constructor(options: JobsOptions) {
    this.#options = options;
    // In strict order others wait for what an earlier run of this pod holds: nothing, until the app is ready.
    this.#early = options.isOrdered ? answerEarly(options) : undefined;
  }

  /** Jobs may come from now on; again after a pause, when they do so already, it changes nothing. */
  async start(): Promise<void> {
    if (this.#isStarted) return;
    this.#isStarted = true;
    const { startJobs } = await import('./start-jobs.ts');
    (await this.#early)?.();
    if (!this.#isDraining) this.#consumer = startJobs(this.#options);
  }

  /** No new ones. */
  drain(): void {
    this.#isDraining = true;
    this.#consumer?.drain();
  }

  /** After a drain that was taken back: `start` begins again. */
  async reset(): Promise<void> {
    await this.stop();
    this.#consumer = undefined;
    this.#isDraining = false;
    this.#isStarted = false;
  }

  /** What still runs is given back. */
  async stop(): Promise<void> {
    this.drain();
    (await this.#early)?.();
    await this.#consumer?.stop();
  }
}

async function answerEarly(options: JobsOptions): Promise<() => void> {
  const { Callbacks, serveQuestions } = await import('./callbacks.ts');
  return serveQuestions({ ...options, callbacks: new Callbacks(options.pod) });
}
