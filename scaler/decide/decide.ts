/**
 * * The order in which the rules have their say; the first that decides wins. Pure.
 *
 * Room `scaler/decide`: The rules, pure: how many replicas.
 * Comes in: facts and a time.
 * Goes out: one decision with its reason.
 */
import { blockGrowth } from './blocked.ts';
import { awakeRule, idleRule } from './idle.ts';
import { loadRule } from './load.ts';
import { minimumRule } from './minimum.ts';
import { nudgeRule } from './nudge.ts';
import { autoscalerRule, pausedRule } from './others.ts';
import type { Decision, Facts, DecisionRule } from './types.ts';
import { wakeRule } from './wake.ts';

const RULES: readonly DecisionRule[] = [
  pausedRule,
  nudgeRule,
  wakeRule,
  // Before load: what is idle needs no trigger's consent to sleep ("nor the way to zero when nothing is active").
  idleRule,
  autoscalerRule,
  minimumRule,
  loadRule,
];

export function decide(facts: Facts): Decision {
  for (const rule of RULES) {
    const decision = rule(facts);
    if (decision) return blockGrowth(facts, decision);
  }
  return awakeRule(facts);
}
