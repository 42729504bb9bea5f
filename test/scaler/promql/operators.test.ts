import { test } from 'node:test';
import assert from 'node:assert/strict';
import { ask, expectAnswer, world } from './world.ts';

const SCALARS: readonly [string, number][] = [
  ['1 + 2 * 3', 7],
  ['(1 + 2) * 3', 9],
  ['2 ^ 3 ^ 2', 512],
  ['-1 ^ 2', -1],
  ['- 2 ^ 2', -4],
  ['2 ^ -1', 0.5],
  ['1 ^ NaN', 1],
  ['(0 - 1) ^ Inf', 1],
  ['7 % 4', 3],
  ['-7 % 4', -3],
  ['1 - 2 - 3', -4],
  ['1 / 0', Infinity],
  ['0 / 0', Number.NaN],
  ['1 == bool 1', 1],
  ['1 > bool 2', 0],
  ['1 != bool 1', 0],
  ['2 >= bool 2', 1],
  ['NaN == bool NaN', 0],
  ['1 atan2 1', Math.PI / 4],
  ['3 - 2 * -1', 5],
  ['2 * -3 ^ 2', -18],
  ['- -2', 2],
  ['+2', 2],
  ['0x1F', 31],
  ['1_000', 1000],
  ['.5e1', 5],
  ['1h30m', 5400],
  ['-Inf', -Infinity],
  ['time()', 100],
  ['pi()', Math.PI],
  ['scalar(vector(3))', 3],
  ['scalar(absent(x) + 1)', 2],
];

for (const [query, expected] of SCALARS) {
  test(`${query} is ${expected}`, () => expectAnswer(world(1, {}), query, 100, expected));
}

const STORE = world(15, {
  'run{pod="a",zone="1"}': [2],
  'run{pod="b",zone="1"}': [4],
  'run{pod="c",zone="2"}': [6],
  'cap{pod="a"}': [10],
  'cap{pod="b"}': [4],
  'zone_cost{zone="1",tier="gold"}': [100],
  'zone_cost{zone="2",tier="iron"}': [200],
});

const A = '{pod="a", zone="1"}';
const B = '{pod="b", zone="1"}';
const C = '{pod="c", zone="2"}';

