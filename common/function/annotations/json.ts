/**
 * Reading JSON annotations part by part. A {@link JsonPart} knows its path, so that a fault says
 * `DefaultSync.HttpTimeout`, not "invalid JSON". A bad part falls back to its own default and leaves the rest in
 * force. Property names are matched without regard to case: a strict superset of what SlimFaas takes. This is a small
 * hand-written stand-in for a schema library, which the sidecar could not afford to load.
 */
import { isTooDeep, MAX_ITEMS, MAX_JSON_DEPTH, MAX_UNKNOWN } from './bounds.ts';
import { closestName, type ReportFault } from './faults.ts';
import { isObject } from '../../runtime/is-object.ts';

export interface JsonPart {
  /** `Triggers[0].Threshold`; empty at the top. */
  readonly path: string;
  readonly value: unknown;
  readonly report: ReportFault;
}

/** The part at the top of an annotation; undefined (and a fault) when the text is no JSON object. */
export function parseJsonPart(text: string, report: ReportFault, inForce: string): JsonPart | undefined {
  if (isTooDeep(text)) {
    report(text, `nested too deep; allowed: at most ${MAX_JSON_DEPTH} levels`, inForce);
    return undefined;
  }
  try {
    const part = { path: '', value: JSON.parse(text) as unknown, report };
    if (isObject(part.value)) return part;
    reject(part, 'a JSON object', inForce);
  } catch (error) {
    report(text, `not JSON (${(error as Error).message}); allowed: a JSON object`, inForce);
  }
  return undefined;
}

export type Fields<K extends string> = Readonly<Partial<Record<K, JsonPart>>>;

/**
 * The named properties of an object; absent and null ones are left out. Unknown ones are reported, because
 * a misspelt property is otherwise a setting that silently does nothing.
 */
export function fields<K extends string>(part: JsonPart, names: readonly K[], inForce: string): Fields<K> {
  const found: Partial<Record<K, JsonPart>> = {};
  if (!isObject(part.value)) {
    reject(part, 'a JSON object', inForce);
    return found;
  }
  let unknown = 0;
  for (const [key, value] of Object.entries(part.value)) {
    const name = names.find((candidate) => candidate.toLowerCase() === key.toLowerCase());
    const child = { path: join(part.path, name ?? key), value, report: part.report };
    if (name === undefined) {
      if (++unknown <= MAX_UNKNOWN) reportUnknown(child, key, names);
    } else if (value !== null) found[name] = child;
  }
  if (unknown > MAX_UNKNOWN)
    part.report('', `${unknown - MAX_UNKNOWN} more unknown properties of ${part.path || 'it'}`, 'ignored');
  return found;
}

function reportUnknown(part: JsonPart, key: string, names: readonly string[]): void {
  const meant = closestName(key, names);
  const advice = meant === undefined ? `allowed: ${names.join(', ')}` : `did you mean ${meant}?`;
  part.report(show(part.value), `${part.path} is not known; ${advice}`, 'ignored');
}

/**
 * The items of an array without nulls, at most {@link MAX_ITEMS}.
 * @returns undefined for a value that is not an array, which is reported as a fault
 */
export function items(part: JsonPart, what: string, inForce: string): JsonPart[] | undefined {
  if (!Array.isArray(part.value)) {
    reject(part, `a list of ${what}`, inForce);
    return undefined;
  }
  const { length } = part.value;
  if (length > MAX_ITEMS)
    part.report(
      '',
      `${part.path} has ${length} items; allowed: at most ${MAX_ITEMS}`,
      `the first ${MAX_ITEMS}`,
    );
  return part.value
    .slice(0, MAX_ITEMS)
    .map((value: unknown, i) => ({ path: `${part.path}[${i}]`, value, report: part.report }))
    .filter((item) => item.value !== null);
}

export interface NumberRange {
  readonly min: number;
  readonly max?: number;
  readonly isWhole?: boolean;
  /** `min` itself is not allowed. */
  readonly isAbove?: boolean;
}

function isNumberIn(value: unknown, range: NumberRange): value is number {
  if (typeof value !== 'number' || !Number.isFinite(value)) return false;
  if (range.isWhole && !Number.isSafeInteger(value)) return false;
  if (range.isAbove ? value <= range.min : value < range.min) return false;
  return value <= (range.max ?? Infinity);
}

function describeRange(range: NumberRange): string {
  const kind = range.isWhole ? 'a whole number' : 'a number';
  const sign = range.isAbove ? '>' : '≥';
  if (range.max === undefined) return `${kind} ${sign} ${range.min}`;
  return `${kind} from ${range.min} to ${range.max}`;
}

/** A number within a range, else `fallback`, with a fault if something else was written. */
export function numberOr<T>(
  part: JsonPart | undefined,
  range: NumberRange,
  fallback: T,
  inForce: string = fallback === undefined ? 'none' : String(fallback),
): number | T {
  if (part === undefined) return fallback;
  if (isNumberIn(part.value, range)) return part.value;
  reject(part, describeRange(range), inForce);
  return fallback;
}

/** A list of numbers; one bad number spoils the list, since what the others mean depends on their place. */
export function numbersOr(
  part: JsonPart | undefined,
  range: NumberRange,
  fallback: readonly number[],
): readonly number[] {
  if (part === undefined) return fallback;
  const { value } = part;
  const isList = Array.isArray(value) && value.length <= MAX_ITEMS;
  if (isList && value.every((item): item is number => isNumberIn(item, range))) return value;
  reject(part, `a list of at most ${MAX_ITEMS}, each ${describeRange(range)}`, show(fallback));
  return fallback;
}

/** `true` or `false`. */
export function flagOr(part: JsonPart | undefined, fallback: boolean): boolean {
  if (part === undefined) return fallback;
  if (typeof part.value === 'boolean') return part.value;
  reject(part, 'true or false', String(fallback));
  return fallback;
}

/** One of some words, in any case. */
export function wordOr<T extends string>(part: JsonPart | undefined, words: readonly T[], fallback: T): T {
  if (part === undefined) return fallback;
  const { value } = part;
  const found =
    typeof value === 'string' ? words.find((w) => w.toLowerCase() === value.trim().toLowerCase()) : undefined;
  if (found !== undefined) return found;
  reject(part, words.join(' or '), fallback);
  return fallback;
}

export function textOr(part: JsonPart | undefined, fallback: string): string {
  if (part === undefined) return fallback;
  if (typeof part.value === 'string') return part.value.trim();
  reject(part, 'a text', JSON.stringify(fallback));
  return fallback;
}

/** Reports that a part is not what is allowed. */
export function reject(part: JsonPart, allowed: string, inForce: string): void {
  const where = part.path === '' ? '' : `${part.path} `;
  part.report(show(part.value), `${where}is not allowed; allowed: ${allowed}`, inForce);
}

function join(path: string, key: string): string {
  return path === '' ? key : `${path}.${key}`;
}

function show(value: unknown): string {
  return JSON.stringify(value) ?? String(value);
}
