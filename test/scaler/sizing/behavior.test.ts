import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { DEFAULT_SCALE_DOWN, DEFAULT_SCALE_UP } from '../../../common/function/annotations/scaling/scale.ts';
import type { ScaleDirection, ScalePolicy } from '../../../common/function/spec.ts';
import {
  applyBehavior,
  NO_HISTORY,
  recordChange,
  type BehaviorHistory,
  type BehaviorInput,
} from '../../../scaler/sizing/behavior.ts';

const SECOND = 1_000;

function direction(policies: readonly ScalePolicy[], more: Partial<ScaleDirection> = {}): ScaleDirection {
  return { stabilizationWindowSeconds: 0, selectPolicy: 'Max', policies, ...more };
}

const pods = (value: number, periodSeconds = 15): ScalePolicy => ({ type: 'Pods', value, periodSeconds });
const percent = (value: number, periodSeconds = 15): ScalePolicy => ({
  type: 'Percent',
  value,
  periodSeconds,
});
const FREE = direction([percent(1_000_000), pods(1_000_000)]);

function input(current: number, desired: number, more: Partial<BehaviorInput> = {}): BehaviorInput {
  return { current, desired, min: 0, max: 1_000, scaleUp: FREE, scaleDown: FREE, ...more };
}

/** A scaler that does what it is told: one step a second, desired from the list, changes recorded. */
function run(start: number, desired: readonly number[], more: Partial<BehaviorInput>): number[] {
  let [current, history, now] = [start, NO_HISTORY as BehaviorHistory, 0];
  return desired.map((wanted) => {
    now += SECOND;
    const step = applyBehavior(input(current, wanted, more), history, now);
    history = recordChange(step.history, { from: current, to: step.replicas }, now);
    current = step.replicas;
    return current;
  });
}

const times = (count: number, value: number) => Array.from({ length: count }, () => value);

/** policies, selectPolicy, current, desired, allowed, why. */
const ONE_STEP: readonly [
  readonly ScalePolicy[],
  ScaleDirection['selectPolicy'],
  number,
  number,
  number,
  string,
][] = [
  [[percent(100), pods(4)], 'Max', 1, 50, 5, '4 pods are more than 100 % of 1'],
  [[percent(100), pods(4)], 'Max', 10, 50, 20, '100 % of 10 is more than 4 pods'],
  [[percent(100), pods(4)], 'Min', 10, 50, 14, 'the smallest change'],
  [[percent(10)], 'Max', 5, 50, 6, 'ceil(5.5)'],
  [[pods(4)], 'Disabled', 5, 50, 5, 'disabled'],
  [[pods(4)], 'Max', 5, 7, 7, 'less wanted than allowed'],
  [[percent(50)], 'Max', 10, 0, 5, 'down by half'],
  [[percent(50)], 'Max', 5, 0, 2, 'down to the whole part of 2.5'],
  [[percent(10)], 'Max', 5, 0, 4, 'down to the whole part of 4.5'],
  [[percent(100)], 'Max', 7, 0, 0, 'down by all'],
  [[pods(5), percent(10)], 'Max', 80, 10, 72, '10 % of 80 is more than 5 pods'],
  [[pods(5), percent(10)], 'Max', 40, 10, 35, '5 pods are more than 10 % of 40'],
  [[pods(5), percent(10)], 'Min', 40, 10, 36, 'the smallest change down'],
  [[pods(3)], 'Disabled', 40, 10, 40, 'disabled down'],
  [[pods(9)], 'Max', 4, 0, 0, 'never below none'],
];

for (const [policies, selectPolicy, current, desired, allowed, why] of ONE_STEP) {
  const text = policies.map((policy) => `${policy.value} ${policy.type}`).join(', ');
  test(`${current} → ${desired} by ${text} (${selectPolicy}): ${allowed} (${why})`, () => {
    const rule = direction(policies, { selectPolicy });
    const more = { scaleUp: rule, scaleDown: direction(policies, { selectPolicy }) };
    // The history begins before, lest the first recommendation count.
    const { history } = applyBehavior(input(current, desired, more), NO_HISTORY, 0);
    const result = applyBehavior(input(current, desired, more), history, SECOND);
    assert.equal(result.replicas, allowed);
    assert.equal(result.limitedBy, allowed === desired ? 'nothing' : 'policy');
  });
}

