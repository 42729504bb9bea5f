/**
 * Canaries: Deployments that take a part of another function's calls (`slimfaas.dev/canary-of`, `slimfaas.dev/weight`).
 * Pure. Proxies need not agree on anything: what sticks is decided by a hash of what the call says.
 */
import type { CanarySpec, FunctionInfo } from './spec.ts';

/** A canary as the split sees it. */
export interface CanaryShare {
  readonly name: string;
  readonly weightPercent: number;
}

/**
 * In the order of their names, because every proxy must cut the same line. What is above 100 percent in all gets
 * nothing.
 * @param point from 0 to below 100
 * @returns undefined: the function itself
 */
export function canaryAt<C extends CanaryShare>(canaries: readonly C[], point: number): C | undefined {
  let below = 0;
  for (const canary of canaries) {
    below += canary.weightPercent;
    if (point < below) return canary;
  }
  return undefined;
}

export function byCanaryName(a: CanaryShare, b: CanaryShare): number {
  return a.name < b.name ? -1 : 1;
}

/**
 * Where a text stands between 0 and 100: always at the same place, evenly spread. FNV-1a of 32 bits, with the mixing
 * steps of MurmurHash3 at the end, because short texts leave FNV's high bits nearly equal.
 */
export function pointOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return (((hash ^ (hash >>> 16)) >>> 0) / 2 ** 32) * 100;
}

export interface CanaryProblem {
  readonly problem: string;
  readonly inForce: string;
}

/**
 * Why a canary gets no calls of the function that it names, or fewer than it asks for.
 * @param find in the canary's namespace
 * @param siblings all canaries of the same function, itself too, in the order of their names
 */
export function canaryProblem(
  { id }: FunctionInfo,
  { of }: CanarySpec,
  find: (name: string) => FunctionInfo | undefined,
  siblings: readonly CanaryShare[],
): CanaryProblem | undefined {
  if (of === id.name) return ignored('it names itself');
  const stable = find(of);
  if (!stable) return ignored(`there is no function ${JSON.stringify(of)} in namespace ${id.namespace}`);
  if (stable.spec.canary) return ignored(`${of} is a canary itself`);
  const upTo = siblings.findIndex(({ name }) => name === id.name) + 1;
  const sum = siblings.slice(0, upTo).reduce((total, { weightPercent }) => total + weightPercent, 0);
  if (sum <= 100) return undefined;
  return {
    problem: `the weights of the canaries of ${of} are above 100 with it`,
    inForce: 'what is left of 100',
  };
}

function ignored(problem: string): CanaryProblem {
  return { problem, inForce: 'ignored' };
}
