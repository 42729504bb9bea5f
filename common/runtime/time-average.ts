/**
 * The average of a number over time, weighted by how long it had each value. A call that ran 100 ms of a second
 * counts 0.1. A sample taken each second would see it as 1 or as 0. It keeps one window, from one reading to the
 * next; a reader that needs longer ones adds up the readings.
 */
export interface TimeAverageReading {
  readonly average: number;
  /** Length of the window that the average is of. */
  readonly windowMs: number;
}

export class TimeAverage {
  readonly #now: () => number;
  #value: number;
  #changedAt: number;
  #windowStart: number;
  /** value × milliseconds since the window began. */
  #area = 0;

  /** @param now a monotonic clock in milliseconds, such as performance.now */
  constructor(now: () => number, value = 0) {
    this.#now = now;
    this.#value = value;
    this.#changedAt = this.#windowStart = now();
  }

  get value(): number {
    return this.#value;
  }

  /** @param now of the same clock, where the caller has just read it */
  set(value: number, now = this.#now()): void {
    this.#advance(now);
    this.#value = value;
  }

  /** The average since the last reading; begins a new window. An empty window's average is the value itself. */
  read(): TimeAverageReading {
    const now = this.#advance(this.#now());
    const windowMs = now - this.#windowStart;
    const average = windowMs > 0 ? this.#area / windowMs : this.#value;
    this.#windowStart = now;
    this.#area = 0;
    return { average, windowMs };
  }

  #advance(time: number): number {
    const now = Math.max(time, this.#changedAt); // a clock that steps back must not make an area negative
    this.#area += this.#value * (now - this.#changedAt);
    this.#changedAt = now;
    return now;
  }
}
