/**
 * `ready` messages that came before the watch's event of their pod: each is believed for 10 s. Anybody who may
 * publish can send them for pods that never come. So only so many are kept and the oldest goes. A sidecar repeats its
 * own.
 */
import type { ReadyMessage } from '../../common/bus/messages.ts';
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { Clock } from '../clock.ts';

const EARLY_READY_KEPT_MS = 10_000;
const MOST_KEPT = 1_000;

export interface EarlyReady {
  readonly id: FunctionId;
  readonly message: ReadyMessage;
}

interface Kept extends EarlyReady {
  readonly cancel: () => void;
}

export class EarlyReadies {
  readonly #clock: Clock;
  readonly #most: number;
  /** By pod, the oldest first. */
  readonly #kept = new Map<string, Kept>();

  constructor(clock: Clock, most = MOST_KEPT) {
    this.#clock = clock;
    this.#most = most;
  }

  get size(): number {
    return this.#kept.size;
  }

  keep(pod: string, early: EarlyReady): void {
    this.take(pod);
    const [oldest] = this.#kept.keys();
    if (oldest !== undefined && this.#kept.size >= this.#most) this.take(oldest);
    const cancel = this.#clock.after(EARLY_READY_KEPT_MS, () => this.#kept.delete(pod));
    this.#kept.set(pod, { ...early, cancel });
  }

  peek(pod: string): EarlyReady | undefined {
    return this.#kept.get(pod);
  }

  /** What was kept for that pod, once. */
  take(pod: string): EarlyReady | undefined {
    const kept = this.#kept.get(pod);
    if (!kept) return undefined;
    kept.cancel();
    this.#kept.delete(pod);
    return kept;
  }
}
