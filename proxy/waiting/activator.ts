/**
 * Asks for a function to be woken while calls wait for its first pod. It asks at once, and each time the number of
 * waiting calls has doubled, so that the scaler can size the wake (10,000 callers cost 14 messages). It also asks
 * each second, because core NATS may lose a message and a leader may change.
 */
import type { Clock } from '../clock.ts';

const WAKE_REPEAT_MS = 1_000;

export class Activator {
  readonly #clock: Clock;
  readonly #wake: (waiting: number) => void;
  readonly #onServed: () => void;
  #told = 0;
  #waiting = 0;
  #cancel: (() => void) | undefined;

  /** @param onServed nobody waits any more, of those whom the scaler was told of */
  constructor(clock: Clock, wake: (waiting: number) => void, onServed: () => void = () => undefined) {
    this.#clock = clock;
    this.#wake = wake;
    this.#onServed = onServed;
  }

  /** @param waiting calls that wait for lack of a pod; 0 ends the asking */
  update(waiting: number): void {
    this.#waiting = waiting;
    if (waiting === 0) {
      const wasTold = this.#told > 0;
      this.stop();
      if (wasTold) this.#onServed();
      return;
    }
    if (this.#cancel === undefined || waiting >= this.#told * 2) this.#tell();
  }

  stop(): void {
    this.#cancel?.();
    this.#cancel = undefined;
    this.#told = this.#waiting = 0;
  }

  #tell(): void {
    this.#cancel?.();
    this.#told = this.#waiting;
    this.#wake(this.#waiting);
    this.#cancel = this.#clock.after(WAKE_REPEAT_MS, () => this.#tell());
  }
}
