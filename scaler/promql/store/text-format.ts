/**
 * What a scraped pod answers: Prometheus's text format, and OpenMetrics as far as its lines are the same. Read piece
 * by piece, so that an answer is never held whole. Tolerant: a line that cannot be read, or that is beyond a bound, is
 * counted and skipped. Timestamps of the pod's own are ignored (a scrape is at the scraper's time), and so are
 * exemplars, HELP, TYPE and UNIT.
 */
import { METRIC_NAME, type Labels } from '../labels.ts';
import type { ScrapedSample } from './series.ts';

export interface TextFormatOptions {
  /** Labels of the target; one that a series carries too is kept as `exported_<name>`, as in Prometheus. */
  readonly targetLabels?: Labels;
  /** More labels that say whose a series is: kept as `exported_<name>` even where the target has no such label. */
  readonly reserved?: ReadonlySet<string>;
  /** Lines of metrics for which this is false are skipped without further reading. */
  readonly wantsName?: (name: string) => boolean;
}

export interface ParsedText {
  readonly samples: readonly ScrapedSample[];
  readonly badLines: number;
}

/** Bounds of one line, in characters, `series` of all its labels; more than any that people write. */
const TEXT_LIMITS = { line: 16_384, labels: 64, name: 256, value: 1_024, series: 2_048 } as const;

const NAME = /^[ \t]*([a-zA-Z_:][\w:]*)[ \t]*/;
/** `{"my.metric",a="b"} 1`: a name of any characters, as Prometheus 3 has it. */
const QUOTED_NAME = /^[ \t]*\{[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*(?=[,}])/;
/** Sticky, so that labels are read one after the other where the last one ended. */
const LABEL = /[ \t,]*(?:([a-zA-Z_]\w*)|"((?:[^"\\]|\\.)+)")[ \t]*=[ \t]*"((?:[^"\\]|\\.)*)"[ \t]*/y;
const VALUE = /^[ \t]*([^ \t#]+)(?:[ \t]+-?[\d.]+)?[ \t]*(?:#.*)?$/;

export class TextReader {
  readonly #options: TextFormatOptions;
  readonly #onSample: (labels: Labels, value: number) => void;
  /** The beginning of a line whose end has not come yet. */
  #rest = '';
  #isSkipping = false;
  #badLines = 0;

  /** @param onSample may throw, which ends the reading */
  constructor(options: TextFormatOptions, onSample: (labels: Labels, value: number) => void) {
    this.#options = options;
    this.#onSample = onSample;
  }

  get badLines(): number {
    return this.#badLines;
  }

  push(text: string): void {
    let from = 0;
    for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n', from)) {
      this.#take(text.slice(from, end));
      this.#finish();
      from = end + 1;
    }
    this.#take(text.slice(from));
  }

  end(): void {
    this.#finish();
  }

  #take(piece: string): void {
    if (this.#isSkipping) return;
    this.#rest += piece;
    if (this.#rest.length <= TEXT_LIMITS.line) return;
    this.#isSkipping = true;
    this.#rest = '';
  }

  #finish(): void {
    const line = this.#rest.trimEnd();
    this.#rest = '';
    if (this.#isSkipping) this.#badLines += 1;
    else if (line !== '' && !/^[ \t]*#/.test(line)) this.#read(line);
    this.#isSkipping = false;
  }

  #read(line: string): void {
    const plain = NAME.exec(line);
    const quoted = plain ? null : QUOTED_NAME.exec(line);
    const name = plain ? (plain[1] as string) : quoted && unescape(quoted[1] as string);
    if (name !== null && this.#options.wantsName?.(name) === false) return;
    const labels = name !== null && name !== '' && name.length <= TEXT_LIMITS.name;
    const sample = labels && readLine(line, { name, end: (plain ?? quoted)?.[0].length ?? 0 }, this.#options);
    if (sample) this.#onSample(sample.labels, sample.value);
    else this.#badLines += 1;
  }
}

export function parseTextFormat(text: string, options: TextFormatOptions = {}): ParsedText {
  const samples: ScrapedSample[] = [];
  const reader = new TextReader(options, (labels, value) => samples.push({ labels, value }));
  reader.push(text);
  reader.end();
  return { samples, badLines: reader.badLines };
}

function readLine(
  line: string,
  { name, end }: { name: string; end: number },
  options: TextFormatOptions,
): ScrapedSample | undefined {
  const labels = new Map([[METRIC_NAME, name], ...(options.targetLabels ?? [])]);
  let at = end;
  const isQuoted = line.trimStart().startsWith('{');
  if (isQuoted || line[at] === '{') {
    const close = readLabels(line, isQuoted ? at : at + 1, labels, options);
    if (close === undefined) return undefined;
    at = close;
  }
  const value = numberOf(VALUE.exec(line.slice(at))?.[1]);
  return value === undefined ? undefined : { labels, value };
}

/** Where the labels end, `}` included; undefined when they do not, or are beyond a bound. */
function readLabels(
  text: string,
  from: number,
  labels: Map<string, string>,
  { targetLabels, reserved }: TextFormatOptions,
): number | undefined {
  let [at, length] = [from, 0];
  for (let count = 0; ; count++) {
    LABEL.lastIndex = at;
    const match = LABEL.exec(text);
    if (!match) break;
    const [all, plain, quoted, escaped] = match as unknown as [string, string?, string?, string?];
    at += all.length;
    const [name, value] = [plain ?? unescape(quoted ?? ''), unescape(escaped ?? '')];
    // Names that begin like this are the system's own: another name of the metric would be one.
    if (name.startsWith('__') || count >= TEXT_LIMITS.labels) return undefined;
    length += name.length + value.length;
    if (name.length > TEXT_LIMITS.name || value.length > TEXT_LIMITS.value) return undefined;
    if (length > TEXT_LIMITS.series) return undefined;
    const isTaken = (targetLabels?.has(name) ?? false) || (reserved?.has(name) ?? false);
    if (value !== '') labels.set(isTaken ? `exported_${name}` : name, value);
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
