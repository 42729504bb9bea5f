/** The queries of triggers: scoped to their function, within budgets, and only as sure as the data is whole. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ruleOf, RulesWorld, START_MS } from '../support/queries-world.ts';

test('a query sees the series of its own function, and the largest of several counts', () => {
  const world = new RulesWorld();
  const [rate, peak] = ['sum(rate(http_requests_total[30s]))', 'max_over_time(queue_len[30s])'];
  world.rules.change([ruleOf('a', rate, peak), ruleOf('b', rate)], []);
  for (let t = 0; t <= 60; t += 5) {
    world.nowMs = START_MS + t * 1_000;
    const queue = { 'queue_len{pod="1"}': 10, 'queue_len{pod="2"}': 7, 'queue_len{pod="3"}': 10 };
    world.round({ 'http_requests_total{pod="a-0"}': t * 100, ...queue }, { fn: 'a' });
    world.round({ 'http_requests_total{pod="b-0"}': t }, { fn: 'b' });
  }
  const all = world.rules
    .evaluate(world.nowMs)
    .map(({ key, answers }) => [key, answers.map(({ value }) => value)]);
  assert.deepEqual(Object.fromEntries(all), { 'shop/a': [100, 10], 'shop/b': [1] });
});

test('a query that names function or namespace says itself whose series it means', () => {
  const world = new RulesWorld();
  const all = 'sum(x{function=~".*",namespace=~".*"})';
  world.rules.change([ruleOf('a', 'sum(x)', 'sum(x{function="b"})', all, 'sum(x{namespace="other"})')], []);
  world.round({ x: 1 }, { fn: 'a' });
  world.round({ x: 10 }, { fn: 'b' });
  const foreign = new Map([
    ['__name__', 'x'],
    ['namespace', 'other'],
    ['function', 'a'],
  ]);
  world.store.append(foreign, 100, world.nowMs);
  assert.deepEqual(world.values('a'), [1, 10, 111, 100]);
});

test('a query is asked once an interval, and at once when the clock goes back', () => {
  const world = new RulesWorld();
  world.rules.change([ruleOf('fn', 'x')], []);
  world.round({ x: 1 });
  assert.deepEqual(world.values(), [1]);
  world.nowMs += 999;
  assert.deepEqual(world.answers(), []);
  world.nowMs += 1;
  assert.deepEqual(world.values(), [1]);
  world.nowMs -= 500;
  assert.equal(world.answers().length, 1);
});

test('a query that cannot be read, or fails on its data, is a fault of its function alone', () => {
  const world = new RulesWorld();
  world.rules.change([ruleOf('fn', 'sum(', 'x + on() y', 'x'), ruleOf('other', 'x')], []);
  world.round({ x: 1, 'y{a="1"}': 1, 'y{a="2"}': 2 });
  world.round({ x: 5 }, { fn: 'other' });
  const [unread, failed, good] = world.answers();
  assert.match(unread?.fault ?? '', /end of query.*position/);
  assert.match(failed?.fault ?? '', /two series for one match group/);
  assert.deepEqual(
    [unread?.value, failed?.value, good?.value, good?.fault],
    [undefined, undefined, 1, undefined],
  );
  world.nowMs += 1_000;
  assert.deepEqual(world.values('other'), [5]);
});

test('over its budget a function has faults and no values, and is left alone for longer each time', () => {
  let nowMs = 0;
  // Each look at the clock is a millisecond of work.
  const world = new RulesWorld({ clock: () => (nowMs += 1), budgets: { functionMs: 20, roundMs: 10_000 } });
  const heavy = 'sum_over_time(max_over_time(vector(1)[12m:1s])[13m:1s])';
  world.rules.change([ruleOf('heavy', 'x', heavy, 'x'), ruleOf('light', 'x')], []);
  world.round({ x: 1 }, { fn: 'heavy' });
  world.round({ x: 2 }, { fn: 'light' });
  const [first, second, third] = world.answers('heavy');
  assert.deepEqual([first?.value, second?.value, third?.value], [1, undefined, undefined]);
  assert.match(second?.fault ?? '', /more than 20 ms/);
  assert.match(third?.fault ?? '', /more than 20 ms/);
  const waits: number[] = [];
  for (let t = 1; waits.length < 7; t++) {
    world.nowMs += 1_000;
    const keys = new Set(world.rules.evaluate(world.nowMs).map(({ key }) => key));
    assert.ok(keys.has('shop/light'), 'the other goes on');
    if (keys.has('shop/heavy')) waits.push(t);
  }
  const pauses = waits.map((at, i) => at - (waits[i - 1] ?? 0));
  assert.deepEqual(pauses, [10, 20, 40, 80, 160, 300, 300]);
});

test('over the round’s budget what is left comes next time; what costs least comes first', () => {
  let nowMs = 0;
  const world = new RulesWorld({ clock: () => (nowMs += 1), budgets: { functionMs: 1_000, roundMs: 100 } });
  const slow = ruleOf('slow', 'sum_over_time(vector(1)[5m:1s])');
  const names = Array.from({ length: 5 }, (_, i) => `f${i}`);
  world.rules.change([slow, ...names.map((name) => ruleOf(name, '1'))], []);
  const keysAt = (): string[] => {
    world.nowMs += 1_000;
    return world.rules.evaluate(world.nowMs).map(({ key }) => key);
  };
  assert.deepEqual(keysAt(), ['shop/slow'], 'nothing is known of it yet');
  assert.deepEqual(keysAt(), [...names.map((name) => `shop/${name}`), 'shop/slow'], 'now it comes last');
});

test('heavy triggers, forty of them, cost no more than the budget of their function', () => {
  let looks = 0;
  const world = new RulesWorld({
    clock: () => (looks += 1) / 100,
    budgets: { functionMs: 50, roundMs: 500 },
  });
  const queries = Array.from(
    { length: 40 },
    (_, i) => `sum_over_time(max_over_time(vector(${i})[12m:1s])[13m:1s])`,
  );
  world.rules.change([ruleOf('heavy', ...queries)], []);
  const answers = world.answers('heavy');
  assert.ok(answers.every(({ value, fault }) => value === undefined && fault !== undefined));
  assert.ok(looks < 6_000, `${looks} looks at the clock`);
});

const HISTORIES: readonly [query: string, wholeAfterSeconds: number][] = [
  ['x', 0],
  ['sum(x) or vector(0)', 0],
  ['increase(x[10m])', 600],
  ['sum_over_time(x[5m]) + x', 300],
  ['max_over_time(x[1m] offset 4m)', 300],
  ['max_over_time(rate(x[1m])[9m:1m])', 600],
];
for (const [query, seconds] of HISTORIES) {
  test(`${query} is whole when its series have been seen for ${seconds} s`, () => {
    const world = new RulesWorld();
    world.rules.change([ruleOf('fn', query)], []);
    assert.equal(world.answers()[0]?.isWhole, false, 'before the first round');
    const whole: number[] = [];
    for (let t = 0; t <= 620; t += 5) {
      world.nowMs = START_MS + 1_000 + t * 1_000;
      world.round({ x: t }, { everyMs: 5_000 });
      if (world.answers()[0]?.isWhole) whole.push(t);
    }
    assert.ok(Math.abs((whole[0] ?? Infinity) - seconds) <= 5, `from ${whole[0]} s on`);
    assert.equal(whole.length, (620 - (whole[0] ?? 0)) / 5 + 1, 'and from then on');
  });
}

test('a round that began before a query came is not its first', () => {
  const world = new RulesWorld();
  world.rules.roundBegun();
  world.rules.change([ruleOf('fn', 'sum(x) or vector(0)')], []);
  world.rules.roundDone({ begunMs: world.nowMs, everyMs: 1_000, isLeader: true });
  assert.deepEqual(
    world.answers().map(({ value, isWhole }) => [value, isWhole]),
    [[0, false]],
  );
  world.nowMs += 1_000;
  world.round({ x: 3 });
  assert.deepEqual(
    world.answers().map(({ value, isWhole }) => [value, isWhole]),
    [[3, true]],
  );
});

test('a hole in the rounds begins the history again, and so does a clock that goes back', () => {
  const world = new RulesWorld();
  world.rules.change([ruleOf('fn', 'max_over_time(x[1m])')], []);
  const isWhole = (seconds: number): boolean | undefined => {
    for (let t = 0; t < seconds; t += 1) {
      world.nowMs += 1_000;
      world.round({ x: 1 });
    }
    world.nowMs += 1_000;
    world.round({ x: 1 });
    return world.answers()[0]?.isWhole;
  };
  assert.equal(isWhole(70), true);
  world.nowMs += 29_000;
  assert.equal(isWhole(0), true, 'a late round is no hole');
  world.nowMs += 31_000;
  assert.equal(isWhole(0), false);
  assert.equal(isWhole(70), true);
  world.nowMs -= 5_000;
  assert.equal(isWhole(0), false);
});

test('the same query under changed annotations keeps its history; a new one begins its own', () => {
  const world = new RulesWorld();
  world.rules.change([ruleOf('fn', 'max_over_time(x[1m])')], []);
  for (let t = 0; t <= 70; t++, world.nowMs += 1_000) world.round({ x: 1, y: 1 });
  world.rules.change([ruleOf('fn', 'max_over_time(x[1m])', 'max_over_time(y[1m])')], []);
  world.round({ x: 1, y: 1 });
  assert.deepEqual(
    world.answers().map((answer) => answer.isWhole),
    [true, false],
  );
});

test('a metric that only a leader knows has a history only since it leads', () => {
  const world = new RulesWorld({ leaderGauges: ['queue'] });
  world.rules.change([ruleOf('fn', 'max_over_time(queue[1m])', 'max_over_time(x[1m])')], []);
  for (let t = 0; t <= 70; t++, world.nowMs += 1_000) world.round({ x: 1 }, { isLeader: false });
  world.round({ x: 1, queue: 1 });
  assert.deepEqual(
    world.answers().map((answer) => answer.isWhole),
    [false, true],
  );
  for (let t = 0; t <= 60; t++, world.nowMs += 1_000) world.round({ x: 1, queue: 1 });
  assert.deepEqual(
    world.answers().map((answer) => answer.isWhole),
    [true, true],
  );
});

test('a query that looks back further than samples are kept is a fault, not a number', () => {
  const world = new RulesWorld({ series: { retentionMs: 1_800_000 } });
  world.rules.change(
    [ruleOf('fn', 'increase(c[1h])', 'rate(c[5m] offset 1h)', 'increase(c[30m])', 'c @ 1')],
    [],
  );
  for (let t = 0; t <= 7_200; t += 15) {
    world.nowMs = START_MS + t * 1_000;
    world.round({ c: t }, { everyMs: 15_000 });
  }
  const answers = world.answers();
  assert.match(answers[0]?.fault ?? '', /looks back 3600 s, and samples are kept for 1800 s/);
  assert.deepEqual(
    answers.map(({ value, isWhole }) => [value, isWhole]),
    [
      [undefined, false],
      [undefined, false],
      [1_800, true],
      [undefined, false],
    ],
  );
});

test('samples given up for want of room make a longer query part of the whole', () => {
  const world = new RulesWorld({ series: { maxSamples: 1_000 } });
  world.rules.change([ruleOf('fn', 'max_over_time(x[30m])', 'max_over_time(x[1m])'), ruleOf('big', 'y')], []);
  for (let t = 0; t <= 1_900; t += 5) {
    world.nowMs = START_MS + t * 1_000;
    world.round({ x: 1 }, { everyMs: 5_000 });
    const many = Object.fromEntries(['1', '2', '3'].map((i) => [`y{i="${i}"}`, 1]));
    if (t > 600) world.round(many, { fn: 'big', everyMs: 5_000 });
  }
  assert.ok(world.store.gapsOf('shop/big').completeSinceMs > -Infinity, 'who keeps most gives first');
  assert.equal(world.store.gapsOf('shop/fn').completeSinceMs, -Infinity);
  assert.deepEqual(
    world.answers().map((answer) => answer.isWhole),
    [true, true],
  );
  world.rules.change([ruleOf('big', 'y{i="1"}', 'max_over_time(y{i="1"}[30m])')], []);
  world.nowMs += 1_000;
  const [newest, long] = world.answers('big');
  assert.deepEqual([newest?.value, long?.value], [1, undefined]);
  assert.match(long?.fault ?? '', /more samples than there is room for/);
});

test('more series than a function may keep: it has a fault and no value, and the others have theirs', () => {
  const world = new RulesWorld({ series: { maxSeriesOfKeeper: 10, maxSeries: 100 } });
  world.rules.change([ruleOf('many', 'count(x)'), ruleOf('few', 'count(x)')], []);
  const many = Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`x{i="${i}"}`, 1]));
  world.round(many, { fn: 'many' });
  world.round({ x: 1 }, { fn: 'few' });
  assert.equal(world.store.stats.series, 11);
  const [answer] = world.answers('many');
  assert.deepEqual([answer?.value, answer?.isWhole], [undefined, false]);
  assert.match(answer?.fault ?? '', /more series than there is room for/);
  world.nowMs += 1_000;
  assert.deepEqual(world.values('few'), [1]);
});

test('a function whose pods cannot be scraped as they should has a fault and no value', () => {
  const world = new RulesWorld({ scrapeFaultOf: (key) => (key === 'shop/a' ? 'pod p: refused' : undefined) });
  world.rules.change([ruleOf('a', 'x'), ruleOf('b', 'x')], []);
  world.round({ x: 1 }, { fn: 'a' });
  world.round({ x: 1 }, { fn: 'b' });
  const all = world.rules.evaluate(world.nowMs).map(({ answers }) => [answers[0]?.value, answers[0]?.fault]);
  assert.deepEqual(all, [
    [undefined, 'pod p: refused'],
    [1, undefined],
  ]);
});

test('rules that are gone are forgotten with their series', () => {
  const world = new RulesWorld();
  world.rules.change([ruleOf('fn', 'x'), ruleOf('b', 'y')], []);
  world.round({ x: 1 });
  world.rules.change([], ['shop/fn']);
  assert.deepEqual([world.rules.size, world.store.stats.series], [1, 0]);
  assert.deepEqual([...world.rules.texts()], ['y']);
});

test('it says which rule is at work, for whoever must know when the work never ends', () => {
  const seen: number[] = [];
  const world = new RulesWorld({ onAtWork: (id) => seen.push(id) });
  const rule = ruleOf('fn', '1', '2');
  world.rules.change([rule], []);
  world.answers();
  assert.deepEqual(seen, [rule.id, 0]);
});

test('the regular expressions of one query, and of one function, are bounded together', () => {
  const world = new RulesWorld();
  const pattern = (n: number) => `x{a=~"(${n}|a{900})"}`;
  const five = Array.from({ length: 6 }, (_, i) => pattern(i)).join(' + ');
  world.rules.change(
    [ruleOf('one', five), ruleOf('many', ...Array.from({ length: 30 }, (_, i) => pattern(i)))],
    [],
  );
  world.round({ 'x{a="0"}': 1 }, { fn: 'many' });
  assert.match(world.answers('one')[0]?.fault ?? '', /at most 5000 are allowed/);
  world.nowMs += 1_000;
  const faults = world.answers('many').map(({ fault }) => fault);
  assert.equal(faults[0], undefined);
  assert.match(faults.at(-1) ?? '', /more than 20000 instructions/);
});

test('a query whose selectors find no series at all is a fault that names them; one that filters all away is not', () => {
  const world = new RulesWorld();
  world.rules.change([ruleOf('fn', 'sum(worker_backlg{queue="a"})', 'x > 5', 'x + y', 'vector(1) > 2')], []);
  world.round({ x: 1 });
  const faults = world.answers().map(({ fault }) => fault);
  const named = 'no series match worker_backlg{queue="a",namespace="shop",function="fn"}';
  assert.deepEqual(faults, [named, undefined, undefined, undefined]);
});
