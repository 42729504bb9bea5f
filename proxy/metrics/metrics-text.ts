/**
 * The exposition on the port that anybody reaches: made once for all who see the same, callers inside and others.
 * With thousands of functions it takes a fifth of a second and megabytes, and anybody may ask. One that took long is
 * used again for ten times as long, and while one is being made all wait for it. Given up then: freshness.
 */
import type { Clock } from '../clock.ts';
import type { StatusView } from '../status/board.ts';

export interface MetricsTextOptions {
  readonly clock: Clock;
  readonly render: (view: StatusView) => Promise<string>;
}

/** What takes less is made again each time: nobody notices, and a figure is never old. */
const LONG_MS = 20;
const TIMES_RENDER_TIME = 10;

interface Made {
  readonly bytes: Promise<Buffer>;
  /** Until when it is used; while it is being made: forever. */
  untilMs: number;
}

export class MetricsText {
  readonly #options: MetricsTextOptions;
  readonly #made = new Map<StatusView, Made>();

  constructor(options: MetricsTextOptions) {
    this.#options = options;
  }

  read(view: StatusView): Promise<Buffer> {
    const made = this.#made.get(view);
    if (made && this.#options.clock.now() < made.untilMs) return made.bytes;
    return this.#make(view);
  }

  #make(view: StatusView): Promise<Buffer> {
    const { clock, render } = this.#options;
    const begunMs = clock.now();
    const made: Made = { bytes: render(view).then((text) => Buffer.from(text)), untilMs: Infinity };
    this.#made.set(view, made);
    const ended = (): void => {
      const now = clock.now();
      const tookMs = now - begunMs;
      made.untilMs = tookMs < LONG_MS ? -Infinity : now + TIMES_RENDER_TIME * tookMs;
    };
    made.bytes.then(ended, () => (made.untilMs = -Infinity));
    return made.bytes;
  }
}
