/**
 * N→0, and by the wake rule back to N: makes a workload's controller try again at once (see nudges.ts). Only where a
 * change of the count can do no harm. No pod exists, callers wait, nobody else sets the count, and the controller has
 * seen our last change.
 */
import type { Decision, Facts } from './types.ts';
import { hold } from './types.ts';

/** A controller that does not say that it has seen our change is not waited for any longer. */
const SETTLE_MAX_MS = 5_000;

export function nudgeRule(facts: Facts): Decision | undefined {
  if (facts.replicas === 0) return settling(facts);
  const trouble = facts.dueNudge;
  if (trouble === undefined || !mayBeNudged(facts)) return undefined;
  const reason = `no pod could be created: ${trouble.message}; asking again at once`;
  return { kind: 'nudge', trouble, wanted: 0, reason };
}

function mayBeNudged(facts: Facts): boolean {
  const { spec, createdPods, readyPods, isObserved, autoscalerMin, setByOthers, waiting, jobs } = facts;
  if (createdPods + readyPods > 0 || !isObserved) return false;
  if (spec.replicasMin > 0 || autoscalerMin !== undefined || setByOthers !== undefined) return false;
  return waiting + jobs > 0;
}

/** Between down and up again: the controller that has not seen the 0 would see no change at all. */
function settling(facts: Facts): Decision | undefined {
  const { nudgedAtMs, nowMs, isObserved } = facts;
  if (nudgedAtMs === undefined || isObserved || nowMs - nudgedAtMs >= SETTLE_MAX_MS) return undefined;
  return hold(facts, 'nudged', 'its controller is asked to create its pods at once');
}
