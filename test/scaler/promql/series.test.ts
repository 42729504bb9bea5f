import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createMatcher } from '../../../scaler/promql/matcher.ts';
import { compileQuery, createSeriesStore } from '../../../scaler/promql/query.ts';
import { expectAnswer, labels, openStore } from './world.ts';

const MINUTE = 60_000;

test('only series that some query needs are kept', () => {
  const store = createSeriesStore();
  assert.equal(store.append(labels('a'), 1, 0), false, 'nothing is wanted yet');
  store.setWanted(compileQuery('sum(a{x="1"}) + b').selectors);
  assert.equal(store.append(labels('a{x="1"}'), 1, 0), true);
  assert.equal(store.append(labels('a{x="2"}'), 1, 0), false);
  assert.equal(store.append(labels('b{y="2"}'), 1, 0), true);
  assert.equal(store.append(labels('c'), 1, 0), false);
  assert.deepEqual(store.stats, { series: 2, samples: 2, dropped: 0 });
});

test('names are told from afar; a selector without a fixed name wants them all', () => {
  const store = createSeriesStore();
  store.setWanted(compileQuery('a').selectors);
  assert.deepEqual([store.wantsName('a'), store.wantsName('b')], [true, false]);
  store.setWanted(compileQuery('{__name__=~"b.*"}').selectors);
  assert.equal(store.wantsName('anything'), true);
  assert.equal(store.append(labels('a'), 1, 0), false);
  assert.equal(store.append(labels('bb'), 1, 0), true);
});

test('series that no query needs any more go when the queries change', () => {
  const store = createSeriesStore();
  store.setWanted([...compileQuery('a').selectors, ...compileQuery('b').selectors]);
  store.append(labels('a'), 1, 0);
  store.append(labels('b'), 1, 0);
  store.setWanted(compileQuery('b').selectors);
  assert.deepEqual(store.stats, { series: 1, samples: 1, dropped: 0 });
  assert.equal(store.latest([createMatcher('__name__', '=', 'a')], -1, 1).length, 0);
});

test('samples older than 30 minutes go, by themselves while a series lives and by the sweep when it died', () => {
  const store = openStore();
  for (let t = 0; t <= 120 * MINUTE; t += 1_000) store.append(labels('a'), t, t);
  assert.ok(store.stats.samples <= 1_800 * (4 / 3) + 2, `${store.stats.samples} samples for 1,800 s`);
  assert.ok(store.stats.samples >= 1_800);
  store.sweep(140 * MINUTE);
  assert.equal(store.stats.samples, 600);
  store.sweep(151 * MINUTE);
  assert.deepEqual(store.stats, { series: 0, samples: 0, dropped: 0 });
});

test('a full store turns samples away and counts them; old series make room first', () => {
  const store = openStore({ maxSeries: 2, maxSamples: 4 });
  assert.equal(store.append(labels('a{i="1"}'), 1, 0), true);
  assert.equal(store.append(labels('a{i="2"}'), 1, 0), true);
  assert.equal(store.append(labels('a{i="3"}'), 1, 0), false);
  assert.equal(store.stats.dropped, 1);
  for (const t of [1, 2, 3]) store.append(labels('a{i="1"}'), 1, t);
  assert.deepEqual(store.stats, { series: 2, samples: 4, dropped: 2 });
  assert.equal(store.append(labels('a{i="3"}'), 1, 60 * MINUTE), true, 'the others are too old by now');
  assert.equal(store.stats.series, 1);
});

test('a full store keeps a living series going, by its own oldest samples', () => {
  const store = openStore({ maxSamples: 3, retentionMs: 2 });
  for (let t = 1; t <= 50; t++) assert.equal(store.append(labels('a'), t, t), true, String(t));
  expectAnswer(store, 'a', 0.05, { 'a{}': 50 });
});

test('a full store gives up the oldest samples of all series: what is newest is what triggers decide by', () => {
  const store = openStore({ maxSamples: 100 });
  for (let minute = 0; minute < 25; minute++)
    for (const i of [1, 2, 3, 4]) store.append(labels(`a{i="${i}"}`), minute, minute * MINUTE);
  assert.equal(store.stats.samples, 100);
  assert.equal(store.append(labels('a{i="1"}'), 25, 25 * MINUTE), true);
  assert.equal(store.append(labels('b'), 1, 25 * MINUTE), true);
  expectAnswer(store, 'a{i="1"}', 25 * 60, { 'a{i="1"}': 25 });
  expectAnswer(store, 'min_over_time(a{i="2"}[30m])', 25 * 60, { '{i="2"}': 11 });
  assert.equal(store.stats.dropped, 44, 'of each series all that was older than a quarter of an hour');
});