test('a policy counts what was added within its period, and no more once that is over', () => {
  const more = { scaleUp: direction([pods(4, 10)]) };
  const counts = run(1, times(25, 100), more);
  assert.deepEqual(counts.slice(0, 10), times(10, 5), 'four within the first ten seconds');
  assert.equal(counts[10], 9, 'four more when the first four are ten seconds old');
  assert.equal(counts[19], 9);
  assert.equal(counts[20], 13);
});

test('a percentage counts from where the period began: 100 % doubles once, not each second', () => {
  const counts = run(2, times(16, 1_000), { scaleUp: direction([percent(100, 15)]) });
  assert.deepEqual(counts.slice(0, 15), times(15, 4));
  assert.equal(counts[15], 8);
});

test('what went down within the period may come back: the start of the period counts', () => {
  const rules = { scaleUp: direction([pods(1, 60)]), scaleDown: FREE };
  let history = applyBehavior(input(10, 10, rules), NO_HISTORY, 0).history;
  history = recordChange(history, { from: 10, to: 4 }, SECOND);
  assert.equal(applyBehavior(input(4, 50, rules), history, 2 * SECOND).replicas, 11);
});

test('behaviour 35: a spike goes up at once and comes down only when the window has passed', () => {
  const scaleDown = direction([percent(100)], { stabilizationWindowSeconds: 300 });
  const counts = run(2, [20, ...times(310, 2)], { scaleDown });
  assert.equal(counts[0], 20);
  assert.deepEqual(counts.slice(1, 300), times(299, 20), 'held for the window');
  assert.equal(counts[300], 2, 'down 300 s after the spike');
});

test('the down window holds the largest recommendation in it, and follows when that one leaves', () => {
  const scaleDown = direction([percent(100)], { stabilizationWindowSeconds: 10 });
  const counts = run(1, [8, 6, 6, 6, 4, ...times(12, 1)], { scaleDown });
  assert.equal(counts[9], 8);
  assert.equal(counts[10], 6);
  assert.equal(counts[12], 6);
  assert.equal(counts[13], 4, 'the last 6, of second 4, has left');
  assert.equal(counts[14], 1);
});

test('the up window waits until the whole window has wanted more', () => {
  const scaleUp = direction([pods(100)], { stabilizationWindowSeconds: 5 });
  assert.deepEqual(run(1, [1, 9, 9, 9, 2, ...times(5, 9)], { scaleUp }), [1, 1, 1, 1, 1, 2, 2, 2, 2, 9]);
});

test('behaviour 20: a scaler that has just begun takes what runs for its first recommendation', () => {
  const result = applyBehavior(input(7, 1, { scaleDown: DEFAULT_SCALE_DOWN }), NO_HISTORY, 5 * SECOND);
  assert.equal(result.replicas, 7);
  assert.equal(result.limitedBy, 'stabilization');
});

test('bounds hold over everything: a count outside them returns at once, whatever the policies say', () => {
  const never = direction([pods(1)], { selectPolicy: 'Disabled', stabilizationWindowSeconds: 300 });
  const more = { scaleUp: never, scaleDown: never, min: 2, max: 5 };
  assert.equal(applyBehavior(input(9, 9, more), NO_HISTORY, 0).replicas, 5);
  assert.equal(applyBehavior(input(0, 0, more), NO_HISTORY, 0).replicas, 2);
  const capped = applyBehavior(input(5, 50, { max: 5 }), NO_HISTORY, 0);
  assert.equal(capped.replicas, 5);
  assert.equal(capped.limitedBy, 'bounds');
});

test('a clock that jumps back does not freeze the count until it has caught up', () => {
  const scaleDown = direction([percent(100)], { stabilizationWindowSeconds: 10 });
  let history = applyBehavior(input(9, 9, { scaleDown }), NO_HISTORY, 3_600 * SECOND).history;
  for (let s = 0; s <= 10; s++) {
    history = applyBehavior(input(9, 1, { scaleDown }), history, s * SECOND).history;
  }
  assert.equal(applyBehavior(input(9, 1, { scaleDown }), history, 11 * SECOND).replicas, 1);
});

