/**
 * Faults in annotations: what was written, what is allowed, what is in force instead. A fault never stops the
 * reading, so one bad value costs its own default and nothing else. The price is that no manifest is refused here.
 * The webhook and `slimfaas inject --check` do that from this list.
 */
import { MAX_FAULTS } from './bounds.ts';
import type { AnnotationFault } from '../spec.ts';

/** Takes what is wrong with one value. `inForce` is what holds instead, in words. */
export type ReportFault = (value: string, problem: string, inForce: string) => void;

export interface FaultList {
  /** At most {@link MAX_FAULTS}; the last one says how many more there are. */
  readonly faults: readonly AnnotationFault[];
  /** There is room for no more: skip the work of writing one. */
  readonly isFull: boolean;
  /** The reporter for one annotation. */
  of(annotation: string): ReportFault;
}

/** Events and log lines carry these; a pasted file must not fill them. */
const MAX_SHOWN = 200;
/** A problem lists what is allowed too. */
const MAX_PROBLEM = 400;

export function createFaultList(): FaultList {
  const faults: AnnotationFault[] = [];
  let more = 0;
  return {
    get faults() {
      return more === 0 ? faults : [...faults, countedFault(more)];
    },
    get isFull() {
      return faults.length >= MAX_FAULTS - 1;
    },
    of: (annotation) => (value, problem, inForce) => {
      if (faults.length >= MAX_FAULTS - 1) more++;
      else faults.push(faultOf(annotation, value, problem, inForce));
    },
  };
}

function faultOf(annotation: string, value: string, problem: string, inForce: string): AnnotationFault {
  return Object.freeze({
    annotation: shorten(annotation),
    value: shorten(value),
    problem: shorten(problem, MAX_PROBLEM),
    inForce: shorten(inForce),
  });
}

function countedFault(more: number): AnnotationFault {
  const problem = `${more} more faults are not shown; mend these first`;
  return Object.freeze({ annotation: 'SlimFaas/*', value: '', problem, inForce: 'the defaults' });
}

function shorten(text: string, length = MAX_SHOWN): string {
  return text.length <= length ? text : `${text.slice(0, length - 1)}…`;
}

/** The longest known name has 65 letters. */
const MAX_COMPARED = 100;

/**
 * The known name that `written` was most likely meant to be. Case errors are the commonest, so they count
 * nothing; beyond that at most a third of the letters may be wrong; otherwise the advice would be a guess.
 */
export function closestName(
  written: string,
  known: readonly string[],
  maxDistance: number = Math.floor(written.length / 3),
): string | undefined {
  if (written.length > MAX_COMPARED) return undefined;
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
