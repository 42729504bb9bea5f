/**
 * Finds single calls beside probes that come at the same rate for hours. Every connection lowers a level by one, and the
 * probes' rate raises it. Probes alone make it a saw: its tops stay where they are, as long as probes come in their
 * rhythm. One call lowers all later tops by one. A probe that is left out raises them, which is forgotten after two
 * windows, so that it does not pay for a call later. A late one raises them for less than that.
 *
 * The tops are those of a window in which all probes come round. Where it would be too long nothing is found here.
 */
import type { ProbePeriod } from './probe-budget.ts';

/** Less than a call makes, and more than the samples' own error. */
const FALL = 0.45;
/** The level may rise so much between two samples, where that is not too often. */
const RISE_PER_SAMPLE = 0.2;
/** No part of a second: ten samples in a row come at ten places between two probes, so one is near the top. */
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
    this.#perMs = probes.reduce((sum, { periodSeconds }) => sum + 1 / (periodSeconds * 1_000), 0);
    this.#beganMs = nowMs;
    const wanted = this.#perMs === 0 ? SAMPLE_MS.max : RISE_PER_SAMPLE / this.#perMs;
    this.sampleMs = Math.min(SAMPLE_MS.max, Math.max(SAMPLE_MS.min, wanted));
    const windowMs = windowOf(probes, longestWindowMs);
    this.#partMs = windowMs === undefined ? undefined : windowMs / PARTS;
    this.startAgain(nowMs);
  }

  /** False: the probes seldom come round together. */
  get canTell(): boolean {
    return this.#partMs !== undefined;
  }

  /** So many of those that came were no calls, as is known now. */
  forgive(connections: number): void {
    this.#opened -= connections;
  }

  /** What has come so far says nothing of what comes: the tops are learned again. */
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

/** In which all come round: the least common multiple of their periods. Undefined: longer than is waited for. */
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
