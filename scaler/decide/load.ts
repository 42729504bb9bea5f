/**
 * N→M: turns what the triggers advise into a decision within the bounds. The advice has been through the
 * behaviour policies already; here it only meets the limits and the data's gaps.
 *
 * It decides nothing for a function that is idle, which goes to ReplicasMin. Else a window that still holds the last
 * burst would raise the function, and the idle rule would put it to sleep again, over and over.
 */
import { clampReplicas } from './bounds.ts';
import { isIdle } from './idle.ts';
import type { Decision, Facts } from './types.ts';
import { hold } from './types.ts';

export function loadRule(facts: Facts): Decision | undefined {
  const { spec, replicas, load } = facts;
  if (!load) return undefined;
  // Zero is the idle rule's to decide: triggers never go below one.
  const wanted = Math.max(1, clampReplicas(spec, load.wanted));
  if (wanted > replicas && isIdle(facts)) return undefined;
  if (wanted > replicas) return { kind: 'scale-up', wanted, reason: load.reason };
  if (wanted === replicas) return undefined;
  if (facts.blind !== undefined) return hold(facts, 'missing-data', facts.blind);
  if (facts.setByOthers !== undefined)
    return hold(facts, 'set-by-others', `somebody set ${facts.setByOthers} replicas`);
  return { kind: 'scale-down', wanted, reason: load.reason };
}