test('no change is no entry in the history', () => {
  assert.equal(recordChange(NO_HISTORY, { from: 3, to: 3 }, 0), NO_HISTORY);
});

test('the history stays small under steady load and bounded under any', () => {
  const more = { scaleUp: DEFAULT_SCALE_UP, scaleDown: DEFAULT_SCALE_DOWN };
  let history: BehaviorHistory = NO_HISTORY;
  for (let s = 0; s < 1_000; s++) history = applyBehavior(input(5, 5, more), history, s * SECOND).history;
  assert.equal(history.highs.length + history.lows.length, 2);
  for (let s = 1_000; s < 3_000; s++) {
    history = applyBehavior(input(5, 5_000 - s, more), history, s * SECOND).history;
    history = recordChange(history, { from: 5, to: 6 }, s * SECOND);
  }
  assert.ok(history.highs.length <= 301, `${history.highs.length} highs in a window of 300 s`);
  assert.ok(history.ups.length <= 16, `${history.ups.length} changes in a period of 15 s`);
});

const anyDirection = fc.record({
  stabilizationWindowSeconds: fc.nat(30),
  selectPolicy: fc.constantFrom('Max' as const, 'Min' as const, 'Disabled' as const),
  policies: fc.array(
    fc.record({
      type: fc.constantFrom('Percent' as const, 'Pods' as const),
      value: fc.integer({ min: 1, max: 200 }),
      periodSeconds: fc.integer({ min: 1, max: 60 }),
    }),
    { minLength: 1, maxLength: 3 },
  ),
});

test('whatever is wanted when: within bounds, never beyond what is wanted, no change against the direction', () => {
  const anyHistory = fc.array(fc.tuple(fc.nat(40), fc.integer({ min: 1, max: 20 })), {
    minLength: 1,
    maxLength: 40,
  });
  fc.assert(
    fc.property(anyHistory, anyDirection, anyDirection, fc.nat(20), (steps, scaleUp, scaleDown, start) => {
      const [min, max] = [1, 30];
      let [current, history, now] = [Math.max(min, start), NO_HISTORY as BehaviorHistory, 0];
      const wanted: number[] = [current];
      for (const [desired, seconds] of steps) {
        now += seconds * SECOND;
        wanted.push(Math.max(min, Math.min(max, desired)));
        const { replicas, history: next } = applyBehavior(
          { current, desired, min, max, scaleUp, scaleDown },
          history,
          now,
        );
        assert.ok(Number.isSafeInteger(replicas) && replicas >= min && replicas <= max);
        if (replicas > current) assert.ok(replicas <= Math.max(...wanted), 'up only to what was wanted');
        if (replicas < current) assert.ok(replicas >= Math.min(...wanted), 'down only to what was wanted');
        history = recordChange(next, { from: current, to: replicas }, now);
        current = replicas;
      }
    }),
    { numRuns: 500 },
  );
});

test('the windows answer as a plain list of all recommendations would', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.nat(20), fc.integer({ min: 1, max: 9 })), { minLength: 1, maxLength: 60 }),
      fc.nat(30),
      (steps, window) => {
        const scaleDown = direction([percent(100)], { stabilizationWindowSeconds: window });
        const list: { at: number; wanted: number }[] = [{ at: SECOND, wanted: 20 }];
        let [current, history, now] = [20, NO_HISTORY as BehaviorHistory, 0];
        for (const [desired, seconds] of steps) {
          now += seconds * SECOND;
          if (list.length === 1) (list[0] as { at: number }).at = now;
          list.push({ at: now, wanted: desired });
          const inside = list.filter(({ at }, i) => at > now - window * SECOND || i === list.length - 1);
          const highest = Math.max(...inside.map(({ wanted }) => wanted));
          const expected = desired > current ? desired : Math.min(current, highest);
          const result = applyBehavior(input(current, desired, { scaleDown }), history, now);
          assert.equal(result.replicas, expected);
          history = result.history;
          current = result.replicas;
        }
      },
    ),
    { numRuns: 500 },
  );
});
