/**
 * The end of the user's container alone: the kubelet restarts it over a failed liveness probe and runs its
 * preStop, while the pod lives on. What runs is finished, nothing new is let in, and when the app has gone and
 * passed its probe again, calls go on. Were it taken for the end of the pod, the sidecar would refuse forever.
 * It gives up on seeing the app go after a while: a preStop called by hand ends nothing.
 */
import { sleep } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { Admission } from '../limits/admission.ts';
import type { Drain } from './drain.ts';

export interface PauseOptions {
  readonly admission: Admission;
  readonly drain: Drain;
  /** One check of the app: true while it answers its probe. */
  readonly check: () => Promise<boolean>;
  /** Opens admission once the app is ready (again). */
  readonly reopen: () => Promise<void>;
  /** What the container has from its preStop to its SIGKILL. */
  readonly graceMs: number;
  readonly log: Log;
}

/** At the end of a pod the sidecar's own preStop comes in the same moment; by then it is known which one it is. */
const TELL_APART_MS = 300;
const CLOSE_POLL_MS = 20;

export class Pause {
  readonly #options: PauseOptions;
  #running: Promise<void> | undefined;

  constructor(options: PauseOptions) {
    this.#options = options;
  }

  /** Resolves when the container may be ended. Joined by a second call. */
  run(): Promise<void> {
    this.#running ??= this.#pause().finally(() => (this.#running = undefined));
    return this.#running;
  }

  async #pause(): Promise<void> {
    const { admission, drain, graceMs, log } = this.#options;
    if (drain.isDraining) return drain.appEndsToo();
    log.info({ running: admission.breaker.running }, 'the app’s container ends; calls wait');
    const wasOpen = admission.pause();
    const deadline = performance.now() + graceMs;
    await sleep(TELL_APART_MS);
    while (admission.breaker.running > 0 && performance.now() < deadline && !drain.isDraining)
      await sleep(CLOSE_POLL_MS);
    if (drain.isDraining) {
      if (wasOpen) admission.open(); // the pod ends: the app serves direct callers until it does
      return drain.appEndsToo();
    }
    void this.#comeBack(performance.now() + graceMs);
  }

  async #comeBack(deadline: number): Promise<void> {
    const { check, reopen, drain, log } = this.#options;
    while ((await check()) && performance.now() < deadline && !drain.isDraining) await sleep(CLOSE_POLL_MS);
    if (drain.isDraining) return;
    await reopen();
    log.info('the app is back; calls go on');
  }
}
