/** Label matchers: equality, or a pattern that must match the whole value. */
import type { Labels } from './labels.ts';
import { compilePattern } from './pattern.ts';

export type MatchOp = '=' | '!=' | '=~' | '!~';

export interface Matcher {
  readonly label: string;
  readonly op: MatchOp;
  readonly value: string;
  /** Whether a label with this value (empty: no such label) matches. */
  readonly test: (value: string) => boolean;
}

/** @throws PromqlError for a pattern that cannot be used */
export function createMatcher(label: string, op: MatchOp, value: string, position?: number): Matcher {
  return Object.freeze({ label, op, value, test: testOf(op, value, position) });
}

function testOf(op: MatchOp, value: string, position: number | undefined): Matcher['test'] {
  if (op === '=') return (text) => text === value;
  if (op === '!=') return (text) => text !== value;
  const pattern = remembered(compilePattern(value, position).test);
  return op === '=~' ? pattern : (text) => !pattern(text);
}

/** Answers kept of one pattern: the values of a label come again at each scrape and at each evaluation. */
const MAX_REMEMBERED = 1_000;

function remembered(test: (text: string) => boolean): (text: string) => boolean {
  const answers = new Map<string, boolean>();
  return (text) => {
    const known = answers.get(text);
    if (known !== undefined) return known;
    if (answers.size >= MAX_REMEMBERED) answers.clear();
    const answer = test(text);
    answers.set(text, answer);
    return answer;
  };
}

export function matchesAll(matchers: readonly Matcher[], labels: Labels): boolean {
  return matchers.every((matcher) => matcher.test(labels.get(matcher.label) ?? ''));
}
