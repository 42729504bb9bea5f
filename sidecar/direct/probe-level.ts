/**
 * Finds single calls among connections of probes. A level rises at the probes' rate, and each connection lowers it by
 * one. With probes alone the level is a saw: its tops stay the same as long as the probes are on time. One call lowers
 * all later tops by one. A probe that is left out raises the tops. That is forgotten after two windows, so it cannot
 * hide a call that comes later. A late probe raises them for a shorter time.
 *
 * A window is a time in which every probe comes. Where that would be too long, nothing is found here.
 */
import { probesPerMs, type ProbePeriod } from './probe-budget.ts';

/** Less than a call makes, and more than the samples' own error. */
const FALL = 0.45;
/** The level may rise so much between two samples, where that is not too often. */
const RISE_PER_SAMPLE = 0.2;
/** 350 ms divides no second. So ten samples in a row come at ten places between two probes, and one is near the top. */
const SAMPLE_MS = { min: 350, max: 1_000 };
/** Ten samples. */
const WINDOW_MS_MIN = 3_700;
const MARGIN_MS = 500;
const PARTS = 8;

export class ProbeLevel {
  readonly sampleMs: number;
  readonly #perMs: number;
  readonly #partMs: number | undefined;
  readonly #beganMs: number;
  #opened = 0;
  #partEndsMs = 0;
  #top = -Infinity;
  /** The tops of the last window's parts. */
  #tops: number[] = [];
  /** The tops of windows, as they ended with each part of the last two. */
  #windowTops: number[] = [];

  /** @param longestWindowMs where the probes need a longer one, nothing is found */
  constructor(probes: readonly ProbePeriod[], longestWindowMs: number, nowMs: number) {
    this.#perMs = probesPerMs(probes);
    this.#beganMs = nowMs;
    const wanted = this.#perMs === 0 ? SAMPLE_MS.max : RISE_PER_SAMPLE / this.#perMs;
    this.sampleMs = Math.min(SAMPLE_MS.max, Math.max(SAMPLE_MS.min, wanted));
    const windowMs = windowOf(probes, longestWindowMs);
    this.#partMs = windowMs === undefined ? undefined : windowMs / PARTS;
    this.startAgain(nowMs);
  }

  /** False: the window would be too long. */
  get canTell(): boolean {
    return this.#partMs !== undefined;
  }

  /** It is known now that so many of the connections were no calls. */
  forgive(connections: number): void {
    this.#opened -= connections;
  }

  /** Forgets the tops, where earlier connections say nothing about later ones. */
  startAgain(nowMs: number): void {
    this.#tops = [];
    this.#windowTops = [];
    this.#beginPart(nowMs);
  }

  /** @returns calls that are certain now; they were up to a window ago */
  sample(opened: number, nowMs: number): number {
    this.#opened += opened;
    this.#top = Math.max(this.#top, (nowMs - this.#beganMs) * this.#perMs - this.#opened);
    if (this.#partMs === undefined || nowMs < this.#partEndsMs) return 0;
    this.#tops.push(this.#top);
    this.#beginPart(nowMs);
    if (this.#tops.length < PARTS) return 0;
    const top = Math.max(...this.#tops);
    this.#tops.shift();
    const lowest = Math.min(...this.#windowTops);
    const fall = this.#windowTops.length === 0 ? 0 : lowest - top;
    if (fall > FALL) {
      // With calls in a row the top of each window falls a little: the next one is compared when it is a whole one.
      this.#tops = [];
      this.#windowTops = [];
    }
    this.#windowTops.push(top);
    if (this.#windowTops.length > 2 * PARTS) this.#windowTops.shift();
    return fall > FALL ? Math.max(1, Math.round(fall)) : 0;
  }

  #beginPart(nowMs: number): void {
    this.#top = -Infinity;
    this.#partEndsMs = nowMs + (this.#partMs ?? 0);
  }
}

/** The least common multiple of their periods. Undefined: longer than `longestMs`. */
function windowOf(probes: readonly ProbePeriod[], longestMs: number): number | undefined {
  const periods = probes.map(({ periodSeconds }) => Math.round(periodSeconds));
  if (periods.includes(0)) return undefined;
  const seconds = periods.reduce((common, period) => (common * period) / divisor(common, period), 1);
  const windowMs = seconds * 1_000 + MARGIN_MS;
  return windowMs > longestMs ? undefined : Math.max(WINDOW_MS_MIN, windowMs);
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}
