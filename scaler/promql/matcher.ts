/** Label matchers: equality, or a pattern that must match the whole value. */
import type { Labels } from './labels.ts';
import { compilePattern, type Pattern } from './pattern.ts';

export type MatchOp = '=' | '!=' | '=~' | '!~';

export interface Matcher {
  readonly label: string;
  readonly op: MatchOp;
  readonly value: string;
  /** Instructions of its pattern. */
  readonly size: number;
  /** Whether a label with this value (empty: no such label) matches. */
  readonly test: (value: string) => boolean;
}

/** @throws PromqlError for a pattern that cannot be used */
export function createMatcher(label: string, op: MatchOp, value: string, position?: number): Matcher {
  const pattern = op === '=~' || op === '!~' ? compilePattern(value, position) : undefined;
  return Object.freeze({ label, op, value, size: pattern?.size ?? 0, test: testOf({ op, value }, pattern) });
}

function testOf(
  { op, value }: { op: MatchOp; value: string },
  pattern: Pattern | undefined,
): Matcher['test'] {
  if (op === '=') return (text) => text === value;
  if (op === '!=') return (text) => text !== value;
  const isMatch = (pattern as Pattern).test;
  return op === '=~' ? isMatch : (text) => !isMatch(text);
}

export function matchesAll(matchers: readonly Matcher[], labels: Labels): boolean {
  return matchers.every((matcher) => matcher.test(labels.get(matcher.label) ?? ''));
}
