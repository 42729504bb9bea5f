/**
 * How fast a replica count may move: stabilisation windows and policies, as the HorizontalPodAutoscaler documents its
 * `behavior`. Pure: the history goes in and comes out. It keeps no plain list of recommendations, which would be
 * 3,600 per function at one per second and an hour's window. It keeps only those that can still be a window's
 * smallest or largest. Under steady load that is one entry.
 *
 * Wakes from zero do not come through here: a caller that waits is served at once.
 */
import type { ScaleDirection, ScalePolicy } from '../../common/function/spec.ts';

interface Sample {
  readonly atMs: number;
  readonly replicas: number;
}

interface Change {
  readonly atMs: number;
  /** Replicas added or removed; positive in both lists. */
  readonly count: number;
}

export interface BehaviorHistory {
  /** Recommendations in order of time with rising replicas: the first is the smallest in the window. */
  readonly lows: readonly Sample[];
  /** The same with falling replicas: the first is the largest. */
  readonly highs: readonly Sample[];
  readonly ups: readonly Change[];
  readonly downs: readonly Change[];
}

export const NO_HISTORY: BehaviorHistory = Object.freeze({ lows: [], highs: [], ups: [], downs: [] });

export interface BehaviorInput {
  readonly current: number;
  readonly desired: number;
  /** Bounds of the result; a current count outside them is brought back whatever the policies say. */
  readonly min: number;
  readonly max: number;
  readonly scaleUp: ScaleDirection;
  readonly scaleDown: ScaleDirection;
}

export interface BehaviorResult {
  readonly replicas: number;
  /** What kept the result from `desired`, latest first. */
  readonly limitedBy: 'nothing' | 'bounds' | 'stabilization' | 'policy';
  /** The history with this recommendation in it; pass it to the next call. */
  readonly history: BehaviorHistory;
}

/** Bounds, then windows, then policies. Call it once per tick, then {@link recordChange} if replicas changed. */
export function applyBehavior(input: BehaviorInput, history: BehaviorHistory, nowMs: number): BehaviorResult {
  const bounded = clamp(input.desired, input.min, input.max);
  const known = history.highs.length === 0 ? startedAt(input.current, history, nowMs) : history;
  const next = remember(input, known, { atMs: nowMs, replicas: bounded });
  const stable = stabilize(input.current, next);
  // A window or policy holds back a change, never the return of a count that is out of bounds.
  const allowed = clamp(limitRate(stable, input, next, nowMs), input.min, input.max);
  return { replicas: allowed, limitedBy: reason(), history: next };

  function reason(): BehaviorResult['limitedBy'] {
    if (allowed !== stable) return 'policy';
    if (stable !== bounded) return 'stabilization';
    return bounded === input.desired ? 'nothing' : 'bounds';
  }
}

/** Notes a change that was really made (by whomever of us: triggers, wakes, schedules). */
export function recordChange(
  history: BehaviorHistory,
  change: { readonly from: number; readonly to: number },
  nowMs: number,
): BehaviorHistory {
  const count = Math.abs(change.to - change.from);
  if (count === 0) return history;
  const list = change.to > change.from ? 'ups' : 'downs';
  return { ...history, [list]: [...history[list], { atMs: nowMs, count }] };
}

/** A scaler that has just begun knows no past; the replicas it finds count as its first recommendation. */
function startedAt(current: number, history: BehaviorHistory, nowMs: number): BehaviorHistory {
  const sample = { atMs: nowMs, replicas: current };
  return { ...history, lows: [sample], highs: [sample] };
}

function remember(input: BehaviorInput, history: BehaviorHistory, sample: Sample): BehaviorHistory {
  const { scaleUp, scaleDown } = input;
  const upCutoff = sample.atMs - scaleUp.stabilizationWindowSeconds * 1_000;
  const downCutoff = sample.atMs - scaleDown.stabilizationWindowSeconds * 1_000;
  const periodMs = Math.max(longestPeriodMs(scaleUp), longestPeriodMs(scaleDown));
  const isRecent = (change: Change) => change.atMs > sample.atMs - periodMs && change.atMs <= sample.atMs;
  return {
    lows: push(history.lows, sample, upCutoff, (old) => old.replicas < sample.replicas),
    highs: push(history.highs, sample, downCutoff, (old) => old.replicas > sample.replicas),
    ups: history.ups.every(isRecent) ? history.ups : history.ups.filter(isRecent),
    downs: history.downs.every(isRecent) ? history.downs : history.downs.filter(isRecent),
  };
}

/**
 * Samples from the future (a clock that jumped back) go too: they would hold the count until it is there again.
 */
function push(
  samples: readonly Sample[],
  sample: Sample,
  cutoffMs: number,
  outlives: (old: Sample) => boolean,
): readonly Sample[] {
  const kept = samples.filter((old) => old.atMs > cutoffMs && old.atMs <= sample.atMs && outlives(old));
  return [...kept, sample];
}

/** Up only as far as the smallest of the up window, down only as far as the largest of the down window. */
function stabilize(current: number, history: BehaviorHistory): number {
  const low = (history.lows[0] as Sample).replicas;
  const high = (history.highs[0] as Sample).replicas;
  return Math.min(Math.max(current, low), high);
}

function limitRate(target: number, input: BehaviorInput, history: BehaviorHistory, nowMs: number): number {
  const { current } = input;
  const isUp = target > current;
  const direction = isUp ? input.scaleUp : input.scaleDown;
  if (target === current || direction.selectPolicy === 'Disabled') return current;
  const limits = direction.policies.map((policy) =>
    isUp
      ? Math.max(current, upLimit(policy, current, history, nowMs))
      : Math.min(current, downLimit(policy, current, history, nowMs)),
  );
  if (limits.length === 0) return target;
  // "Max" is the policy that allows the largest change, whichever way it goes.
  const wantsHighest = isUp === (direction.selectPolicy === 'Max');
  const limit = wantsHighest ? Math.max(...limits) : Math.min(...limits);
  return isUp ? Math.min(target, limit) : Math.max(target, limit);
}

/** 4 pods, +2 of them within the period: a policy of 100 % counts from the 2 it started with, and allows 4. */
function upLimit(policy: ScalePolicy, current: number, history: BehaviorHistory, nowMs: number): number {
  const start = periodStart(policy, current, history, nowMs);
  return policy.type === 'Pods' ? start + policy.value : Math.ceil((start * (100 + policy.value)) / 100);
}

function downLimit(policy: ScalePolicy, current: number, history: BehaviorHistory, nowMs: number): number {
  const start = periodStart(policy, current, history, nowMs);
  const limit = policy.type === 'Pods' ? start - policy.value : (start * (100 - policy.value)) / 100;
  return Math.max(0, Math.trunc(limit));
}

function periodStart(policy: ScalePolicy, current: number, history: BehaviorHistory, nowMs: number): number {
  const sinceMs = nowMs - policy.periodSeconds * 1_000;
  return current - changedSince(history.ups, sinceMs) + changedSince(history.downs, sinceMs);
}

function changedSince(changes: readonly Change[], sinceMs: number): number {
  return changes.reduce((sum, change) => (change.atMs > sinceMs ? sum + change.count : sum), 0);
}

function longestPeriodMs(direction: ScaleDirection): number {
  return Math.max(0, ...direction.policies.map((policy) => policy.periodSeconds * 1_000));
}

function clamp(value: number, min: number, max: number): number {
  return Math.max(min, Math.min(max, value));
}
