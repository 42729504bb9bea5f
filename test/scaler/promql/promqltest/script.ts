/**
 * Reads the language of Prometheus's own PromQL tests (its promqltest/README.md): `load`, `clear` and `eval` with what
 * is expected. What it cannot read is an error of the reader, so that nothing is passed over unseen.
 */
import { durationMs, unquote } from '../../../../scaler/promql/parse/literals.ts';
import type { Labels } from '../../../../scaler/promql/labels.ts';

/** A number, a stale mark, a native histogram (which has no number here), or undefined for nothing. */
export type Point = number | 'stale' | 'histogram' | undefined;

export interface ScriptSeries {
  readonly labels: Labels;
  readonly points: readonly Point[];
}

export type Command =
  | { readonly kind: 'clear' }
  | {
      readonly kind: 'load';
      readonly stepMs: number;
      readonly series: readonly ScriptSeries[];
      /** The classic histograms are loaded as native ones too. */
      readonly isNative: boolean;
    }
  | Eval;

export interface Eval {
  readonly kind: 'eval';
  readonly line: number;
  readonly query: string;
  /** Moments of evaluation; one for an instant query. */
  readonly timesMs: readonly number[];
  readonly isRange: boolean;
  readonly fails: boolean;
  /** An instant query that gives ranges. */
  readonly isMatrix: boolean;
  readonly text: string | undefined;
  readonly scalar: Point | 'none';
  readonly series: readonly ScriptSeries[];
}

export function readScript(source: string): Command[] {
  const commands: Command[] = [];
  let block: { head: string; line: number; body: string[] } | undefined;
  const flush = (): void => {
    if (block) commands.push(...readBlock(block.head, block.line, block.body));
    block = undefined;
  };
  for (const [i, raw] of source.split('\n').entries()) {
    const text = raw.trim();
    if (text.startsWith('#')) continue;
    if (text === '') flush();
    else if (block && /^\s/.test(raw)) block.body.push(text);
    else {
      flush();
      block = { head: text, line: i + 1, body: [] };
    }
  }
  flush();
  return commands;
}

function readBlock(head: string, line: number, body: readonly string[]): Command[] {
  if (head === 'clear') return [{ kind: 'clear' }];
  const load = /^load(_with_nhcb)?\s+(\S+)$/.exec(head);
  if (load) {
    const [, isNative, step] = load as unknown as [string, string | undefined, string];
    return [
      { kind: 'load', stepMs: msOf(step), series: body.map(readSeries), isNative: isNative !== undefined },
    ];
  }
  const instant = /^eval(_\w+)?\s+instant\s+at\s+(\S+)\s+([\s\S]+)$/.exec(head);
  if (instant) {
    const [, suffix = '', at, query] = instant as unknown as [string, string | undefined, string, string];
    return [readEval({ line, query, timesMs: [msOf(at)], isRange: false, suffix }, body)];
  }
  const range = /^eval(_\w+)?\s+range\s+from\s+(\S+)\s+to\s+(\S+)\s+step\s+(\S+)\s+([\s\S]+)$/.exec(head);
  if (!range) throw new Error(`line ${line}: ${head}`);
  const [, suffix = '', from, to, step, query] = range as unknown as string[];
  const timesMs: number[] = [];
  for (let at = msOf(from as string); at <= msOf(to as string); at += msOf(step as string)) timesMs.push(at);
  return [readEval({ line, query: query as string, timesMs, isRange: true, suffix }, body)];
}

interface EvalHead extends Pick<Eval, 'line' | 'query' | 'timesMs' | 'isRange'> {
  readonly suffix: string;
}

