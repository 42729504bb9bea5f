/**
 * Which selectors want a series, without asking each. Ten thousand functions whose queries each name their own
 * function would otherwise ask ten thousand selectors for each of ten thousand series. Selectors of one metric are
 * sorted by one label that they fix (`=`), the one that tells most of them apart. The store sorts its series by the
 * same labels. Selectors that fix nothing but the name are few, and are asked one by one.
 */
import { METRIC_NAME, type Labels } from '../labels.ts';
import { matchesAll, type Matcher } from '../matcher.ts';

type Selector = readonly Matcher[];

/** A label and the value that a selector fixes it to. */
export interface FixedLabel {
  readonly label: string;
  readonly value: string;
}

interface OfName {
  /** Label → value → selectors that were sorted by it. */
  readonly byLabel: Map<string, Map<string, Selector[]>>;
  readonly others: Selector[];
}

export class SelectorIndex {
  /** `undefined`: selectors that do not fix the metric's name. */
  readonly #byName = new Map<string | undefined, OfName>();

  constructor(selectors: readonly Selector[]) {
    const groups = Map.groupBy(selectors, fixedName);
    for (const [name, group] of groups) this.#byName.set(name, sortSelectors(group));
  }

  /** Whether a series of this name could be wanted. */
  wantsName(name: string): boolean {
    return this.#byName.has(name) || this.#byName.has(undefined);
  }

  /** The selectors that want such a series; none: nobody does. */
  wanting(labels: Labels): readonly Selector[] {
    return [...this.#matching(labels.get(METRIC_NAME), labels), ...this.#matching(undefined, labels)];
  }

  /** The labels by which series of this name are worth sorting. */
  labelsOf(name: string): Iterable<string> {
    return this.#byName.get(name)?.byLabel.keys() ?? [];
  }

  /** By which of them a selector finds its series; undefined: by none. */
  keyOf(selector: Selector): FixedLabel | undefined {
    const byLabel = this.#byName.get(fixedName(selector))?.byLabel;
    return byLabel && selector.find((matcher) => isFixed(matcher) && byLabel.has(matcher.label));
  }

  *#matching(name: string | undefined, labels: Labels): Generator<Selector> {
    const group = this.#byName.get(name);
    if (!group) return;
    for (const [label, byValue] of group.byLabel)
      for (const selector of byValue.get(labels.get(label) ?? '') ?? [])
        if (matchesAll(selector, labels)) yield selector;
    for (const selector of group.others) if (matchesAll(selector, labels)) yield selector;
  }
}

function sortSelectors(selectors: readonly Selector[]): OfName {
  const values = new Map<string, Set<string>>();
  for (const { label, value } of selectors.flat().filter(isFixed))
    values.set(label, (values.get(label) ?? new Set()).add(value));
  const variety = (label: string): number => values.get(label)?.size ?? 0;
  const sorted: OfName = { byLabel: new Map(), others: [] };
  for (const selector of selectors) {
    const fixed = selector.filter(isFixed).toSorted((a, b) => variety(b.label) - variety(a.label))[0];
    if (!fixed) sorted.others.push(selector);
    else {
      const byValue = sorted.byLabel.get(fixed.label) ?? new Map<string, Selector[]>();
      sorted.byLabel.set(fixed.label, byValue);
      const alike = byValue.get(fixed.value);
      if (alike) alike.push(selector);
      else byValue.set(fixed.value, [selector]);
    }
  }
  return sorted;
}

/** The metric's name, where a selector fixes it. */
export function fixedName(matchers: Selector): string | undefined {
  return matchers.find((matcher) => matcher.label === METRIC_NAME && matcher.op === '=')?.value;
}

/** An empty value also matches series without the label, which are sorted under it all the same. */
function isFixed({ label, op }: Matcher): boolean {
  return op === '=' && label !== METRIC_NAME;
}
