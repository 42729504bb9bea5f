/**
 * 0→N. N is the largest of ReplicasAtStart, ReplicasMin and what the waiting work fills, within the bounds.
 * Dependencies come first. Until all of them are ready the function stays at zero, while the same demand wakes them
 * (see `facts.ts`).
 *
 * Work that only a trigger shows (`ScaleFromZero`) wakes too, and sizes the wake: 73 items at 10 per pod are 8 pods, or
 * as many as the policies allow in one step.
 *
 * Callers arrive over some milliseconds: the first wakes one pod, and the thousandth comes while that patch is
 * under way. So until the first pod is ready, which is when load can be measured, what waits still sizes the wake,
 * without the policies that slow growth by load.
 */
import { clampReplicas, podsForWork } from './bounds.ts';
import type { Decision, Demand, Facts } from './types.ts';
import { hold, isUrgent } from './types.ts';

export function wakeRule(facts: Facts): Decision | undefined {
  if (facts.replicas > 0) return facts.isColdStart ? stillWaking(facts) : undefined;
  const { spec, demand, setByOthers } = facts;
  const isWanted = demand !== undefined && (demand.isCall || setByOthers === undefined);
  if (!isWanted && (spec.replicasMin === 0 || setByOthers !== undefined)) return asleep(facts);
  const why = isWanted ? wording(demand) : `ReplicasMin is ${spec.replicasMin}`;
  if (facts.unreadyDependencies.length > 0) {
    const names = facts.unreadyDependencies.join(', ');
    const reason = `${why}; first ${names} must be ready`;
    return { kind: 'await-dependencies', waitingFor: facts.unreadyDependencies, wanted: 0, reason };
  }
  if (!isWanted) return { kind: 'raise', wanted: clampReplicas(spec, 0), reason: why };
  return awake(facts, why, isUrgent(demand));
}

function awake(facts: Facts, why: string, isHurry: boolean): Decision {
  const { spec, autoscalerMin } = facts;
  if (autoscalerMin !== undefined) {
    const wanted = Math.min(Math.max(1, autoscalerMin, spec.replicasMin), spec.scale?.replicaMax ?? Infinity);
    const reason = `${why}; the autoscaler's minReplicas is ${autoscalerMin}`;
    return { kind: 'wake', isUrgent: isHurry, wanted, reason };
  }
  const { work, need } = needOf(facts);
  const { wanted: load = 0 } = facts.triggers;
  const wanted = clampReplicas(spec, Math.max(spec.replicasAtStart, need, load, 1));
  const sizes = [`ReplicasAtStart ${spec.replicasAtStart}`];
  if (load > 0) sizes.push(`triggers want ${load}`);
  if (need > 0) sizes.push(`${work} waiting / ${spec.parallelPerPod} a pod = ${need}`);
  return { kind: 'wake', isUrgent: isHurry, wanted, reason: `${why}; ${sizes.join(', ')}` };
}

function stillWaking(facts: Facts): Decision | undefined {
  const { spec, replicas, autoscalerMin, setByOthers } = facts;
  const { work, need } = needOf(facts);
  const wanted = clampReplicas(spec, need);
  if (wanted <= replicas || autoscalerMin !== undefined || setByOthers !== undefined) return undefined;
  const reason = `still waking; ${work} waiting / ${spec.parallelPerPod} a pod = ${need}`;
  return { kind: 'wake', isUrgent: true, wanted, reason };
}

/** In strict order one job runs at a time, however many there are. */
function needOf({ spec, waiting, jobs }: Facts): { work: number; need: number } {
  const work = waiting + (spec.ordered ? Math.min(1, jobs) : jobs);
  return { work, need: podsForWork(spec, work) };
}

function asleep(facts: Facts): Decision {
  if (facts.setByOthers !== undefined)
    return hold(facts, 'set-by-others', 'somebody set 0 replicas; the next call wakes it');
  return hold(facts, 'asleep', 'nobody uses it');
}

function wording(demand: Demand): string {
  switch (demand.by) {
    case 'callers':
      return `${demand.waiting} callers wait`;
    case 'jobs':
      return `${demand.jobs} jobs wait`;
    case 'wake':
      return 'somebody asked for it';
    case 'schedule':
      return 'its schedule says so';
    case 'trigger':
      return `trigger ${demand.what}`;
    case 'any-function':
      return `${demand.name} is in use and it starts with any function`;
    case 'dependent':
      return `${demand.name} depends on it`;
  }
}
