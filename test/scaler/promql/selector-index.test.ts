/** The store finds what a walk over everything would find, whatever is wanted and asked for. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { METRIC_NAME, labelsKey, labelsOf, type Labels } from '../../../scaler/promql/labels.ts';
import { createMatcher, matchesAll, type Matcher } from '../../../scaler/promql/matcher.ts';
import { createSeriesStore } from '../../../scaler/promql/query.ts';

const name = fc.constantFrom('a', 'b');
const value = fc.constantFrom('', '1', '2', '3');
const series = fc
  .record({ [METRIC_NAME]: name, x: value, y: value })
  .map((record) => labelsOf(record as Record<string, string>));
const fixed = fc
  .tuple(fc.constantFrom('x', 'y'), value)
  .map(([label, text]) => createMatcher(label, '=', text));
const loose = fc
  .tuple(fc.constantFrom('x', 'y', METRIC_NAME), fc.constantFrom('!=' as const, '=~' as const), value)
  .map(([label, op, text]) => createMatcher(label, op, text));
const named = name.map((text) => createMatcher(METRIC_NAME, '=', text));
const selector: fc.Arbitrary<Matcher[]> = fc
  .tuple(fc.option(named, { nil: undefined }), fc.array(fc.oneof(fixed, loose), { maxLength: 3 }))
  .map(([first, rest]) => (first ? [first, ...rest] : rest));

function keysOf(found: Iterable<{ readonly labels: Labels }>): string[] {
  return [...found].map(({ labels }) => labelsKey(labels)).toSorted();
}

test('what is kept and what is found are what a walk over all would keep and find', () => {
  const wants = fc.array(selector, { minLength: 1, maxLength: 6 });
  fc.assert(
    fc.property(wants, wants, fc.array(series, { maxLength: 20 }), selector, (before, after, all, asked) => {
      const store = createSeriesStore();
      const kept = new Map<string, Labels>();
      for (const wanted of [before, after]) {
        store.setWanted(wanted);
        const isWanted = (labels: Labels) => wanted.some((matchers) => matchesAll(matchers, labels));
        for (const [key, labels] of kept) if (!isWanted(labels)) kept.delete(key);
        for (const [at, labels] of all.entries()) {
          assert.equal(store.append(labels, 1, at + 1), isWanted(labels));
          if (isWanted(labels)) kept.set(labelsKey(labels), labels);
        }
        assert.equal(store.stats.series, kept.size);
        for (const matchers of [asked, ...wanted]) {
          const found = [...kept.values()].filter((labels) => matchesAll(matchers, labels));
          assert.deepEqual(
            keysOf(store.latest(matchers, -1, 1e6)),
            keysOf(found.map((labels) => ({ labels }))),
          );
        }
      }
      store.sweep(1e9);
      assert.deepEqual(store.stats.series, 0);
    }),
    { numRuns: 500 },
  );
});
