/**
 * Runs a long pass in slices of a few milliseconds, with the event loop's other work between them. At 10,000
 * functions a pass takes tens of milliseconds. A wake that arrives meanwhile must be acted upon at once, not when the
 * pass is over. Gives up: within a pass, functions are not all seen at the same moment.
 */

/** Goes on until it is done (true) or may not go on (false); called again, it goes on from there. */
export type Slice = (mayGoOn: () => boolean) => boolean;

/**
 * All items, once each, also those that come meanwhile: a Map's iterator goes on over a Map that changes. Each
 * slice begins again, with its own moment and its own facts, because the world may have changed since the last one.
 */
export function sliceOver<T>(items: Iterator<T>, begin: () => (item: T) => void): Slice {
  return (mayGoOn) => {
    const visit = begin();
    // At least one a slice, even if beginning it has used up the slice's time.
    do {
      const { value, done } = items.next();
      if (done) return true;
      visit(value);
    } while (mayGoOn());
    return false;
  };
}

/** Without slices: for tests, and for whom nothing else waits. */
export function atOneGo(pass: () => Slice): void {
  const slice = pass();
  while (!slice(() => true));
}

export interface PassTiming {
  /** What the slices took together. */
  readonly busyMs: number;
  /** How long the event loop was held at most. */
  readonly longestSliceMs: number;
}

export interface SlicerOptions {
  readonly sliceMs?: number;
  readonly onPass?: (timing: PassTiming) => void;
  /** Not the decisions' clock: that one may jump. */
  readonly clock?: () => number;
  /** Runs it after the event loop's other work; hands back the cancellation. */
  readonly later?: (next: () => void) => () => void;
}

/** A wake waits for the slice under way and for nothing else: a fifth of what it may take in all (20 ms). */
const SLICE_MS = 4;

function afterOtherWork(next: () => void): () => void {
  const immediate = setImmediate(next);
  return () => clearImmediate(immediate);
}

export class Slicer {
  readonly #sliceMs: number;
  readonly #clock: () => number;
  readonly #later: (next: () => void) => () => void;
  readonly #onPass: (timing: PassTiming) => void;
  #cancel: (() => void) | undefined;
  /** Asked for during a pass: what it is for may concern functions that the pass has been to already. */
  #next: (() => Slice) | undefined;

  constructor(options: SlicerOptions = {}) {
    this.#sliceMs = options.sliceMs ?? SLICE_MS;
    this.#clock = options.clock ?? (() => performance.now());
    this.#later = options.later ?? afterOtherWork;
    this.#onPass = options.onPass ?? (() => {});
  }

  get isBusy(): boolean {
    return this.#cancel !== undefined;
  }

  /** Begins at once; a pass that is asked for during another follows it, and is one however often asked for. */
  run(pass: () => Slice): void {
    if (this.isBusy) this.#next = pass;
    else this.#slice(pass(), { busyMs: 0, longestSliceMs: 0 });
  }

  stop(): void {
    this.#next = undefined;
    this.#cancel?.();
    this.#cancel = undefined;
  }

  #slice(slice: Slice, before: PassTiming): void {
    this.#cancel = () => {}; // busy, also if the slice itself asks for a pass
    const begunMs = this.#clock();
    const isDone = slice(() => this.#clock() - begunMs < this.#sliceMs);
    const tookMs = this.#clock() - begunMs;
    const timing = {
      busyMs: before.busyMs + tookMs,
      longestSliceMs: Math.max(before.longestSliceMs, tookMs),
    };
    if (!isDone) {
      this.#cancel = this.#later(() => this.#slice(slice, timing));
      return;
    }
    this.#cancel = undefined;
    this.#onPass(timing);
    const next = this.#next;
    this.#next = undefined;
    if (next) this.#cancel = this.#later(() => this.#slice(next(), { busyMs: 0, longestSliceMs: 0 }));
  }
}
