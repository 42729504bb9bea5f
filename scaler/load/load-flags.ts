/** How load becomes a count of replicas: the flags of the cluster's operator, for all functions. */
import { UsageError } from '../../common/runtime/errors.ts';
import type { FlagTable, FlagValues } from '../../common/runtime/flags.ts';
import { DEFAULT_TUNING, type Tuning } from '../sizing/tuning.ts';

export const loadFlags = {
  'stable-window': {
    type: 'number',
    default: DEFAULT_TUNING.stableWindowMs / 1_000,
    min: 6,
    max: 3_600,
    group: 'Load',
    describe: 'seconds over which load is averaged, and for which nothing goes down after a panic',
  },
  'panic-window': {
    type: 'number',
    default: DEFAULT_TUNING.panicWindowMs / 1_000,
    min: 1,
    max: 3_600,
    group: 'Load',
    describe: 'seconds of the short window, in which a burst shows; at most --stable-window',
  },
  'panic-threshold': {
    type: 'number',
    default: DEFAULT_TUNING.panicThreshold,
    min: 1.1,
    max: 10,
    group: 'Load',
    describe: 'panic when the short window wants this many times the ready pods',
  },
  'target-utilization': {
    type: 'number',
    default: DEFAULT_TUNING.targetUtilization,
    min: 0.01,
    max: 1,
    group: 'Load',
    describe: 'how full a pod should be where NumberParallelRequest is set and SlimFaas/Scale is not',
  },
  tolerance: {
    type: 'number',
    default: DEFAULT_TUNING.tolerance,
    min: 0,
    max: 1,
    group: 'Load',
    describe: 'how far a trigger of type Value may be off its threshold before anything changes',
  },
  'keep-answer': {
    type: 'number',
    default: DEFAULT_TUNING.keepAnswerMs / 1_000,
    min: 0,
    max: 86_400,
    group: 'Load',
    describe: 'seconds for which the last answer of a trigger without data counts; then it counts no more',
  },
} as const satisfies FlagTable;

/** @throws UsageError where the short window would be the longer one */
export function tuningOf(config: FlagValues<typeof loadFlags>): Tuning {
  const [stable, panic] = [config['stable-window'], config['panic-window']];
  if (panic > stable)
    throw new UsageError(`--panic-window must be at most --stable-window (${stable}), not ${panic}`);
  return {
    stableWindowMs: stable * 1_000,
    panicWindowMs: panic * 1_000,
    panicThreshold: config['panic-threshold'],
    targetUtilization: config['target-utilization'],
    tolerance: config.tolerance,
    keepAnswerMs: config['keep-answer'] * 1_000,
  };
}
