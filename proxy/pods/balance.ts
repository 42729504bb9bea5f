/**
 * Which pod gets a call: the less loaded of two random ones with a free place. Two choices come close to the best pod
 * without looking at all of them. Two proxies that decide at the same moment do not both pick the same "best" one.
 * Pure.
 */
export interface Candidate {
  readonly free: number;
  readonly load: number;
}

/** Draws before the whole list is looked at: with half of the pods full they all miss 1 time in 64. */
const DRAWS = 6;

/** @param random in [0, 1) */
export function choose<T extends Candidate>(candidates: readonly T[], random: () => number): T | undefined {
  const { length } = candidates;
  if (length <= 2) return lighter(open(candidates[0]), open(candidates[1]), random);
  let first: T | undefined;
  for (let i = 0; i < DRAWS; i++) {
    const drawn = open(candidates[Math.floor(random() * length)]);
    if (!drawn || drawn === first) continue;
    if (first) return lighter(first, drawn, random);
    first = drawn;
  }
  // Few have room. Walk once from a random start, so that the first in the list is not everybody's choice.
  const start = Math.floor(random() * length);
  for (let i = 0; i < length; i++) {
    const next = open(candidates[(start + i) % length]);
    if (!next || next === first) continue;
    if (first) return lighter(first, next, random);
    first = next;
  }
  return first;
}

function open<T extends Candidate>(candidate: T | undefined): T | undefined {
  return candidate && candidate.free > 0 ? candidate : undefined;
}

function lighter<T extends Candidate>(
  a: T | undefined,
  b: T | undefined,
  random: () => number,
): T | undefined {
  if (!a || !b) return a ?? b;
  if (a.load === b.load) return random() < 0.5 ? a : b;
  return a.load < b.load ? a : b;
}
