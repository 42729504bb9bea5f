/**
 * Asking for more pods when those already asked for cannot come up only grows the heap of broken ones: no node
 * fits, the quota is used up, the image cannot be pulled, the container crashes. So a decision to grow becomes
 * "blocked" with the cause, until the API shows that it is gone. From zero there is no pod yet to judge by, so
 * waking is always tried.
 */
import type { Decision, Facts } from './types.ts';

export function blockGrowth(facts: Facts, decision: Decision): Decision {
  const trouble = facts.troubles[0];
  if (trouble === undefined || facts.replicas === 0 || decision.wanted <= facts.replicas) return decision;
  const reason = `wants ${decision.wanted}, but ${trouble.kind}: ${trouble.message}`;
  return { kind: 'blocked', trouble, wanted: facts.replicas, reason };
}