test('a clock that jumps back takes the samples of the future with it', () => {
  const store = openStore();
  store.append(labels('a'), 1, 10 * MINUTE);
  store.append(labels('a'), 2, 30 * MINUTE);
  store.append(labels('a'), 3, 11 * MINUTE);
  expectAnswer(store, 'a', 11 * 60, { 'a{}': 3 });
  expectAnswer(store, 'max_over_time(a[5m])', 30 * 60, {});
  assert.equal(store.stats.samples, 2);
});

test('the same moment twice: the later written holds', () => {
  const store = openStore();
  store.append(labels('a'), 1, 1_000);
  store.append(labels('a'), 2, 1_000);
  expectAnswer(store, 'sum_over_time(a[1m])', 1, { '{}': 2 });
});

test('the same labels in another order are the same series', () => {
  const store = openStore();
  store.append(labels('a{x="1",y="2"}'), 1, 1_000);
  store.append(labels('a{y="2",x="1"}'), 2, 2_000);
  assert.equal(store.stats.series, 1);
});

test('a target’s end touches no series of another target', () => {
  const store = openStore();
  store.scrape('one', [{ labels: labels('a{pod="1"}'), value: 1 }], 1_000);
  store.scrape('two', [{ labels: labels('a{pod="2"}'), value: 2 }], 1_000);
  store.forget('one', 2_000);
  store.forget('unknown', 2_000);
  expectAnswer(store, 'a', 2, { 'a{pod="2"}': 2 });
});

test('a series dropped with its query is not revived by its target’s end', () => {
  const store = openStore();
  store.scrape('one', [{ labels: labels('a'), value: 1 }], 1_000);
  store.setWanted([]);
  store.forget('one', 2_000);
  assert.deepEqual(store.stats, { series: 0, samples: 0, dropped: 0 });
});

test('a query that reads more than its budget is stopped', () => {
  const store = openStore();
  for (let t = 0; t < 1_800; t++) store.append(labels('a'), t, t * 1_000);
  assert.throws(() => expectAnswer(store, 'max_over_time(max_over_time(a[30m])[30m:1s])', 1_800, {}), {
    code: 'too-expensive',
  });
  assert.throws(() => expectAnswer(store, 'max_over_time(vector(1)[1y:1ms])', 1_800, {}), {
    code: 'too-expensive',
  });
});

test('a scrape that fails on the way leaves nothing of the target, also not what was just read', () => {
  const store = openStore();
  store.scrape('t', [{ labels: labels('a{i="1"}'), value: 1 }], 1_000);
  const intake = store.begin('t', 2_000);
  intake.add(labels('a{i="1"}'), 2);
  intake.add(labels('a{i="2"}'), 2);
  intake.fail();
  expectAnswer(store, 'a', 2, {});
  store.scrape('t', [{ labels: labels('a{i="2"}'), value: 3 }], 3_000);
  expectAnswer(store, 'a', 3, { 'a{i="2"}': 3 });
});

test('each keeper has its own bound of series; a series that two want is kept for whoever has room', () => {
  const store = createSeriesStore({ maxSeriesOfKeeper: 2 });
  const of = (query: string) => compileQuery(query).selectors;
  store.setWantedBy([
    ['one', of('{__name__=~"a|b"}')],
    ['two', of('a')],
  ]);
  for (const i of [1, 2, 3]) store.append(labels(`b{i="${i}"}`), 1, i);
  assert.equal(store.stats.series, 2);
  assert.equal(store.append(labels('a'), 1, 4), true);
  assert.deepEqual([store.gapsOf('one').refusedAtMs, store.gapsOf('two').refusedAtMs], [4, -Infinity]);
  store.setWantedBy([['one', of('b')]]);
  assert.equal(store.stats.series, 2, 'series that stay are counted again');
  assert.equal(store.append(labels('b{i="4"}'), 1, 5), false);
});
