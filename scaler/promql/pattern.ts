/**
 * Regular expressions with RE2's syntax and meaning, in linear time: the adapter over re2js, a port of RE2 without
 * native code (the one file that loads it). Patterns come from users, so their length and the size of the compiled
 * program are bounded. As in Prometheus a pattern must match the whole text, and a dot matches newlines too.
 */
import { RE2JS, RE2JSSyntaxException, RE2Set } from 're2js';
import { PromqlError } from './error.ts';

export interface Pattern {
  test(text: string): boolean;
  /** The groups of a match, the whole text first; `byName` holds those that have a name. */
  match(text: string): PatternMatch | undefined;
  /** Steps that one character may cost at most; an estimate for budgets. */
  readonly size: number;
}

export interface PatternMatch {
  /** undefined for a group that took no part. */
  readonly groups: readonly (string | undefined)[];
  readonly byName: ReadonlyMap<string, string>;
}

/** Matching takes at most about program size × length of the text: 1,000 × 1,024 is 10 ms. */
export const PATTERN_LIMITS = { length: 1_000, program: 1_000 } as const;

/** Memory of the automaton that is built while matching; beyond it, the automaton is built again. */
const AUTOMATON_BYTES = 64 * 1024;

/** @throws PromqlError for a pattern that RE2 does not take, or that is too large */
export function compilePattern(source: string, position?: number): Pattern {
  const where = position === undefined ? {} : { position };
  if (source.length > PATTERN_LIMITS.length) {
    throw tooLarge(source, `longer than ${PATTERN_LIMITS.length} characters`, where);
  }
  const size = compile(source, where).programSize();
  if (size > PATTERN_LIMITS.program) {
    const why = `compiles to ${size} instructions, at most ${PATTERN_LIMITS.program} are allowed`;
    throw tooLarge(source, why, where);
  }
  const set = new RE2Set(RE2Set.ANCHOR_BOTH, RE2JS.DOTALL, AUTOMATON_BYTES);
  set.add(source);
  // Groups are for label_replace only.
  let withGroups: RE2JS | undefined;
  return {
    size,
    test: (text) => set.match(text).length > 0,
    match: (text) => matchOf((withGroups ??= compile(source, where)), text),
  };
}

function compile(source: string, where: { position?: number }): RE2JS {
  try {
    return RE2JS.compile(source, RE2JS.DOTALL);
  } catch (cause) {
    const why = cause instanceof RE2JSSyntaxException ? cause.getDescription() : 'it cannot be compiled';
    throw new PromqlError('syntax', `invalid regular expression ${quote(source)}: ${why}`, {
      ...where,
      cause,
    });
  }
}

function matchOf(compiled: RE2JS, text: string): PatternMatch | undefined {
  const matcher = compiled.matcher(text);
  if (!matcher.matches()) return undefined;
  const groups = Array.from({ length: matcher.groupCount() + 1 }, (_, i) => matcher.group(i) ?? undefined);
  const names = Object.entries(compiled.namedGroups());
  return { groups, byName: new Map(names.map(([name, i]) => [name, groups[i] ?? ''])) };
}

function tooLarge(source: string, why: string, where: { position?: number }): PromqlError {
  return new PromqlError('unsupported', `regular expression ${quote(source)}: ${why}`, where);
}

function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 79)}…` : text);
}
