/** Series written down as in a table, and the answer to a query over them as plain numbers. */
import assert from 'node:assert/strict';
import { describeLabels, type Labels } from '../../../scaler/promql/labels.ts';
import { createMatcher } from '../../../scaler/promql/matcher.ts';
import { compileQuery, createSeriesStore, runQuery, type SeriesStore } from '../../../scaler/promql/query.ts';
import { parseTextFormat } from '../../../scaler/promql/store/text-format.ts';

/** A store that keeps whatever comes. */
export function openStore(options: Parameters<typeof createSeriesStore>[0] = {}): SeriesStore {
  const store = createSeriesStore(options);
  store.setWanted([[createMatcher('__name__', '=~', '.+')]]);
  return store;
}

/** The label set of `c{pod="a"}`. */
export function labels(text: string): Labels {
  const { samples, badLines } = parseTextFormat(`${text} 0`);
  assert.equal(badLines, 0, text);
  return (samples[0] as { labels: Labels }).labels;
}

/** `c{pod="a"}` → values at 0, step, 2 × step …; undefined leaves one out. */
export function world(
  stepSeconds: number,
  series: Readonly<Record<string, readonly (number | undefined)[]>>,
): SeriesStore {
  const store = openStore();
  for (const [text, values] of Object.entries(series)) {
    const set = labels(text);
    for (const [i, value] of values.entries()) {
      if (value !== undefined) store.append(set, value, i * stepSeconds * 1_000);
    }
  }
  return store;
}

/** A number for a scalar; for a vector `{pod="a"}` → number. */
export function ask(store: SeriesStore, query: string, atSeconds: number): number | Record<string, number> {
  const value = runQuery(compileQuery(query), store, atSeconds * 1_000);
  if (value.type === 'scalar') return value.value;
  assert.equal(value.type, 'vector');
  const samples = value.type === 'vector' ? value.samples : [];
  return Object.fromEntries(samples.map((sample) => [describeLabels(sample.labels), sample.value]));
}

/** The same within a rounding error of the expected numbers. */
export function expectAnswer(
  store: SeriesStore,
  query: string,
  atSeconds: number,
  expected: number | Record<string, number>,
): void {
  const found = ask(store, query, atSeconds);
  if (typeof expected === 'number' || typeof found === 'number') {
    assert.ok(isClose(found as number, expected as number), `${query}: ${JSON.stringify(found)}`);
    return;
  }
  assert.deepEqual(Object.keys(found).toSorted(), Object.keys(expected).toSorted(), query);
  for (const [key, value] of Object.entries(expected)) {
    assert.ok(isClose(found[key] as number, value), `${query} ${key}: ${found[key]}, expected ${value}`);
  }
}

function isClose(a: number, b: number): boolean {
  return Object.is(a, b) || a === b || Math.abs(a - b) <= 1e-9 * Math.max(1, Math.abs(b));
}
