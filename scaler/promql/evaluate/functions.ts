/** Functions of an instant vector, sample by sample, and those that change labels. */
import { PromqlError } from '../error.ts';
import { dropName, type Labels } from '../labels.ts';
import { compilePattern, type PatternMatch } from '../pattern.ts';
import type { Sample } from '../values.ts';

/** A function of each value and of the call's scalar arguments; the metric's name goes. */
export type MapFunction = (value: number, params: readonly number[]) => number;

const DEGREES = 180 / Math.PI;

export const MAP_FUNCTIONS: ReadonlyMap<string, MapFunction> = new Map<string, MapFunction>([
  ['abs', Math.abs],
  ['ceil', Math.ceil],
  ['floor', Math.floor],
  ['exp', Math.exp],
  ['ln', Math.log],
  ['log2', Math.log2],
  ['log10', Math.log10],
  ['sqrt', Math.sqrt],
  ['sgn', Math.sign],
  ['sin', Math.sin],
  ['cos', Math.cos],
  ['tan', Math.tan],
  ['asin', Math.asin],
  ['acos', Math.acos],
  ['atan', Math.atan],
  ['sinh', Math.sinh],
  ['cosh', Math.cosh],
  ['tanh', Math.tanh],
  ['asinh', Math.asinh],
  ['acosh', Math.acosh],
  ['atanh', Math.atanh],
  ['deg', (value) => value * DEGREES],
  ['rad', (value) => value / DEGREES],
  ['round', (value, [to = 1]) => roundTo(value, to)],
  ['clamp', (value, [min, max]) => Math.max(min as number, Math.min(max as number, value))],
  ['clamp_min', (value, [min]) => Math.max(min as number, value)],
  ['clamp_max', (value, [max]) => Math.min(max as number, value)],
  ['minute', (value) => date(value, (d) => d.getUTCMinutes())],
  ['hour', (value) => date(value, (d) => d.getUTCHours())],
  ['day_of_week', (value) => date(value, (d) => d.getUTCDay())],
  ['day_of_month', (value) => date(value, (d) => d.getUTCDate())],
  ['day_of_year', (value) => date(value, dayOfYear)],
  ['month', (value) => date(value, (d) => d.getUTCMonth() + 1)],
  ['year', (value) => date(value, (d) => d.getUTCFullYear())],
  ['days_in_month', (value) => date(value, daysInMonth)],
]);

export function mapSamples(name: string, samples: readonly Sample[], params: readonly number[]): Sample[] {
  const fn = MAP_FUNCTIONS.get(name) as MapFunction;
  // The documented result of a clamp whose bounds are the wrong way round is nothing.
  if (name === 'clamp' && (params[0] as number) > (params[1] as number)) return [];
  return samples.map(({ labels, value }) => ({ labels: dropName(labels), value: fn(value, params) }));
}

/** Halves go up, as Prometheus documents it. The inverse spares 0.1's rounding error: 0.3 is not 0.30000000000000004. */
function roundTo(value: number, to: number): number {
  const inverse = 1 / to;
  return Math.floor(value * inverse + 0.5) / inverse;
}

function date(seconds: number, part: (date: Date) => number): number {
  return part(new Date(seconds * 1_000));
}

function dayOfYear(d: Date): number {
  return Math.floor((d.getTime() - Date.UTC(d.getUTCFullYear(), 0, 1)) / 86_400_000) + 1;
}

function daysInMonth(d: Date): number {
  return new Date(Date.UTC(d.getUTCFullYear(), d.getUTCMonth() + 1, 0)).getUTCDate();
}

export interface LabelChange {
  readonly position: number;
  /** Called before each sample; may throw. */
  readonly visit: () => void;
}

/** A label made of labels, again and again, would grow beyond all memory. */
const MAX_LABEL_LENGTH = 4_096;

/** `label_replace(v, dst, replacement, src, regex)`; `args` are the four strings. */
export function labelReplace(
  samples: readonly Sample[],
  args: readonly string[],
  { position, visit }: LabelChange,
): Sample[] {
  const [target, replacement, source, regex] = args as [string, string, string, string];
  checkLabelName(target, position);
  const pattern = compilePattern(regex, position);
  return samples.map(({ labels, value }) => {
    visit();
    const match = pattern.match(labels.get(source) ?? '');
    if (!match) return { labels, value };
    return { labels: withLabel(labels, target, expand(replacement, match), position), value };
  });
}

/** `$1`, `${name}` and `$$`, as Go expands them: a name is as long as it can be, so `$1y` is the group "1y". */
function expand(template: string, { groups, byName }: PatternMatch): string {
  return template.replaceAll(/\$(?:\$|(\w+)|\{(\w+)\})/g, (_, plain?: string, braced?: string) => {
    const group = plain ?? braced;
    if (group === undefined) return '$';
    return (/^\d+$/.test(group) ? groups[Number(group)] : byName.get(group)) ?? '';
  });
}

/** `label_join(v, dst, separator, src…)`. */
export function labelJoin(
  samples: readonly Sample[],
  args: readonly string[],
  { position, visit }: LabelChange,
): Sample[] {
  const [target, separator, ...sources] = args as [string, string, ...string[]];
  checkLabelName(target, position);
  return samples.map(({ labels, value }) => {
    visit();
    const joined = sources.map((source) => labels.get(source) ?? '').join(separator);
    return { labels: withLabel(labels, target, joined, position), value };
  });
}

/** Any text, as in Prometheus 3, but not none. */
export function checkLabelName(name: string, position: number): void {
  // U+FFFD is what became of bytes that are no UTF-8.
  if (name !== '' && name.length <= MAX_LABEL_LENGTH && !name.includes('\ufffd')) return;
  throw new PromqlError('execution', `invalid label name ${JSON.stringify(name.slice(0, 80))}`, { position });
}

function withLabel(labels: Labels, name: string, value: string, position: number): Labels {
  if (value.length > MAX_LABEL_LENGTH) {
    const why = `a label of ${value.length} characters; at most ${MAX_LABEL_LENGTH} are allowed`;
    throw new PromqlError('too-expensive', why, { position });
  }
  const changed = new Map(labels);
  if (value === '') changed.delete(name);
  else changed.set(name, value);
  return changed;
}
