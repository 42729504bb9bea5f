/**
 * N→ReplicasMin, when nothing ran, waited, was queued or is due for the whole timeout, and no trigger's query was
 * above its ActivationThreshold. The query matters because a worker that takes its work from elsewhere has no callers
 * and may be in the middle of it. Missing data never scale down: not knowing is not idleness. A function stays up
 * while one that depends on it is up, even if its own timeout is shorter. Otherwise a call to the dependent would
 * find its dependency gone.
 */
import type { Decision, Facts } from './types.ts';
import { hold } from './types.ts';

/**
 * It holds whatever the timeout, 0 included. Use is reported once per second. So between a proxy's "nobody waits" and
 * a sidecar's "one runs" a call may run for up to 2 s unreported.
 */
const MIN_IDLE_MS = 2_000;

/** How long nothing may have happened before it sleeps. */
export function quietMs(idleTimeoutSeconds: number): number {
  return Math.max(idleTimeoutSeconds * 1_000, MIN_IDLE_MS);
}

/** Nothing has happened for the whole timeout, in traffic nor by what the triggers measure. */
export function isIdle(facts: Facts): boolean {
  const { running, waiting, jobs, direct, nowMs, idleSinceMs, idleTimeoutSeconds, triggers } = facts;
  if (running + waiting + jobs + direct > 0 || triggers.active !== undefined) return false;
  return nowMs - idleSinceMs >= quietMs(idleTimeoutSeconds);
}

export function idleRule(facts: Facts): Decision | undefined {
  const { spec, replicas, idleTimeoutSeconds } = facts;
  if (replicas <= floorOf(facts) || !isIdle(facts)) return undefined;
  const idleMs = facts.nowMs - facts.idleSinceMs;
  if (facts.awakeDependents.length > 0)
    return hold(facts, 'dependents', `${someOf(facts.awakeDependents)} depend on it and are up`);
  if (facts.blind !== undefined) return hold(facts, 'missing-data', facts.blind);
  if (facts.triggers.awaited !== undefined)
    return hold(facts, 'missing-data', `trigger ${facts.triggers.awaited} has not answered yet`);
  const reason = `idle for ${seconds(idleMs)} s, timeout ${idleTimeoutSeconds} s`;
  return { kind: 'sleep', wanted: spec.replicasMin, reason };
}

/** Up and not asleep: says which of the reasons keeps it so. */
export function awakeRule(facts: Facts): Decision {
  const { replicas, running, waiting, jobs, direct, idleTimeoutSeconds } = facts;
  if (running + waiting + jobs > 0)
    return hold(facts, 'active', `${running} running, ${waiting} waiting, ${jobs} jobs`);
  if (direct > 0) return hold(facts, 'active', `${direct} direct connection${direct === 1 ? '' : 's'}`);
  if (facts.triggers.active !== undefined) return hold(facts, 'active', `trigger ${facts.triggers.active}`);
  if (replicas <= floorOf(facts)) return hold(facts, 'at-minimum', `ReplicasMin is ${floorOf(facts)}`);
  if (facts.setByOthers !== undefined)
    return hold(facts, 'set-by-others', `somebody set ${facts.setByOthers} replicas`);
  const idle = seconds(facts.nowMs - facts.idleSinceMs);
  return hold(facts, 'idle-clock', `idle for ${idle} of ${idleTimeoutSeconds} s`);
}

/** Above zero an autoscaler owns the count: only "to zero" is left to us. */
function floorOf(facts: Facts): number {
  if (facts.autoscalerMin !== undefined && facts.spec.replicasMin > 0) return Infinity;
  return facts.spec.replicasMin;
}

/** Thousands may depend on one. */
const MAX_NAMED_DEPENDENTS = 5;

function someOf(names: readonly string[]): string {
  const more = names.length - MAX_NAMED_DEPENDENTS;
  return names.slice(0, MAX_NAMED_DEPENDENTS).join(', ') + (more > 0 ? ` and ${more} more` : '');
}

function seconds(ms: number): number {
  return Math.floor(ms / 1_000);
}
