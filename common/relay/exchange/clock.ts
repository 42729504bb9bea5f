/**
 * One coarse clock for every deadline of a relay. Instead of a timer per request it sweeps over what runs, 40 times
 * per second while anything does. Ten thousand exchanges in flight cost 0.4 million small decisions a second, about 1
 * % of a core; a request costs two field writes. Given up: precision (deadlines are up to 60 ms late).
 *
 * It stops when nothing is open, so an idle process is not woken, and it never keeps a process alive.
 */

const CLOCK_TICK_MS = 25;
const SLOW_TICK_MS = 1_000;
/** How long it keeps ticking fast after the last use: a trickle of requests must not restart it each time. */
const CLOCK_LINGER_MS = 1_000;
/**
 * The most that one tick counts. This process may have been stalled by a long collection or a suspended laptop. Then
 * the answers that came meanwhile are still unread in the kernel, and the stall is not the upstream's fault.
 */
const MAX_STEP_MS = 250;

export type Use = 'busy' | 'open' | 'nothing';

export class CoarseClock {
  readonly #sweep: (now: number) => Use;
  readonly #read: () => number;
  #timer: NodeJS.Timeout | undefined;
  #isFast = false;
  /** NaN: never. */
  #lastRead = Number.NaN;
  #lastBusy = 0;
  /** Milliseconds since some moment; behind the real time by up to a tick. */
  now = 0;

  /** @param sweep called each tick; says what is still going on */
  constructor(sweep: (now: number) => Use, read: () => number = () => performance.now()) {
    this.#sweep = sweep;
    this.#read = read;
  }

  /** To be called whenever something starts that has a deadline, before its start is noted. */
  touch(): void {
    if (!this.#isFast) this.#start();
  }

  /**
   * The value to keep for {@link isOver}: `now` lags by up to a tick, and a deadline may be late but not early.
   */
  get start(): number {
    return this.now + CLOCK_TICK_MS;
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#isFast = false;
  }

  #start(): void {
    clearTimeout(this.#timer);
    this.#isFast = true;
    const time = this.#read();
    // The part of a slow tick since its beginning counts too: connections that were idle have become older by it.
    if (this.#lastRead <= time) this.now += time - this.#lastRead;
    this.#lastRead = time;
    this.#lastBusy = this.now;
    this.#arm(CLOCK_TICK_MS);
  }

  #arm(delayMs: number): void {
    this.#timer = setTimeout(() => this.#tick(), delayMs);
    this.#timer.unref();
  }

  #tick(): void {
    const time = this.#read();
    const elapsed = time - this.#lastRead;
    this.#lastRead = time;
    this.now += this.#isFast ? Math.min(elapsed, MAX_STEP_MS) : elapsed;
    const use = this.#sweep(this.now);
    if (use === 'busy') this.#lastBusy = this.now;
    if (this.now - this.#lastBusy < CLOCK_LINGER_MS) return this.#rearm();
    this.#isFast = false;
    if (use === 'open') this.#arm(SLOW_TICK_MS);
    else this.#timer = undefined;
  }

  #rearm(): void {
    if (this.#isFast && this.#timer) this.#timer.refresh();
    else {
      this.#isFast = true;
      this.#arm(CLOCK_TICK_MS);
    }
  }
}

/** Whether `limitMs` (0: none) has passed since `startedAt`, a {@link CoarseClock.start}. */
export function isOver(startedAt: number, limitMs: number | undefined, now: number): boolean {
  return limitMs !== undefined && limitMs > 0 && now - startedAt >= limitMs;
}
