/**
 * Living with others, who may also set replica counts.
 *
 * - `slimfaas.dev/paused: "true"`: the workload is left alone altogether.
 * - A HorizontalPodAutoscaler: the scaler does 0↔min only. It wakes from zero to the autoscaler's minReplicas and
 *   sleeps to zero; between, it does nothing. The wake switches the autoscaler on, which ignores a workload at 0.
 * - A human's `kubectl scale`, or any other writer. What they set counts as use, so the idle timeout starts again. It
 *   stands for one idle timeout, during which ReplicasMin is not enforced against it. A call, a job or load may raise
 *   it meanwhile, since that is what the annotations ask for; to keep it, pause the workload.
 */
import type { Decision, Facts } from './types.ts';
import { hold } from './types.ts';

export function pausedRule(facts: Facts): Decision | undefined {
  return facts.spec.paused
    ? hold(facts, 'paused', `slimfaas.dev/paused; left at ${facts.replicas}`)
    : undefined;
}

/** After the wake and idle rules have had their say. */
export function autoscalerRule(facts: Facts): Decision | undefined {
  if (facts.autoscalerMin === undefined) return undefined;
  return hold(facts, 'autoscaler', 'a HorizontalPodAutoscaler looks after it between min and max');
}
