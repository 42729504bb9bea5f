/**
 * Path rules made ready for matching. A call costs a binary search, not a look at each rule. The prefixes are sorted.
 * Each knows the longest other one that it begins with, and which rule comes first on that chain. Pure.
 */
import type { PathRule, Visibility } from '../../common/function/spec.ts';

interface Prefix {
  readonly text: string;
  /** The longest other prefix that this one begins with. */
  readonly parent: Prefix | undefined;
  /** The number of the first rule whose prefix this one begins with, its own included. */
  readonly first: number;
}

export class PathRules {
  readonly #rules: readonly PathRule[];
  readonly #prefixes: readonly Prefix[];

  /** @param textOf what a rule's prefix is compared as; with a slash at its end it also means the path without */
  constructor(rules: readonly PathRule[], textOf: (rule: PathRule) => string) {
    this.#rules = rules;
    const firstOf = new Map<string, number>();
    rules.forEach((rule, index) => {
      const text = textOf(rule);
      if (!firstOf.has(text)) firstOf.set(text, index);
    });
    this.#prefixes = linked([...firstOf].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** @returns what the first rule says whose prefix the path begins with; undefined: no rule is for it */
  match(path: string): Visibility | undefined {
    let prefix = this.#lastUpTo(path);
    while (prefix && !path.startsWith(prefix.text)) prefix = prefix.parent;
    return prefix && this.#rules[prefix.first]?.visibility;
  }

  /** The last prefix in order that is not behind the path. Each prefix of the path is it or on its chain. */
  #lastUpTo(path: string): Prefix | undefined {
    let from = 0;
    let to = this.#prefixes.length;
    while (from < to) {
      const middle = (from + to) >>> 1;
      if ((this.#prefixes[middle] as Prefix).text <= path) from = middle + 1;
      else to = middle;
    }
    return this.#prefixes[from - 1];
  }
}

/** @param sorted by text, without duplicates */
function linked(sorted: readonly (readonly [text: string, rule: number])[]): Prefix[] {
  const prefixes: Prefix[] = [];
  for (const [text, rule] of sorted) {
    let parent = prefixes.at(-1);
    while (parent && !text.startsWith(parent.text)) parent = parent.parent;
    prefixes.push({ text, parent, first: Math.min(rule, parent?.first ?? rule) });
  }
  return prefixes;
}
