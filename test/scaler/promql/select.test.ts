import { test } from 'node:test';
import assert from 'node:assert/strict';
import { compileQuery, queryNumber } from '../../../scaler/promql/query.ts';
import { expectAnswer, labels, openStore, world } from './world.ts';

const PODS = world(15, {
  'up{pod="a-1",ns="x"}': [1],
  'up{pod="a-2",ns="x"}': [2],
  'up{pod="b-1",ns="y"}': [4],
  'down{pod="a-1"}': [8],
});

/** A selector and the sum over what it selects, which tells the four series apart. */
const SELECTORS: readonly [string, number | undefined][] = [
  ['up', 7],
  ['up{pod="a-1"}', 1],
  ['up{pod!="a-1"}', 6],
  ['up{pod=~"a-.*"}', 3],
  ['up{pod=~"a"}', undefined],
  ['up{pod!~"a-.*"}', 4],
  ['up{pod=~"a-1|b-1"}', 5],
  ['up{pod=~"A-1"}', undefined],
  ['up{pod=~"(?i)A-1"}', 1],
  ['up{pod="a-1",ns="y"}', undefined],
  ['up{ns=""}', undefined],
  ['up{other=""}', 7],
  ['down{ns=""}', 8],
  ['down{ns!="x"}', 8],
  ['{__name__=~"up|down"}', 15],
  ['{__name__!="up",pod="a-1"}', 8],
  ['{"up",ns="y"}', 4],
  ['{pod="a-1"}', 9],
  ['up{pod=`a-1`}', 1],
  ["up{pod='a\\x2d1'}", 1],
  ['up{pod="\\u0061-1",}', 1],
];

for (const [selector, expected] of SELECTORS) {
  test(`${selector} selects ${expected ?? 'nothing'}`, () => {
    expectAnswer(PODS, `sum(${selector})`, 10, expected === undefined ? {} : { '{}': expected });
  });
}

test('an instant selector sees the newest sample of the last five minutes, left-open', () => {
  const store = world(60, { g: [1, 2] });
  expectAnswer(store, 'g', 59, { 'g{}': 1 });
  expectAnswer(store, 'g', 60, { 'g{}': 2 });
  expectAnswer(store, 'g', 359, { 'g{}': 2 });
  expectAnswer(store, 'g', 360, {});
});

test('offset looks back, negative offset on, @ at an instant, start() and end() now', () => {
  const store = world(60, { g: [0, 1, 2, 3, 4, 5] });
  expectAnswer(store, 'g offset 2m', 300, { 'g{}': 3 });
  expectAnswer(store, 'g offset -1m', 120, { 'g{}': 3 });
  expectAnswer(store, 'g @ 60', 300, { 'g{}': 1 });
  expectAnswer(store, 'g @ 120 offset 1m', 300, { 'g{}': 1 });
  expectAnswer(store, 'g offset 1m @ 120', 300, { 'g{}': 1 });
  expectAnswer(store, 'g @ end() - g @ start()', 300, { '{}': 0 });
  expectAnswer(store, 'timestamp(g offset 1m)', 299, { '{}': 180 });
});

const sample = (value: number) => [{ labels: labels('g{pod="a"}'), value }];

test('behaviour 36: a series that is gone from its target is stale at once, and back when it is back', () => {
  const store = openStore();
  store.scrape('pod-a', sample(1), 1_000);
  store.scrape('pod-a', [], 2_000);
  expectAnswer(store, 'g', 2, {});
  expectAnswer(store, 'g', 1, { 'g{pod="a"}': 1 });
  store.scrape('pod-a', sample(3), 3_000);
  expectAnswer(store, 'g', 3, { 'g{pod="a"}': 3 });
  expectAnswer(store, 'count_over_time(g[10s])', 3, { '{pod="a"}': 2 });
  store.forget('pod-a', 4_000);
  expectAnswer(store, 'g', 4, {});
});

const number = (query: string) => queryNumber(compileQuery(query), PODS, 10_000);

test('a trigger’s number: a scalar, one series, or the largest of several; undefined without data', () => {
  assert.equal(number('1 + 1'), 2);
  assert.equal(number('up{pod="a-1"}'), 1);
  assert.equal(number('up'), 4);
  assert.equal(number('up / (up > 1) or up - up'), 1);
  assert.equal(number('0 / (up - up) or down'), 8, 'what is not a number has no say');
  assert.equal(number('nothing'), undefined);
  assert.equal(number('0 / 0'), undefined);
  assert.equal(number('up / 0'), undefined);
  assert.equal(number('scalar(up)'), undefined);
  assert.throws(() => number('up[1m]'), { code: 'type' });
});
