/**
 * Until when a decision stands, if nothing is heard of the function meanwhile. Most functions sleep or are simply
 * busy, and at ten thousand of them a tick must not look at each to find that out again. What cannot be said for
 * sure is not said: it is looked at on every tick. Pure.
 *
 * Whatever is heard (wakes, reports, pods, workloads, jobs) and whatever concerns all (NATS, watches, leadership,
 * any annotation) ends it; that is the reconciler's to see to.
 */
import type { ActivityMessage } from '../../common/bus/messages.ts';
import { mayGrow } from '../decide/bounds.ts';
import { quietMs } from '../decide/idle.ts';
import type { Decision, Facts } from '../decide/types.ts';

const NOT_STEADY = -Infinity;

/** @param isLinked it depends on others, or others on it: their clocks are its clocks too */
export function steadyUntil(facts: Facts, decision: Decision, isLinked: boolean): number {
  if (decision.kind !== 'hold' || isLinked || isMoving(facts)) return NOT_STEADY;
  switch (decision.because) {
    case 'asleep':
    case 'paused':
    case 'active':
    case 'at-minimum':
      return Infinity;
    case 'idle-clock':
      return facts.idleSinceMs + quietMs(facts.idleTimeoutSeconds);
    default:
      return NOT_STEADY;
  }
}

/** Something in it changes by time alone: windows, a schedule, what somebody set, callers that may have left. */
function isMoving({ spec, replicas, troubles, isColdStart, setByOthers, demand, ...facts }: Facts): boolean {
  // What ails a pod for long becomes a fault.
  if (replicas > 0 && (troubles.length > 0 || mayGrow(spec))) return true;
  // What its triggers say is asked at every tick.
  if (spec.scale?.scaleFromZero) return true;
  if (spec.schedule !== undefined || spec.wakesWithAny || isColdStart) return true;
  return setByOthers !== undefined || demand !== undefined || facts.waiting + facts.direct > 0;
}

/**
 * Whether a report says something else than the decision that stands. A sidecar's last report on a call shows it
 * (`running` above 0 on average, `runningNow` 0), and the next comes ten seconds later. So what stands as "active" is
 * ended by the present state, and what stands as anything else by any use.
 */
export function contradicts(message: ActivityMessage, decision: Decision | undefined): boolean {
  const { running, runningNow, waiting, started, finished, direct = 0, directOpened = 0 } = message;
  const isBusyNow = runningNow > 0 || waiting > 0 || direct > 0;
  if (decision?.kind === 'hold' && decision.because === 'active') return !isBusyNow;
  return isBusyNow || running + started + finished + directOpened > 0;
}
