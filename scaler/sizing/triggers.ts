/**
 * From what the triggers measure to a replica count: the arithmetic of the HorizontalPodAutoscaler, one
 * recommendation out of many triggers. Limits, policies and windows come after, in behavior.ts; going to zero
 * is not decided here at all (see idle.ts).
 *
 * Room `scaler/sizing`: From load to a size, pure: targets, windows, behaviour.
 * Comes in: load over time.
 * Goes out: a wanted count.
 */
import { DEFAULT_SCALE_DOWN, DEFAULT_SCALE_UP } from '../../common/function/annotations/scaling/scale.ts';
import {
  BUILT_IN_TRIGGERS,
  type BuiltInLoad,
  type BuiltInTrigger,
} from '../../common/function/built-in-triggers.ts';
import type { FunctionSpec, ScaleSpec, ScaleTrigger } from '../../common/function/spec.ts';
import { DEFAULT_TUNING } from './tuning.ts';

/** What one trigger measured; undefined, NaN, infinite or negative all mean that there is no valid data. */
export interface TriggerReading {
  readonly trigger: ScaleTrigger;
  readonly value: number | undefined;
  /** Without a value: what it last wanted, while that counts still (see trigger-answers.ts). */
  readonly kept?: number | undefined;
  /** False: part of the data is missing, so the value may be too low; default true. */
  readonly isWhole?: boolean;
}

export interface TriggerVerdict extends TriggerReading {
  /** undefined without valid data, now and before. */
  readonly replicas: number | undefined;
}

export interface Recommendation {
  /** The largest of the verdicts, never below `current` where a trigger lacks data; undefined: none has any. */
  readonly replicas: number | undefined;
  /** The verdict that won. */
  readonly lead: TriggerVerdict | undefined;
  /** True where at least one trigger lacks data, all or part: then `replicas` is not below `current`. */
  readonly isPartial: boolean;
  readonly verdicts: readonly TriggerVerdict[];
}

/** The largest trigger wins; partly missing data never scales down (as the HorizontalPodAutoscaler has it). */
export function recommend(
  readings: readonly TriggerReading[],
  current: number,
  tolerance: number = DEFAULT_TUNING.tolerance,
): Recommendation {
  const verdicts = readings.map((reading) => ({
    ...reading,
    replicas: replicasFor(reading, current, tolerance) ?? reading.kept,
  }));
  const isPartial = readings.some(
    (reading) => reading.isWhole === false || replicasFor(reading, current, tolerance) === undefined,
  );
  let lead: TriggerVerdict | undefined;
  for (const verdict of verdicts) {
    if (verdict.replicas !== undefined && verdict.replicas > (lead?.replicas ?? -1)) lead = verdict;
  }
  const replicas = lead?.replicas;
  if (replicas === undefined) return { replicas, lead, isPartial, verdicts };
  return { replicas: isPartial ? Math.max(replicas, current) : replicas, lead, isPartial, verdicts };
}

/**
 * AverageValue: ceil(value / threshold). Value: ceil(current × value / threshold), outside the tolerance.
 *
 * The tolerance is for `Value` only, because its result feeds on itself. A steady ratio of 1.01 would make 4 pods 5,
 * then 6, then 7, one pod per tick forever. `AverageValue` needs none: the same value always gives the same count,
 * and flapping at an edge is the stabilisation window's business.
 */
export function replicasFor(
  { trigger, value }: TriggerReading,
  current: number,
  tolerance: number = DEFAULT_TUNING.tolerance,
): number | undefined {
  if (value === undefined || !Number.isFinite(value) || value < 0) return undefined;
  const ratio = value / trigger.threshold;
  if (trigger.metricType === 'AverageValue') return ceil(ratio);
  return Math.abs(ratio - 1) <= tolerance + ROUNDING ? current : ceil(current * ratio);
}

/** 21 / 0.7 is 30.000000000000004 in floating point, and not a reason for a 31st pod. */
const ROUNDING = 1e-9;

function ceil(x: number): number {
  const replicas = Math.ceil(x - ROUNDING * Math.max(1, x));
  return Math.max(0, Math.min(Number.MAX_SAFE_INTEGER, replicas)); // max: no −0
}

/** The default rule's own metric: what runs and waits, and what is queued behind it. */
export const CONCURRENCY_AND_QUEUE = 'concurrency+queue';

const TRIGGERS: ReadonlyMap<string, BuiltInTrigger> = new Map<string, BuiltInTrigger>([
  ...Object.entries(BUILT_IN_TRIGGERS),
  [
    CONCURRENCY_AND_QUEUE,
    ({ concurrency, queue }) =>
      concurrency === undefined || queue === undefined ? undefined : concurrency + queue,
  ],
]);

/** The value of a trigger without a query; undefined for an unknown name or missing data. */
export function builtInValue(metricName: string, load: BuiltInLoad): number | undefined {
  return TRIGGERS.get(metricName)?.(load);
}

export type EffectiveScale = Pick<ScaleSpec, 'replicaMax' | 'triggers' | 'scaleUp' | 'scaleDown'> & {
  /** Where the rule comes from; `none`: the function stays at ReplicasAtStart while it is active. */
  readonly origin: 'annotation' | 'parallel-limit' | 'none';
};

/**
 * The scaling rule in force. `SlimFaas/Scale` decides where it is given. Otherwise NumberParallelRequest bounds the
 * cost. So a function that sets it scales on what runs, waits and is queued, at 70 % of a pod, up to the pods that
 * the limit can fill. A limit of 40 at 10 per pod is 4 pods. A function that sets neither has no such bound and is
 * left alone, so that nobody's bill grows by surprise.
 */
export function effectiveScale(
  spec: Pick<FunctionSpec, 'scale' | 'parallelLimit' | 'parallelPerPod' | 'replicasMin'>,
  targetUtilization: number = DEFAULT_TUNING.targetUtilization,
): EffectiveScale {
  const defaults = { scaleUp: DEFAULT_SCALE_UP, scaleDown: DEFAULT_SCALE_DOWN };
  if (spec.scale) return { ...spec.scale, origin: 'annotation' };
  if (spec.parallelLimit === undefined) {
    return { origin: 'none', replicaMax: undefined, triggers: [], ...defaults };
  }
  const trigger: ScaleTrigger = {
    metricType: 'AverageValue',
    metricName: CONCURRENCY_AND_QUEUE,
    query: '',
    activationThreshold: 0,
    // At least one whole call per pod: with one place per pod, 70 % of it would take two pods for one caller.
    threshold: Math.max(1, spec.parallelPerPod * targetUtilization),
  };
  const pods = Math.ceil(spec.parallelLimit / spec.parallelPerPod);
  return {
    origin: 'parallel-limit',
    replicaMax: Math.max(pods, spec.replicasMin, 1),
    triggers: [trigger],
    ...defaults,
  };
}
