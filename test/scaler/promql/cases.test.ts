/** What Prometheus's tests measure, in cases of our own: they hold also where Go cannot fetch those. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { queryNumber, compileQuery } from '../../../scaler/promql/query.ts';
import { runScript } from './promqltest/run.ts';

const SCRIPT = `
load 1m
  a_bucket{le="0.1",job="j"} 100
  a_bucket{le="1",job="j"} 100
  a_bucket{le="+Inf",job="j"} 100
  b_bucket{le="0.1",job="j"} 0
  b_bucket{le="1",job="j"} 0
  b_bucket{le="+Inf",job="j"} 1000
  many{l="foo",job="t"} 0
  many{l="bar",job="t"} 1
  one{job="t"} 1

# Two metrics are two histograms, which lose their names and then look alike.
eval instant at 0m histogram_quantile(0.9, {__name__=~"[ab]_bucket"})
  expect fail
eval instant at 0m histogram_quantile(0.9, a_bucket)
  {job="j"} 0.09
eval instant at 0m histogram_fraction(0, 0.05, a_bucket)
  {job="j"} 0.5
eval instant at 0m histogram_fraction(0.05, 5, a_bucket)
  {job="j"} 0.5
eval instant at 0m histogram_fraction(-Inf, +Inf, b_bucket)
  {job="j"} 1
eval instant at 0m histogram_fraction(1, 0, a_bucket)
  {job="j"} 0
eval instant at 0m histogram_fraction(0, NaN, a_bucket)
  {job="j"} NaN
eval instant at 0m histogram_avg(many)
eval instant at 0m histogram_count(many)
eval instant at 0m histogram_sum(many)

# Many to one is an error also where a comparison filters all but one.
eval instant at 0m many >= on(job) one
  expect fail
eval instant at 0m many > on(job) one
  expect fail
eval instant at 0m many > on(job) group_left() one
eval instant at 0m many >= on(job) group_left() one
  many{l="bar",job="t"} 1

# Parameters are checked, also where there is nothing to pick from.
eval instant at 0m topk(NaN, many)
  expect fail
eval instant at 0m bottomk(1e30, many)
  expect fail
eval instant at 0m limitk(NaN, nothing)
  expect fail
eval instant at 0m limitk(-1, many)
eval instant at 0m count(limitk(1, many))
  {} 1
eval instant at 0m count(limitk by (l) (1, many))
  {} 2
eval instant at 0m count_values("", many)
  expect fail
eval instant at 0m label_replace(many, "\\xff", "", "l", ".*")
  expect fail
eval instant at 0m sort_by_label(many, "l")
  many{l="foo",job="t"} 0
  many{l="bar",job="t"} 1

clear
load 10s
  x{i="1"} 2
  x{i="2"} 1e100
  x{i="3"} 8
  x{i="4"} -1e100
  big{i="1"} 1.7e308
  big{i="2"} 1.7e308
  equal{i="1"} 13.3
  equal{i="2"} 13.3
  equal{i="3"} 13.3
  endless{i="1"} Inf
  endless{i="2"} 1
  row 2 1e100 8 -1e100
  peak 1.7e308 1.7e308
  flat 13.3 13.3 13.3
  gauge 4 6 2 1 999 1 2
  line 0+10x10
  {"my.metric","a.b"="c"} 5

# Sums keep what rounding takes.
eval instant at 0s sum(x)
  {} 10
eval instant at 0s avg(x)
  {} 2.5
eval instant at 0s avg(big)
  {} 1.7e308
eval instant at 0s sum(big)
  {} Inf
eval instant at 0s sum(endless)
  {} Inf
eval instant at 0s avg(endless)
  {} Inf
eval instant at 0s stddev(equal)
  {} 0
eval instant at 30s sum_over_time(row[1m])
  {} 10
eval instant at 30s avg_over_time(row[1m])
  {} 2.5
eval instant at 30s avg_over_time(peak[1m])
  {} 1.7e308
eval instant at 30s stdvar_over_time(flat[1m])
  {} 0
eval instant at 60s mad_over_time(gauge[70s])
  {} 1
eval instant at 100s double_exponential_smoothing(line[2m], 0.5, 0.5)
  {} 100
eval instant at 100s double_exponential_smoothing(line[2m], 1, 0.5)
  expect fail
eval instant at 100s double_exponential_smoothing(line[2m], 0.5, 0)
  expect fail
eval instant at 60s ts_of_max_over_time(gauge[2m])
  {} 40
eval instant at 60s ts_of_min_over_time(gauge[2m])
  {} 50
eval instant at 60s ts_of_first_over_time(gauge[1m])
  {} 10
eval instant at 60s ts_of_last_over_time(gauge[1m])
  {} 60

# Numbers may end in a point, names may be of any characters.
eval instant at 0s 2.
  2
eval instant at 0s 1./4. + 1.e1
  10.25
eval instant at 0s {"my.metric"}
  {__name__="my.metric","a.b"="c"} 5
eval instant at 0s sum by ("a.b") ({"my.metric","a.b"="c"})
  {"a.b"="c"} 5
eval instant at 0s label_replace({"my.metric"}, "ü.x", "$1", "a.b", "(.)")
  {__name__="my.metric","a.b"="c","ü.x"="c"} 5
eval instant at 0s "1. \\xc3\\xa9" # 2.
  expect string "1. é"

# A subquery without a step goes by the minute.
clear
load 15s
  g 1x80
eval instant at 20m sum_over_time(g[10m:])
  {} 10
`;

for (const { line, query, result, why } of runScript(SCRIPT)) {
  test(`${query} (line ${line})`, () => assert.equal(result, 'agrees', why));
}

test('what is not supported says so, and names the place', () => {
  for (const query of [
    'info(x, {a=~".*"})',
    'limit_ratio(0.5, x)',
    'x[min(step(), 1m)]',
    'start()',
    'x </ 1',
  ]) {
    assert.throws(() => compileQuery(query), { code: 'unsupported' }, query);
  }
});

test('a mean that is no overflow is a number for a trigger', () => {
  const source = {
    latest: () => [1, 2].map((i) => ({ labels: new Map([['i', `${i}`]]), value: 1.7e308, timeMs: 0 })),
    range: () => [],
  };
  assert.equal(queryNumber(compileQuery('avg(x)'), source, 0), 1.7e308);
});
