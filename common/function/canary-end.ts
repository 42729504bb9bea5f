/**
 * A canary that takes no calls of its function any more, though its weight says so: it was rolled back, or promoted.
 * An annotation of the workload itself tells it to every proxy. It is not in the pod template, so it starts no roll-out
 * and no manifest needs to change. It holds for one version of the template alone.
 */
import { isObject } from '../runtime/is-object.ts';

/** When a canary is rolled back by itself. */
export interface RollBackSpec {
  /** It is judged after each so many calls of it. */
  readonly calls: number;
  /** Percentage points by which its error rate may be above the other's. */
  readonly errorMarginPercent: number;
  /** Percent by which its 95th percentile may be above the other's; undefined: not looked at. */
  readonly latencyMarginPercent: number | undefined;
}

export interface CanaryEnd {
  /** The number of the template, as Kubernetes counts; empty: any. */
  readonly revision: string;
  /** ISO 8601; empty: not known. */
  readonly at: string;
  readonly why: string;
  /** The function has its template now; else it was rolled back. */
  readonly isPromoted: boolean;
}

export const CANARY_END_ANNOTATION = 'slimfaas.dev/canary-ended';

const MAX_CHARS = 1_000;
const MAX_TEXT = 4 * MAX_CHARS;
const BY_HAND = 'somebody has set the annotation';

/**
 * Any text ends the canary, as somebody in need may write.
 * @param revision of the template that is there now
 * @returns undefined: it goes on, also where another version was ended
 */
export function readCanaryEnd(text: string | undefined, revision: string): CanaryEnd | undefined {
  if (text === undefined || text.trim() === '') return undefined;
  const value = parse(text) ?? {};
  const textOf = (name: string): string => {
    const part = value[name];
    return typeof part === 'string' ? part.slice(0, MAX_CHARS) : '';
  };
  const ended = textOf('revision');
  if (ended !== '' && ended !== revision) return undefined;
  const isPromoted = value['isPromoted'] === true;
  return { revision: ended, at: textOf('at'), why: textOf('why') || BY_HAND, isPromoted };
}

export function canaryEndText({ revision, at, why, isPromoted }: CanaryEnd): string {
  return JSON.stringify({ revision, at, why: why.slice(0, MAX_CHARS), isPromoted });
}

function parse(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text.slice(0, MAX_TEXT));
    return isObject(value) ? value : undefined;
  } catch {
    return undefined;
  }
}
