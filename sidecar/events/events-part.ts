/**
 * Events as the sidecar's life sees them. A pod that subscribes to none has nothing. Otherwise they begin once the
 * app is ready, and are over when the pod ends, which may be before. The rest is loaded when it is begun.
 *
 * Room `sidecar/events`: Events of this pod.
 * Comes in: deliveries of JetStream.
 * Goes out: tries, and jobs for what is unfinished.
 */
import type { EventsOptions, RunningEvents } from './start-events.ts';

export class EventsPart {
  #options: EventsOptions | undefined;
  #events: RunningEvents | undefined;
  #isDraining = false;
  #isStarted = false;
  #stopped: Promise<void> | undefined;

  /** @param options undefined: it subscribes to none */
  constructor(options: EventsOptions | undefined) {
    this.#options = options;
  }

  /** Again after a pause it changes nothing. */
  async start(): Promise<void> {
    if (this.#isStarted || !this.#options) return;
    this.#isStarted = true;
    const { startEvents } = await import('./start-events.ts');
    if (!this.#isDraining) this.#events = startEvents(this.#options);
  }

  /** No new ones. */
  drain(): void {
    this.#isDraining = true;
    this.#events?.drain();
  }

  /** After a drain that was taken back: `start` begins again, with the events of from now on. */
  async reset(): Promise<void> {
    await this.stop();
    this.#events = undefined;
    this.#stopped = undefined;
    this.#isDraining = false;
    this.#isStarted = false;
    if (this.#options) this.#options = { ...this.#options, startedAtMs: Date.now() };
  }

  /** What is not done is handed over. */
  stop(): Promise<void> {
    this.drain();
    this.#stopped ??= this.#events?.stop();
    return this.#stopped ?? Promise.resolve();
  }
}
