/**
 * The app has ended without a signal to us: nobody listens on its port any more (a crash, an OOM kill). Nothing is let in until
 * somebody listens again and the app has passed its probe, as at the pod's start. Proxies take their calls to other
 * pods meanwhile; direct callers and jobs wait here.
 */
import { sleep } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { Admission } from '../limits/admission.ts';

export interface AppDownOptions {
  readonly admission: Pick<Admission, 'pause' | 'phase'>;
  /** Whether somebody listens on the app's port. */
  readonly isListening: () => Promise<boolean>;
  /** Opens admission once the app is ready (again). */
  readonly reopen: () => Promise<void>;
  readonly log: Log;
}

const DIAL_FIRST_PAUSE_MS = 20;
const DIAL_LONGEST_PAUSE_MS = 100;

export class AppDown {
  readonly #options: AppDownOptions;
  readonly #listeners = new Set<() => void>();
  readonly #stopping = new AbortController();
  #watching: Promise<void> | undefined;

  constructor(options: AppDownOptions) {
    this.#options = options;
  }

  /** A connect was refused. */
  note(): void {
    if (this.#watching || this.#stopping.signal.aborted) return;
    this.#options.admission.pause();
    this.#options.log.warn('nobody listens on the app’s port; its calls go elsewhere until somebody does');
    this.#watching = this.#watch().finally(() => (this.#watching = undefined));
    for (const listener of this.#listeners) listener();
  }

  /** Called when it is noted. Returns its own release. */
  onDown(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  stop(): void {
    this.#stopping.abort();
  }

  async #watch(): Promise<void> {
    const { isListening, reopen, admission } = this.#options;
    const { signal } = this.#stopping;
    let pause = DIAL_FIRST_PAUSE_MS;
    while (!signal.aborted && !(await isListening())) {
      await sleep(pause, signal);
      pause = Math.min(DIAL_LONGEST_PAUSE_MS, pause * 1.25);
    }
    // A drain that began meanwhile goes on to its end; there is nothing to open.
    if (!signal.aborted && admission.phase === 'starting') await reopen();
  }
}

/** What a connect says to a port on which nobody listens. */
export function isRefused(error: unknown): boolean {
  for (let each = error; each instanceof Error; each = each.cause)
    if ((each as { code?: unknown }).code === 'ECONNREFUSED') return true;
  return false;
}
