/** For whom series are kept (functions, by the selectors of their queries), how many each has, and what each lacks. */
import type { Labels } from '../labels.ts';
import type { Matcher } from '../matcher.ts';
import type { Series } from './samples.ts';
import { SelectorIndex } from './selector-index.ts';

/** What the samples kept for one keeper lack. */
export interface Gaps {
  /** Samples before this moment were given up for want of room; −Infinity: none. */
  readonly completeSinceMs: number;
  /** When a sample was last turned away; −Infinity: never. */
  readonly refusedAtMs: number;
}

/** Selectors, and for whom they are. */
export type Wanted = readonly (readonly [keeper: string, selectors: readonly (readonly Matcher[])[]])[];

const NO_GAPS: Gaps = { completeSinceMs: -Infinity, refusedAtMs: -Infinity };

export class Keepers {
  readonly #maxSeries: number;
  readonly #counts = new Map<string, number>();
  readonly #gaps = new Map<string, Gaps>();
  #index = new SelectorIndex([]);
  #keeperOf: ReadonlyMap<readonly Matcher[], string> = new Map();

  /** @param maxSeries of each keeper */
  constructor(maxSeries: number) {
    this.#maxSeries = maxSeries;
  }

  get index(): SelectorIndex {
    return this.#index;
  }

  /** All counts begin again: {@link charge} every series again. */
  setWanted(wanted: Wanted): void {
    // Copies, since two keepers may hand in the same list.
    const entries = wanted.flatMap(([keeper, selectors]) =>
      selectors.map((matchers) => [[...matchers], keeper] as const),
    );
    this.#index = new SelectorIndex(entries.map(([matchers]) => matchers));
    this.#keeperOf = new Map<readonly Matcher[], string>(entries);
    this.#counts.clear();
    const known = new Set(wanted.map(([keeper]) => keeper));
    for (const keeper of this.#gaps.keys()) if (!known.has(keeper)) this.#gaps.delete(keeper);
  }

  wanting(labels: Labels): readonly string[] {
    return [...new Set(this.#index.wanting(labels).map((selector) => this.#keeperOf.get(selector) ?? ''))];
  }

  hasRoom(keeper: string): boolean {
    return (this.#counts.get(keeper) ?? 0) < this.#maxSeries;
  }

  charge(series: Series, keepers: readonly string[]): void {
    series.keepers = keepers;
    for (const keeper of keepers) this.#counts.set(keeper, (this.#counts.get(keeper) ?? 0) + 1);
  }

  release({ keepers }: Series): void {
    for (const keeper of keepers) this.#counts.set(keeper, (this.#counts.get(keeper) ?? 1) - 1);
  }

  gapsOf(keeper: string): Gaps {
    return this.#gaps.get(keeper) ?? NO_GAPS;
  }

  refused(keepers: readonly string[], refusedAtMs: number): void {
    for (const keeper of keepers) this.#gaps.set(keeper, { ...this.gapsOf(keeper), refusedAtMs });
  }

  shortened(keeper: string, sinceMs: number): void {
    const gaps = this.gapsOf(keeper);
    if (sinceMs > gaps.completeSinceMs) this.#gaps.set(keeper, { ...gaps, completeSinceMs: sinceMs });
  }
}
