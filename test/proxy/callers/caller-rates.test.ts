import assert from 'node:assert/strict';
import { test } from 'node:test';
import { UsageError } from '../../../common/runtime/errors.ts';
import { callerAddress, readRanges } from '../../../proxy/callers/caller-address.ts';
import { readRateFlag } from '../../../proxy/callers/caller-flags.ts';
import { CallerRates } from '../../../proxy/callers/caller-rates.ts';

const RATE = { ratePerSecond: 10, burst: 5 };

test('a burst at once, then one call for each token; what is refused takes nothing', () => {
  const rates = new CallerRates(10).ofFunction();
  const burst = Array.from({ length: 7 }, () => rates.takeOfCaller('a', RATE, 1_000));
  assert.deepEqual(burst.slice(0, 5), [0, 0, 0, 0, 0]);
  assert.equal(Math.round(burst[5] ?? 0), 100);
  assert.equal(Math.round(burst[6] ?? 0), 100);
  assert.equal(rates.takeOfCaller('b', RATE, 1_000), 0, 'another caller has a bucket of its own');
  assert.equal(rates.takeOfCaller('a', RATE, 1_100), 0);
  assert.ok(rates.takeOfCaller('a', RATE, 1_199) > 0);
  assert.equal(rates.takeOfCaller('a', RATE, 1_200), 0);
});

test('a limit that is raised counts at once: what was taken at the slower rate is no debt', () => {
  const rates = new CallerRates(10).ofFunction();
  const slow = { ratePerSecond: 1 / 3_600, burst: 3 };
  for (let i = 0; i < 4; i++) rates.takeOfCaller('a', slow, 0);
  for (let i = 0; i < 4; i++) rates.takeOfAll(slow, 0);
  for (const take of [rates.takeOfCaller.bind(rates, 'a'), rates.takeOfAll.bind(rates)]) {
    assert.equal(Math.round(take(RATE, 1_000)), 100, 'its bucket is empty, and not more than that');
    assert.equal(take(RATE, 1_100), 0);
  }
});

test('over a long time exactly the rate passes, however the calls come', () => {
  const rates = new CallerRates(10).ofFunction();
  let passed = 0;
  for (let now = 0; now < 100_000; now += 7) if (rates.takeOfAll(RATE, now) === 0) passed++;
  assert.ok(Math.abs(passed - 1_005) <= 1, String(passed));
});

test('callers have a bound over all functions; whoever has the most places loses its own', () => {
  const all = new CallerRates(100);
  const [small, large] = [all.ofFunction(), all.ofFunction()];
  for (let i = 0; i < 5; i++) small.takeOfCaller(`s${i}`, RATE, 0);
  for (let i = 0; i < 10_000; i++) large.takeOfCaller(`l${i}`, RATE, 0);
  assert.equal(all.size, 100);
  assert.equal(small.size, 5, 'not at the cost of another function');
  for (let i = 5; i < 60; i++) small.takeOfCaller(`s${i}`, RATE, 0);
  assert.equal(all.size, 100);
  assert.equal(small.size, 50);
  large.close();
  large.close();
  assert.equal(all.size, 50);
});

test('callers whose bucket is full again are forgotten as others come', () => {
  const all = new CallerRates(1_000);
  const rates = all.ofFunction();
  for (let i = 0; i < 100; i++) rates.takeOfCaller(`a${i}`, RATE, 0);
  for (let i = 0; i < 100; i++) rates.takeOfCaller(`b${i}`, RATE, 10_000);
  assert.equal(all.size, 100);
});

test('a caller is its peer; behind a balancer of ours the last address that it wrote', () => {
  const forwarded = ['X-Forwarded-For', '6.6.6.6, 1.2.3.4', 'x-forwarded-for', '10.0.0.9'];
  const balancers = readRanges('trusted-proxies', ['10.0.0.0/8']);
  assert.equal(callerAddress('9.9.9.9', forwarded, balancers), '9.9.9.9', 'anybody may write the header');
  assert.equal(callerAddress('10.0.0.1', forwarded, undefined), '10.0.0.1');
  assert.equal(callerAddress('10.0.0.1', forwarded, balancers), '1.2.3.4');
  assert.equal(callerAddress('10.0.0.1', [], balancers), '10.0.0.1');
  const by = (text: string) => callerAddress('10.0.0.1', ['X-Forwarded-For', text], balancers);
  assert.equal(by('1.2.3.4:5678'), '1.2.3.4', 'of each of its connections');
  assert.equal(by('::ffff:1.2.3.4, 10.0.0.2'), '1.2.3.4');
  assert.equal(by('[2001:db8::1]:443'), '2001:db8:0:0::/64');
  assert.equal(by('made up, 10.0.0.2'), '10.0.0.1', 'no text of the caller’s own');
  assert.equal(callerAddress('2001:db8:1:2:3:4:5:6', [], undefined), '2001:db8:1:2::/64');
  assert.equal(callerAddress('2001:db8::1', [], undefined), '2001:db8:0:0::/64');
  assert.equal(callerAddress('::1', [], undefined), '0:0:0:0::/64');
  assert.throws(() => readRanges('trusted-proxies', ['ten']), /--trusted-proxies: "ten" is not allowed/);
});

test('--rate-limit has the form of the annotation', () => {
  assert.equal(readRateFlag(''), undefined);
  assert.deepEqual(readRateFlag('{"PerCaller":{"Rate":2.5}}'), {
    perCaller: { ratePerSecond: 2.5, burst: 3 },
    perFunction: undefined,
  });
  assert.throws(
    () => readRateFlag('{"PerCaller":{"Rate":-1}}'),
    (error) => {
      assert.ok(error instanceof UsageError);
      assert.match(error.message, /--rate-limit: -1: PerCaller\.Rate is not allowed; allowed: a number/);
      return true;
    },
  );
});

test('a caller of a function that is gone takes no place', () => {
  const all = new CallerRates(1);
  const gone = all.ofFunction();
  gone.takeOfCaller('a', RATE, 0);
  gone.close();
  assert.equal(gone.takeOfCaller('b', RATE, 0), 0, 'its token was verified meanwhile');
  assert.equal(all.size, 0);
  all.ofFunction().takeOfCaller('c', RATE, 0);
  assert.equal(all.size, 1);
});
