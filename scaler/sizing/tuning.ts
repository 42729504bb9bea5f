/**
 * The autoscaler's own numbers, as an operator may set them for the whole cluster (flags of `slimfaas scaler`).
 * What a team sets for its function stands in its annotations and comes first.
 */
export interface Tuning {
  /** The load averaged over so long decides, and nothing goes down for as long after a panic. */
  readonly stableWindowMs: number;
  /** The short window, in which a burst shows. */
  readonly panicWindowMs: number;
  /** Panic when the short window wants at least this many times the ready pods. */
  readonly panicThreshold: number;
  /** How full a pod should be where only NumberParallelRequest is set; 0 to 1. The rest is room for a burst. */
  readonly targetUtilization: number;
  /** How far a `Value` trigger may be off its threshold before anything changes; 0.1 is 10 %. */
  readonly tolerance: number;
  /** For how long the last answer of a trigger without data counts. */
  readonly keepAnswerMs: number;
}

/** The windows, panic at 2 and 70 % are Knative's defaults; the tolerance is the HorizontalPodAutoscaler's. */
export const DEFAULT_TUNING: Tuning = Object.freeze({
  stableWindowMs: 60_000,
  panicWindowMs: 6_000,
  panicThreshold: 2,
  targetUtilization: 0.7,
  tolerance: 0.1,
  keepAnswerMs: 300_000,
});
