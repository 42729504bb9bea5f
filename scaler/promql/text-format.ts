/**
 * What a scraped pod answers: Prometheus's text format, and OpenMetrics as far as its lines are the same. Tolerant:
 * a line that cannot be read is counted and skipped. Timestamps of the pod's own are ignored (a scrape is at
 * the scraper's time), and so are exemplars, HELP, TYPE and UNIT.
 */
import { METRIC_NAME, type Labels } from './labels.ts';
import type { ScrapedSample } from './series.ts';

export interface TextFormatOptions {
  /** Labels of the target; one that a series carries too is kept as `exported_<name>`, as in Prometheus. */
  readonly targetLabels?: Labels;
  /** Lines of metrics for which this is false are skipped without further reading. */
  readonly wantsName?: (name: string) => boolean;
}

export interface ParsedText {
  readonly samples: readonly ScrapedSample[];
  readonly badLines: number;
}

const NAME = /^[ \t]*([a-zA-Z_:][\w:]*)[ \t]*/;
/** Sticky, so that labels are read one after the other where the last one ended. */
const LABEL = /[ \t,]*([a-zA-Z_]\w*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*/y;
const VALUE = /^[ \t]*([^ \t#]+)(?:[ \t]+-?[\d.]+)?[ \t]*(?:#.*)?$/;

export function parseTextFormat(text: string, options: TextFormatOptions = {}): ParsedText {
  const samples: ScrapedSample[] = [];
  let badLines = 0;
  for (const line of text.split('\n')) {
    const trimmed = line.trimEnd();
    if (trimmed === '' || /^[ \t]*#/.test(trimmed)) continue;
    const name = NAME.exec(trimmed);
    if (name && options.wantsName?.(name[1] as string) === false) continue;
    const sample = name && readLine(trimmed, name, options.targetLabels);
    if (sample) samples.push(sample);
    else badLines += 1;
  }
  return { samples, badLines };
}

function readLine(line: string, name: RegExpExecArray, target?: Labels): ScrapedSample | undefined {
  const labels = new Map([[METRIC_NAME, name[1] as string], ...(target ?? [])]);
  let rest = line.slice(name[0].length);
  if (rest.startsWith('{')) {
    const end = readLabels(rest, labels, target);
    if (end === undefined) return undefined;
    rest = rest.slice(end);
  }
  const value = numberOf(VALUE.exec(rest)?.[1]);
  return value === undefined ? undefined : { labels, value };
}

/** Where the labels end, `}` included; undefined when they do not. */
function readLabels(text: string, labels: Map<string, string>, target?: Labels): number | undefined {
  let at = 1;
  for (;;) {
    LABEL.lastIndex = at;
    const match = LABEL.exec(text);
    if (!match) break;
    const [all, name, value] = match as unknown as [string, string, string];
    at += all.length;
    const isTaken = target?.has(name) ?? false;
    if (value !== '') labels.set(isTaken ? `exported_${name}` : name, unescape(value));
  }
  const close = /^[ \t]*,?[ \t]*\}/.exec(text.slice(at));
  return close ? at + close[0].length : undefined;
}

function unescape(text: string): string {
  return text.includes('\\')
    ? text.replaceAll(/\\(.)/g, (all, c: string) => (c === 'n' ? '\n' : c === '"' || c === '\\' ? c : all))
    : text;
}

function numberOf(text: string | undefined): number | undefined {
  if (text === undefined || text === '') return undefined;
  if (/^[+-]?inf(inity)?$/i.test(text)) return text.startsWith('-') ? -Infinity : Infinity;
  if (/^nan$/i.test(text)) return Number.NaN;
  const value = Number(text);
  return Number.isNaN(value) ? undefined : value;
}
