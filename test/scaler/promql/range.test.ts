import { test } from 'node:test';
import { ask, expectAnswer, world } from './world.ts';
import assert from 'node:assert/strict';

const _ = undefined;

/** values every 15 s from 0, query over `c`, at second, result for `{}`, the arithmetic. */
const RATES: readonly [readonly (number | undefined)[], string, number, number, string][] = [
  [
    [0, 10, 20, 30, 40],
    'increase(c[1m])',
    60,
    40,
    '30 over 45 s; the first sample is 15 s from the edge: × 60/45',
  ],
  [[0, 10, 20, 30, 40], 'rate(c[1m])', 60, 40 / 60, 'the same a second'],
  [
    [_, 5, 15, 25],
    'increase(c[1m])',
    45,
    25,
    '20 over 30 s; 30 s from the edge is beyond 16.5, so 7.5 s: × 37.5/30',
  ],
  [[_, 1, 11, 21], 'increase(c[45s])', 45, 21, '20 over 30 s; zero was 1.5 s before, not 15: × 31.5/30'],
  [[_, 10, 20, 5, 15], 'increase(c[1m])', 60, 100 / 3, '15 − 10 + 20 for the reset = 25, × 60/45'],
  [
    [_, _, 100, 110],
    'increase(c[2m])',
    90,
    20,
    '10 over 15 s; both edges far, half an interval each: × 30/15',
  ],
  [[10, 8, 6], 'delta(c[30s])', 30, -4, 'left-open: 8, 6; −2 over 15 s, × 30/15'],
  [[10, 8, 6], 'delta(c[31s])', 30, -4 * (31 / 30), '10 is in: −4 over 30 s, × 31/30'],
  [[0, 10, 20, 33], 'irate(c[1m])', 45, 13 / 15, 'the last two'],
  [[0, 10, 20, 6], 'irate(c[1m])', 45, 6 / 15, 'reset between the last two: from 0'],
  [[0, 10, 20, 6], 'idelta(c[1m])', 45, -14, 'the last two, no reset'],
  [[5, 5, 5, 5], 'rate(c[1m])', 45, 0, 'nothing happened'],
  [[1, 3, 2, 2, 4], 'changes(c[61s])', 60, 3, '1→3, 3→2, 2→4'],
  [[1, 3, 2, 2, 1], 'resets(c[61s])', 60, 2, '3→2, 2→1'],
  [[0, 30, 60, 90], 'deriv(c[46s])', 45, 2, '30 every 15 s'],
  [[0, 30, 60, 90], 'predict_linear(c[46s], 60)', 45, 210, '90 and 2 a second for 60 s'],
];

for (const [values, query, at, expected, why] of RATES) {
  test(`${query} of ${values.map((v) => v ?? '_').join(' ')} at ${at} s is ${expected} (${why})`, () => {
    expectAnswer(world(15, { c: values }), query, at, { '{}': expected });
  });
}

test('a counter that falls at each sample is reset at each: 10 − 40 + 40 + 30 + 20 = 60, × 60/45', () => {
  expectAnswer(world(15, { c: [_, 40, 30, 20, 10] }), 'increase(c[1m])', 60, { '{}': 80 });
});

test('behaviour 36: one sample has no rate', () => {
  for (const name of ['rate', 'increase', 'delta', 'irate', 'idelta', 'deriv']) {
    expectAnswer(world(15, { c: [_, 7] }), `${name}(c[1m])`, 30, {});
  }
});

/** `g` has 4, 1, 3, 2 at 15, 30, 45, 60 s. */
const OVER_TIME: readonly [string, number][] = [
  ['sum_over_time(g[1m])', 10],
  ['avg_over_time(g[1m])', 2.5],
  ['min_over_time(g[1m])', 1],
  ['max_over_time(g[1m])', 4],
  ['count_over_time(g[1m])', 4],
  ['present_over_time(g[1m])', 1],
  ['stdvar_over_time(g[1m])', 1.25],
  ['stddev_over_time(g[1m])', Math.sqrt(1.25)],
  ['quantile_over_time(0.5, g[1m])', 2.5],
  ['quantile_over_time(0.9, g[1m])', 3.7],
  ['quantile_over_time(2, g[1m])', Infinity],
  ['max_over_time(g[30s])', 3],
  ['max_over_time(g[30s] offset 30s)', 4],
  ['max_over_time(g[30s] @ 30)', 4],
  ['count_over_time(g[1m:15s])', 4],
  ['max_over_time(sum_over_time(g[30s])[30s:15s])', 5],
];

test('functions over time, of 4 1 3 2', () => {
  const store = world(15, { g: [_, 4, 1, 3, 2] });
  for (const [query, expected] of OVER_TIME) expectAnswer(store, query, 60, { '{}': expected });
});

test('last_over_time and first_over_time keep the name, the others drop it', () => {
  const store = world(15, { 'g{pod="a"}': [_, 4, 1, 3, 2] });
  expectAnswer(store, 'last_over_time(g[1m])', 60, { 'g{pod="a"}': 2 });
  expectAnswer(store, 'first_over_time(g[1m])', 60, { 'g{pod="a"}': 4 });
  expectAnswer(store, 'avg_over_time(g[1m])', 60, { '{pod="a"}': 2.5 });
});

test('steps of a subquery lie on multiples of the step, left-open', () => {
  const store = world(1, { t: Array.from({ length: 101 }, (_, i) => i) });
  // (40, 100] by 30: 60, 90.
  expectAnswer(store, 'sum_over_time(t[60s:30s])', 100, { '{}': 150 });
  // (30, 90] by 30: 60, 90.
  expectAnswer(store, 'sum_over_time(t[60s:30s])', 90, { '{}': 150 });
});

test('a rate over a subquery sees its steps as samples', () => {
  const store = world(10, { c: [0, 10, 20, 30, 40, 50, 60], d: [0, 10, 20, 30, 40, 50, 60] });
  expectAnswer(store, 'increase((c + d)[1m:10s])', 60, { '{}': 120 });
});

test('the number that SlimFaas’s users ask for', () => {
  const store = world(5, {
    'slimfaas_function_queue_ready_items{function="fibonacci1"}': [0, 3, 9, 4, 1, 0, 0],
    'slimfaas_function_queue_ready_items{function="other"}': [50, 50, 50, 50, 50, 50, 50],
  });
  const query = 'max_over_time(slimfaas_function_queue_ready_items{function="fibonacci1"}[30s])';
  expectAnswer(store, query, 30, { '{function="fibonacci1"}': 9 });
});

test('not-a-number among the samples spoils a sum and is passed over by a maximum', () => {
  const store = world(15, { g: [_, 1, Number.NaN, 2] });
  assert.deepEqual(ask(store, 'max_over_time(g[1m])', 45), { '{}': 2 });
  assert.deepEqual(ask(store, 'sum_over_time(g[1m])', 45), { '{}': Number.NaN });
});
