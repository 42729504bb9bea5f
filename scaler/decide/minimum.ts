/**
 * The user's bounds on a function that is up: below ReplicasMin it is raised, above ReplicaMax it is cut. What
 * somebody else set stands for its time (see `others.ts`), and an autoscaler's workload
 * does not come this far.
 */
import type { Decision, Facts } from './types.ts';

export function minimumRule(facts: Facts): Decision | undefined {
  const { spec, replicas, setByOthers } = facts;
  if (replicas === 0 || setByOthers !== undefined) return undefined;
  const max = spec.scale?.replicaMax;
  if (max !== undefined && replicas > max)
    return { kind: 'cap', wanted: max, reason: `${replicas} replicas, ReplicaMax is ${max}` };
  const wanted = Math.min(spec.replicasMin, max ?? Infinity);
  if (replicas < wanted)
    return { kind: 'raise', wanted, reason: `${replicas} replicas, ReplicasMin is ${spec.replicasMin}` };
  return undefined;
}