const VECTORS: readonly [string, Record<string, number>][] = [
  ['run * 10', { [A]: 20, [B]: 40, [C]: 60 }],
  ['12 / run', { [A]: 6, [B]: 3, [C]: 2 }],
  ['-run', { [A]: -2, [B]: -4, [C]: -6 }],
  ['run > 3', { [`run${B}`]: 4, [`run${C}`]: 6 }],
  ['3 < run', { [`run${B}`]: 4, [`run${C}`]: 6 }],
  ['run > bool 3', { [A]: 0, [B]: 1, [C]: 1 }],
  ['3 < bool run', { [A]: 0, [B]: 1, [C]: 1 }],
  ['run == 4', { [`run${B}`]: 4 }],
  ['run / on(pod) cap', { '{pod="a"}': 0.2, '{pod="b"}': 1 }],
  ['run / ignoring(zone) cap', { '{pod="a"}': 0.2, '{pod="b"}': 1 }],
  ['run + cap', {}],
  ['run < on(pod) cap', { '{pod="a"}': 2 }],
  ['run < bool on(pod) cap', { '{pod="a"}': 1, '{pod="b"}': 0 }],
  ['run * on(zone) group_left zone_cost', { [A]: 200, [B]: 400, [C]: 1200 }],
  [
    'run * on(zone) group_left(tier) zone_cost',
    {
      '{pod="a", zone="1", tier="gold"}': 200,
      '{pod="b", zone="1", tier="gold"}': 400,
      '{pod="c", zone="2", tier="iron"}': 1200,
    },
  ],
  ['zone_cost - on(zone) group_right run', { [A]: 98, [B]: 96, [C]: 194 }],
  ['run > on(zone) group_left zone_cost', {}],
  ['zone_cost > on(zone) group_right run', { [`run${A}`]: 100, [`run${B}`]: 100, [`run${C}`]: 200 }],
  ['run offset 5s + on(pod) cap offset 5s * 2', { '{pod="a"}': 22, '{pod="b"}': 12 }],
  ['2 * run{pod="a"} @ 0 ^ 2', { [A]: 8 }],
  ['-run{pod="a"} offset 5s ^ 2', { [A]: -4 }],
  ['run and on(pod) cap', { [`run${A}`]: 2, [`run${B}`]: 4 }],
  ['run unless on(pod) cap', { [`run${C}`]: 6 }],
  ['cap or on(pod) run', { 'cap{pod="a"}': 10, 'cap{pod="b"}': 4, [`run${C}`]: 6 }],
  ['run and run > 2 or run < 3', { [`run${A}`]: 2, [`run${B}`]: 4, [`run${C}`]: 6 }],
  ['sum(run)', { '{}': 12 }],
  ['sum by (zone) (run)', { '{zone="1"}': 6, '{zone="2"}': 6 }],
  ['sum(run) by (zone)', { '{zone="1"}': 6, '{zone="2"}': 6 }],
  ['sum without (pod) (run)', { '{zone="1"}': 6, '{zone="2"}': 6 }],
  ['avg by (zone) (run)', { '{zone="1"}': 3, '{zone="2"}': 6 }],
  ['min(run)', { '{}': 2 }],
  ['max(run)', { '{}': 6 }],
  ['count(run)', { '{}': 3 }],
  ['count by (tier) (run)', { '{}': 3 }],
  ['group(run)', { '{}': 1 }],
  ['stdvar(run)', { '{}': 8 / 3 }],
  ['stddev(run)', { '{}': Math.sqrt(8 / 3) }],
  ['quantile(0.5, run)', { '{}': 4 }],
  ['quantile(0.25, run)', { '{}': 3 }],
  ['topk(2, run)', { [`run${B}`]: 4, [`run${C}`]: 6 }],
  ['bottomk(1, run)', { [`run${A}`]: 2 }],
  ['topk by (zone) (1, run)', { [`run${B}`]: 4, [`run${C}`]: 6 }],
  ['topk(0, run)', {}],
  ['topk(9, cap)', { 'cap{pod="a"}': 10, 'cap{pod="b"}': 4 }],
  ['count_values("n", run)', { '{n="2"}': 1, '{n="4"}': 1, '{n="6"}': 1 }],
  ['sum(nothing)', {}],
  ['count(nothing) or vector(0)', { '{}': 0 }],
  ['abs(-run{pod="a"})', { [A]: 2 }],
  ['ceil(run{pod="a"} / 4)', { [A]: 1 }],
  ['floor(run{pod="a"} / 4)', { [A]: 0 }],
  ['round(run{pod="a"} / 4)', { [A]: 1 }],
  ['round(run{pod="a"} / 30, 0.05)', { [A]: 0.05 }],
  ['clamp(run, 3, 5)', { [A]: 3, [B]: 4, [C]: 5 }],
  ['clamp(run, 5, 3)', {}],
  ['clamp_min(run, 3)', { [A]: 3, [B]: 4, [C]: 6 }],
  ['clamp_max(run, 3)', { [A]: 2, [B]: 3, [C]: 3 }],
  ['sqrt(run{pod="b"})', { [B]: 2 }],
  ['sgn(run{pod="b"} - 9)', { [B]: -1 }],
  ['log2(run{pod="b"})', { [B]: 2 }],
  ['absent(run)', {}],
  ['absent(run{pod="z",zone=~"1"})', { '{pod="z"}': 1 }],
  ['absent(sum(nothing))', { '{}': 1 }],
  ['absent_over_time(nothing{x="1"}[5m])', { '{x="1"}': 1 }],
  ['absent_over_time(run[5m])', {}],
  ['vector(5)', { '{}': 5 }],
  ['sort_desc(cap)', { 'cap{pod="a"}': 10, 'cap{pod="b"}': 4 }],
  ['label_replace(cap{pod="a"}, "p", "x-$1", "pod", "(.*)")', { 'cap{pod="a", p="x-a"}': 10 }],
  ['label_replace(cap{pod="a"}, "p", "x", "pod", "b")', { 'cap{pod="a"}': 10 }],
  ['label_replace(cap{pod="a"}, "p", "$1y${1}z$$", "pod", "(.*)")', { 'cap{pod="a", p="az$"}': 10 }],
  ['nothing * on(zone) run', {}],
  ['label_join(cap{pod="a"}, "k", "/", "pod", "pod")', { 'cap{pod="a", k="a/a"}': 10 }],
];

for (const [query, expected] of VECTORS) {
  test(`${query} is ${JSON.stringify(expected)}`, () => expectAnswer(STORE, query, 10, expected));
}

test('parts of the date are those of UTC', () => {
  const at = Date.parse('2028-02-29T13:45:10Z') / 1_000;
  const expected = {
    minute: 45,
    hour: 13,
    day_of_week: 2,
    day_of_month: 29,
    day_of_year: 60,
    days_in_month: 29,
    month: 2,
    year: 2028,
  };
  for (const [name, value] of Object.entries(expected))
    expectAnswer(world(1, {}), `${name}()`, at, { '{}': value });
});

const FAILS: readonly [string, RegExp][] = [
  ['run / on(zone) zone_cost', /group_left or group_right/],
  ['zone_cost / on(zone) run', /two series for one match group/],
  ['run * on(zone) group_right zone_cost', /two series for one match group/],
  ['label_replace(run, "", "", "pod", ".*")', /invalid label name/],
];

for (const [query, message] of FAILS) {
  test(`${query} is an execution error`, () => {
    assert.throws(
      () => ask(STORE, query, 10),
      (error: Error & { code?: string }) => error.code === 'execution' && message.test(error.message),
    );
  });
}

test('two series that differ in their names alone cannot both lose them', () => {
  const store = world(15, { 'a{x="1"}': [1], 'b{x="1"}': [2] });
  assert.throws(() => ask(store, 'abs({x="1"})', 0), { code: 'execution' });
  assert.throws(() => ask(store, '-{x="1"}', 0), { code: 'execution' });
  expectAnswer(store, 'sum({x="1"})', 0, { '{}': 3 });
});

test('a maximum passes over what is not a number', () => {
  const store = world(15, { 'g{p="a"}': [Number.NaN], 'g{p="b"}': [3] });
  expectAnswer(store, 'max(g)', 0, { '{}': 3 });
  expectAnswer(store, 'topk(1, g)', 0, { 'g{p="b"}': 3 });
  expectAnswer(store, 'bottomk(1, g)', 0, { 'g{p="b"}': 3 });
});
