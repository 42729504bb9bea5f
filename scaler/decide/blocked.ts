/**
 * Asking for more pods is useless when those already asked for cannot come up: no node fits, the quota is used up,
 * the image cannot be pulled, the container crashes. So a decision to grow becomes "blocked" with the cause, until
 * the API shows that it is gone. From zero there is no pod yet to judge by, so waking is always tried.
 *
 * Want of room is the cluster's and holds for the next pod too. A trouble of a pod itself blocks only while none is
 * ready. One pod that crashes among fifty healthy ones, or a bad rollout beside the old pods, must not starve
 * callers.
 */
import { isFailing, type Trouble } from '../../common/kube/model/trouble.ts';
import type { Decision, Facts } from './types.ts';

const OF_THE_CLUSTER: ReadonlySet<Trouble['kind']> = new Set(['unschedulable', 'quota', 'refused']);

export function blockGrowth(facts: Facts, decision: Decision): Decision {
  if (facts.replicas === 0 || decision.wanted <= facts.replicas) return decision;
  const failing = facts.troubles.filter(isFailing);
  const trouble = failing.find(({ kind }) => OF_THE_CLUSTER.has(kind) || facts.readyPods === 0);
  if (trouble === undefined) return decision;
  const reason = `wants ${decision.wanted}, but ${trouble.kind}: ${trouble.message}`;
  return { kind: 'blocked', trouble, wanted: facts.replicas, reason };
}
