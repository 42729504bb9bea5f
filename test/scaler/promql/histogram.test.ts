import { test } from 'node:test';
import { expectAnswer, world } from './world.ts';

/** 10 observations up to 0.1 s, 30 more up to 0.5 s, 50 more up to 1 s, 10 above. */
const LATENCY = world(15, {
  'h_bucket{le="0.1"}': [10],
  'h_bucket{le="0.5"}': [40],
  'h_bucket{le="1"}': [90],
  'h_bucket{le="+Inf"}': [100],
});

/** quantile, seconds, the arithmetic. */
const QUANTILES: readonly [string, number, string][] = [
  ['0.05', 0.05, 'rank 5 of 10 in [0, 0.1]'],
  ['0.1', 0.1, 'rank 10: the end of the first bucket'],
  ['0.25', 0.3, 'rank 25: 15 of 30 in [0.1, 0.5]'],
  ['0.5', 0.6, 'rank 50: 10 of 50 in [0.5, 1]'],
  ['0.9', 1, 'rank 90: the end of the third'],
  ['0.95', 1, 'in +Inf: the highest finite bound'],
  ['-1', -Infinity, 'below 0'],
  ['1.1', Infinity, 'above 1'],
  ['NaN', Number.NaN, 'not a number'],
];

for (const [q, expected, why] of QUANTILES) {
  test(`histogram_quantile(${q}) is ${expected} (${why})`, () => {
    expectAnswer(LATENCY, `histogram_quantile(${q}, h_bucket)`, 0, { '{}': expected });
  });
}

const rise = (perStep: number) => [0, 1, 2, 3, 4].map((i) => i * perStep);

test('the usual form: rates, summed by le, over two pods', () => {
  // Within a minute pod a saw 30 calls up to 1 s, pod b 30 between 1 and 2 s.
  const store = world(15, {
    'h_bucket{pod="a",le="1"}': rise(10),
    'h_bucket{pod="a",le="2"}': rise(10),
    'h_bucket{pod="a",le="+Inf"}': rise(10),
    'h_bucket{pod="b",le="1"}': rise(0),
    'h_bucket{pod="b",le="2"}': rise(10),
    'h_bucket{pod="b",le="+Inf"}': rise(10),
  });
  const query = 'histogram_quantile(0.75, sum by (le) (rate(h_bucket[1m])))';
  // Half are up to 1 s; three quarters are half way into the second bucket.
  expectAnswer(store, query, 60, { '{}': 1.5 });
  expectAnswer(store, 'histogram_quantile(0.5, sum by (pod, le) (rate(h_bucket[1m])))', 60, {
    '{pod="a"}': 0.5,
    '{pod="b"}': 1.5,
  });
});

test('without +Inf, with one bucket, or without observations there is no quantile', () => {
  expectAnswer(world(1, { 'h{le="1"}': [1], 'h{le="2"}': [2] }), 'histogram_quantile(0.5, h)', 0, {
    '{}': Number.NaN,
  });
  expectAnswer(world(1, { 'h{le="+Inf"}': [2] }), 'histogram_quantile(0.5, h)', 0, { '{}': Number.NaN });
  const empty = world(1, { 'h{le="1"}': [0], 'h{le="+Inf"}': [0] });
  expectAnswer(empty, 'histogram_quantile(0.5, h)', 0, { '{}': Number.NaN });
});

test('series without le are left out; bounds written in two ways are one bucket; a dip is levelled', () => {
  expectAnswer(world(1, { g: [1] }), 'histogram_quantile(0.5, g)', 0, {});
  const twice = world(1, { 'h{le="1"}': [4], 'h{le="1.0"}': [4], 'h{le="+Inf"}': [8] });
  expectAnswer(twice, 'histogram_quantile(0.5, h)', 0, { '{}': 0.5 });
  const dip = world(1, { 'h{le="1"}': [5], 'h{le="2"}': [4], 'h{le="3"}': [10], 'h{le="+Inf"}': [10] });
  expectAnswer(dip, 'histogram_quantile(0.75, h)', 0, { '{}': 2.5 });
});

test('a first bucket with a bound not above 0 gives its bound', () => {
  const store = world(1, { 'h{le="-1"}': [5], 'h{le="1"}': [10], 'h{le="+Inf"}': [10] });
  expectAnswer(store, 'histogram_quantile(0.25, h)', 0, { '{}': -1 });
  expectAnswer(store, 'histogram_quantile(0.75, h)', 0, { '{}': 0 });
});
