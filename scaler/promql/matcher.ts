/**
 * Label matchers. Regular expressions are JavaScript's, anchored at both ends as Prometheus anchors them. RE2
 * runs in linear time and JavaScript's engine does not, and queries come from users, so what RE2 lacks
 * (look-around, back references) and repeated groups that repeat inside are refused; what that gives up is
 * patterns such as `(a+b)+`.
 */
import { PromqlError } from './error.ts';
import type { Labels } from './labels.ts';

export type MatchOp = '=' | '!=' | '=~' | '!~';

export interface Matcher {
  readonly label: string;
  readonly op: MatchOp;
  readonly value: string;
  /** Whether a label with this value (empty: no such label) matches. */
  readonly test: (value: string) => boolean;
}

const MAX_PATTERN_LENGTH = 1_000;

export function createMatcher(label: string, op: MatchOp, value: string, position?: number): Matcher {
  return Object.freeze({ label, op, value, test: testOf(op, value, position) });
}

function testOf(op: MatchOp, value: string, position: number | undefined): Matcher['test'] {
  if (op === '=') return (text) => text === value;
  if (op === '!=') return (text) => text !== value;
  const pattern = compilePattern(value, position);
  return op === '=~' ? (text) => pattern.test(text) : (text) => !pattern.test(text);
}

/** @throws PromqlError for a pattern that is invalid or that this engine could not bound */
export function compilePattern(source: string, position?: number): RegExp {
  const where = position === undefined ? {} : { position };
  const [, flags = '', body = ''] = /^(?:\(\?([imsU]+)\))?([\s\S]*)$/.exec(source) ?? [];
  const problem = whyRefused(body, flags);
  if (problem) throw new PromqlError('unsupported', `regular expression ${quote(source)}: ${problem}`, where);
  try {
    return new RegExp(`^(?:${body})$`, `s${flags.replaceAll(/[^im]/g, '')}`);
  } catch (cause) {
    throw new PromqlError('syntax', `invalid regular expression ${quote(source)}`, { ...where, cause });
  }
}

function whyRefused(body: string, flags: string): string | undefined {
  if (body.length > MAX_PATTERN_LENGTH) return `longer than ${MAX_PATTERN_LENGTH} characters`;
  if (flags.includes('U')) return 'the flag U is not supported';
  if (/\(\?(?!:)/.test(body)) return 'groups that begin with (? other than (?: are not supported';
  if (/\\[1-9kpPzAQ]/.test(body)) return 'this escape is not supported';
  if (body.includes('[[:')) return 'POSIX classes are not supported';
  if (repeatsWithinRepeat(body)) return 'a repeated group that repeats inside is not supported';
  return undefined;
}

/** `(a+)+` and its kin: the patterns that take exponential time in a backtracking engine. */
function repeatsWithinRepeat(body: string): boolean {
  const plain = body.replaceAll(/\\./gs, 'x').replaceAll(/\[\^?\]?[^\]]*\]/g, 'x');
  const hasRepeat: boolean[] = [false];
  for (let i = 0; i < plain.length; i++) {
    const c = plain[i] as string;
    if (c === '(') hasRepeat.push(false);
    else if (c === ')' && hasRepeat.length > 1) {
      const inner = hasRepeat.pop() as boolean;
      const isRepeated = /[*+{]/.test(plain[i + 1] ?? '');
      if (inner && isRepeated) return true;
      if (inner || isRepeated) hasRepeat[hasRepeat.length - 1] = true;
    } else if (c === '*' || c === '+' || c === '{') hasRepeat[hasRepeat.length - 1] = true;
  }
  return false;
}

export function matchesAll(matchers: readonly Matcher[], labels: Labels): boolean {
  return matchers.every((matcher) => matcher.test(labels.get(matcher.label) ?? ''));
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 79)}…` : text);
}
