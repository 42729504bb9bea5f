/**
 * Faults in annotations: what was written, what is allowed, what is in force instead. A fault never stops the
 * reading, so that one bad value costs its own default and nothing else; what that gives up is refusing a
 * manifest outright, which is the webhook's and `slimfaas inject --check`'s to do from this list.
 */
import type { AnnotationFault } from './function-spec.ts';

/** Takes what is wrong with one value. `inForce` is what holds instead, in words. */
export type ReportFault = (value: string, problem: string, inForce: string) => void;

export interface FaultList {
  readonly faults: AnnotationFault[];
  /** The reporter for one annotation. */
  of(annotation: string): ReportFault;
}

/** Events and log lines carry the value; a pasted file must not fill them. */
const MAX_VALUE_LENGTH = 200;

export function createFaultList(): FaultList {
  const faults: AnnotationFault[] = [];
  return {
    faults,
    of: (annotation) => (value, problem, inForce) => {
      faults.push(Object.freeze({ annotation, value: shorten(value), problem, inForce: shorten(inForce) }));
    },
  };
}

function shorten(text: string): string {
  return text.length <= MAX_VALUE_LENGTH ? text : `${text.slice(0, MAX_VALUE_LENGTH - 1)}…`;
}

/**
 * The known name that `written` was most likely meant to be. Case errors are the commonest, so they count
 * nothing; beyond that at most a third of the letters may be wrong, lest the advice be a guess.
 */
export function closestName(
  written: string,
  known: readonly string[],
  maxDistance: number = Math.floor(written.length / 3),
): string | undefined {
  const target = written.toLowerCase();
  let best: string | undefined;
  let bestDistance = maxDistance + 1;
  for (const name of known) {
    const distance = editDistance(target, name.toLowerCase(), bestDistance);
    if (distance < bestDistance) [best, bestDistance] = [name, distance];
  }
  return best;
}

/** Levenshtein distance, given up (as `limit`) once it cannot be below `limit`. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) >= limit) return limit;
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = (previous[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      row.push(Math.min(substitution, (previous[j] as number) + 1, (row[j - 1] as number) + 1));
    }
    previous = row;
  }
  return Math.min(limit, previous[b.length] as number);
}