function readEval({ suffix, ...head }: EvalHead, body: readonly string[]): Eval {
  const expects = body.filter((line) => /^expect(ed_fail)?[ _]/.test(line));
  const rest = body.filter((line) => !expects.includes(line));
  const text = expects
    .map((line) => /^expect string (.+)$/.exec(line)?.[1])
    .find((found) => found !== undefined);
  const isScalar = rest.length === 1 && /^(\S+)$/.test(rest[0] as string) && !/[{]/.test(rest[0] as string);
  return {
    ...head,
    kind: 'eval',
    fails: suffix === '_fail' || expects.some((line) => line.startsWith('expect fail')),
    isMatrix: expects.some((line) => line.startsWith('expect range vector')),
    text: text?.slice(1, -1),
    scalar:
      isScalar && !Number.isNaN(numberOf(rest[0] as string) ?? 0)
        ? numberOf(rest[0] as string)
        : isScalar && /^nan$/i.test(rest[0] as string)
          ? Number.NaN
          : 'none',
    series: isScalar && numberOf(rest[0] as string) !== undefined ? [] : rest.map(readSeries),
  };
}

function readSeries(line: string): ScriptSeries {
  const end = endOfLabels(line);
  const name = line.slice(0, end).trim();
  const points = splitPoints(line.slice(end).trim()).flatMap(readPoint);
  return { labels: readLabels(name), points };
}

/** Where the series ends and its points begin. */
function endOfLabels(line: string): number {
  const brace = /^[\w:]*\s*\{(?!\{)/.test(line) ? line.indexOf('{') : -1;
  if (brace < 0) return /^\S+/.exec(line)?.[0].length ?? 0;
  let quote = '';
  for (let i = brace; i < line.length; i++) {
    const c = line[i] as string;
    if (quote !== '') {
      if (c === '\\') i += 1;
      else if (c === quote) quote = '';
    } else if (c === '"' || c === "'" || c === '`') quote = c;
    else if (c === '}') return i + 1;
  }
  throw new Error(line);
}

function readLabels(text: string): Labels {
  const brace = text.indexOf('{');
  const labels = new Map<string, string>();
  const name = brace < 0 ? text : text.slice(0, brace).trim();
  if (name !== '') labels.set('__name__', name);
  const pairs = brace < 0 ? '' : text.slice(brace + 1, -1);
  const pattern = /\s*(?:([\w:]+|"(?:[^"\\]|\\.)*")\s*=\s*)?("(?:[^"\\]|\\.)*"|'[^']*'|`[^`]*`)\s*(?:,|$)/gy;
  let end = 0;
  for (const [all, key, value] of pairs.matchAll(pattern)) {
    end += all.length;
    const label = key === undefined ? '__name__' : key.startsWith('"') ? unquote(key, 0) : key;
    labels.set(label, unquote(value as string, 0));
  }
  if (pairs.slice(end).trim() !== '') throw new Error(`labels: ${text}`);
  return labels;
}

/** Spaces part points, but not within a native histogram. */
function splitPoints(text: string): string[] {
  return text.match(/(?:\{\{.*?\}\}[^\s{]*)+|\S+/g) ?? [];
}

/** `5`, `_x3`, `1+2x3`, `3x2`, `stale`, `{{…}}x3`. */
function readPoint(text: string): Point[] {
  if (text.startsWith('{{')) {
    const times = /\}x(\d+)$/.exec(text)?.[1];
    return Array.from({ length: times === undefined ? 1 : Number(times) + 1 }, () => 'histogram');
  }
  const nothing = /^_(?:x(\d+))?$/.exec(text);
  if (nothing) return Array.from({ length: Number(nothing[1] ?? 1) }, () => undefined);
  if (text === 'stale') return ['stale'];
  const row = /^(.+?)(?:([+-])([\d.]+(?:e[+-]?\d+)?))?x(\d+)$/i.exec(text);
  const first = row && numberOf(row[1] as string);
  if (row && first !== null && first !== undefined) {
    const step = row[2] === undefined ? 0 : Number(`${row[2]}${row[3]}`);
    return Array.from({ length: Number(row[4]) + 1 }, (_, i) => first + i * step);
  }
  const number = numberOf(text);
  if (number === undefined) throw new Error(`point: ${text}`);
  return [number];
}

function numberOf(text: string): number | undefined {
  if (/^[+-]?inf$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity;
  if (/^[+-]?nan$/i.test(text)) return Number.NaN;
  const number = Number(text);
  return Number.isNaN(number) ? undefined : number;
}

/** A duration, or seconds. */
function msOf(text: string): number {
  const sign = text.startsWith('-') ? -1 : 1;
  const plain = text.replace(/^[-+]/, '');
  return sign * (durationMs(plain) ?? Number(plain) * 1_000);
}
