/**
 * How a rollout moves pods from old ReplicaSets to the new one: the arithmetic of the deployment controller, pure.
 * The price: a change of `replicas` in the middle of a rollout is not spread in proportion over all sets. The new set
 * and the limits absorb it.
 */
import { resolvePercent } from './objects.ts';

export interface SetSize {
  readonly name: string;
  /** Wanted: spec.replicas. */
  readonly replicas: number;
  readonly available: number;
}

export interface RollingLimits {
  readonly replicas: number;
  readonly maxSurge: number;
  readonly maxUnavailable: number;
}

/** Surge rounds up, unavailable rounds down; if both come out as 0 nothing could ever move, so 1. */
export function rollingLimits(
  replicas: number,
  strategy: { maxSurge?: number | string; maxUnavailable?: number | string } | undefined,
): RollingLimits {
  const maxSurge = resolvePercent(strategy?.maxSurge ?? '25%', replicas, Math.ceil);
  const unavailable = resolvePercent(strategy?.maxUnavailable ?? '25%', replicas, Math.floor);
  const maxUnavailable = maxSurge === 0 && unavailable === 0 ? 1 : Math.min(unavailable, replicas || 1);
  return { replicas, maxSurge, maxUnavailable };
}

/** The next size of the new set: never more than replicas + maxSurge pods in all. */
export function nextNewSize(limits: RollingLimits, current: SetSize, old: readonly SetSize[]): number {
  if (current.replicas >= limits.replicas) return limits.replicas;
  const total = current.replicas + sum(old, (set) => set.replicas);
  const room = limits.replicas + limits.maxSurge - total;
  if (room <= 0) return current.replicas;
  return Math.min(limits.replicas, current.replicas + room);
}

/**
 * The next sizes of the old sets, oldest first: first give up what is not available anyway, then what
 * availability allows.
 */
export function nextOldSizes(
  limits: RollingLimits,
  current: SetSize,
  old: readonly SetSize[],
): Map<string, number> {
  const sizes = new Map(old.map((set) => [set.name, set.replicas]));
  const minAvailable = limits.replicas - limits.maxUnavailable;
  const total = current.replicas + sum(old, (set) => set.replicas);
  const newUnavailable = current.replicas - current.available;
  let mayGo = total - minAvailable - newUnavailable;
  for (const set of old) {
    const unhealthy = Math.min(mayGo, set.replicas - set.available);
    if (unhealthy <= 0) continue;
    sizes.set(set.name, set.replicas - unhealthy);
    mayGo -= unhealthy;
  }
  const available = current.available + sum(old, (set) => Math.min(set.available, set.replicas));
  let healthyMayGo = Math.min(mayGo, available - minAvailable);
  for (const set of old) {
    const size = sizes.get(set.name) ?? 0;
    const step = Math.min(healthyMayGo, size);
    if (step <= 0) continue;
    sizes.set(set.name, size - step);
    healthyMayGo -= step;
  }
  return sizes;
}

function sum(sets: readonly SetSize[], of: (set: SetSize) => number): number {
  return sets.reduce((total, set) => total + of(set), 0);
}
