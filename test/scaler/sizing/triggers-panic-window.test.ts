import { test } from 'node:test';
import assert from 'node:assert/strict';
import fc from 'fast-check';
import { CALM, panicStep, type PanicState } from '../../../scaler/sizing/panic-window.ts';
import { DEFAULT_TUNING } from '../../../scaler/sizing/tuning.ts';
import { createLoadWindow } from '../../../scaler/sizing/load-window.ts';

const SECOND = 1_000;

test('calm: the stable window decides, even where the short one wants a little more', () => {
  const { replicas, state } = panicStep(CALM, { stableReplicas: 4, panicReplicas: 7, readyReplicas: 4 }, 0);
  assert.equal(replicas, 4);
  assert.equal(state.isPanicking, false);
});

test('behaviour 35: twice the ready pods wanted by the short window is panic, and it decides at once', () => {
  const { replicas, state } = panicStep(CALM, { stableReplicas: 2, panicReplicas: 8, readyReplicas: 4 }, 0);
  assert.equal(replicas, 8);
  assert.equal(state.isPanicking, true);
});

test('no ready pod counts as one', () => {
  const { state } = panicStep(CALM, { stableReplicas: 1, panicReplicas: 1, readyReplicas: 0 }, 0);
  assert.equal(state.isPanicking, false);
  assert.equal(
    panicStep(CALM, { stableReplicas: 1, panicReplicas: 2, readyReplicas: 0 }, 0).state.isPanicking,
    true,
  );
});

test('in panic nothing goes down; a higher demand goes up; it ends a stable window after the last demand', () => {
  let state: PanicState = CALM;
  const step = (stable: number, panic: number, ready: number, second: number) => {
    const result = panicStep(
      state,
      { stableReplicas: stable, panicReplicas: panic, readyReplicas: ready },
      second * SECOND,
    );
    state = result.state;
    return result.replicas;
  };
  assert.equal(step(2, 10, 2, 0), 10);
  assert.equal(step(3, 1, 10, 5), 10, 'the load fell, the pods stay');
  assert.equal(step(3, 12, 10, 6), 12, 'more is wanted, though not twice');
  assert.equal(step(3, 1, 12, 59), 12);
  assert.equal(step(3, 1, 12, 60), 3, 'a minute after second 0');
  assert.equal(state.isPanicking, false);
});

test('each demand of twice the ready pods prolongs the panic', () => {
  let state = panicStep(CALM, { stableReplicas: 1, panicReplicas: 4, readyReplicas: 2 }, 0).state;
  state = panicStep(state, { stableReplicas: 1, panicReplicas: 4, readyReplicas: 2 }, 50 * SECOND).state;
  assert.equal(
    panicStep(state, { stableReplicas: 1, panicReplicas: 1, readyReplicas: 4 }, 100 * SECOND).replicas,
    4,
  );
  assert.equal(
    panicStep(state, { stableReplicas: 1, panicReplicas: 1, readyReplicas: 4 }, 110 * SECOND).replicas,
    1,
  );
});

test('behaviour 36: without data there is no answer, in panic the peak stays', () => {
  const nothing = { stableReplicas: undefined, panicReplicas: undefined, readyReplicas: 3 };
  assert.equal(panicStep(CALM, nothing, 0).replicas, undefined);
  const { state } = panicStep(CALM, { stableReplicas: 1, panicReplicas: 6, readyReplicas: 3 }, 0);
  assert.equal(panicStep(state, nothing, SECOND).replicas, 6);
});

test('a clock that jumps back an hour ends the panic instead of keeping it for an hour', () => {
  const { state } = panicStep(
    CALM,
    { stableReplicas: 1, panicReplicas: 6, readyReplicas: 3 },
    3_600 * SECOND,
  );
  assert.equal(panicStep(state, { stableReplicas: 1, panicReplicas: 1, readyReplicas: 6 }, 0).replicas, 1);
});

test('in panic the answer never falls, whatever the load does', () => {
  const load = fc.array(fc.tuple(fc.nat(30), fc.nat(30), fc.integer({ min: 1, max: 10 })), { minLength: 2 });
  fc.assert(
    fc.property(load, (steps) => {
      let state: PanicState = CALM;
      let last = 0;
      for (const [i, [stable, panic, ready]] of steps.entries()) {
        const wasPanicking = state.isPanicking;
        const result = panicStep(
          state,
          { stableReplicas: stable, panicReplicas: panic, readyReplicas: ready },
          i * SECOND,
        );
        if (wasPanicking && result.state.isPanicking) assert.ok((result.replicas ?? 0) >= last);
        assert.ok((result.replicas ?? 0) >= stable, 'never less than the stable window wants');
        state = result.state;
        last = result.replicas ?? 0;
      }
    }),
  );
});

test('a load window averages over what was seen', () => {
  const window = createLoadWindow(DEFAULT_TUNING.stableWindowMs);
  assert.equal(window.average(6 * SECOND, 0), undefined);
  for (let s = 0; s < 60; s++) window.record(s < 54 ? 0 : 10, s * SECOND);
  assert.equal(window.average(6 * SECOND, 59 * SECOND), 10);
  assert.equal(window.average(60 * SECOND, 59 * SECOND), 1, '6 of 60 seconds at 10');
});

test('a second without a record is missing, not nothing', () => {
  const window = createLoadWindow(DEFAULT_TUNING.stableWindowMs);
  window.record(8, 10 * SECOND);
  window.record(4, 14 * SECOND);
  assert.equal(window.average(6 * SECOND, 14 * SECOND), 6);
  assert.equal(window.average(6 * SECOND, 19 * SECOND), 4, 'second 10 has left the window');
  assert.equal(window.average(6 * SECOND, 20 * SECOND), undefined);
});

test('several records within a second average, bad ones are left out, the ring forgets', () => {
  const window = createLoadWindow(10 * SECOND);
  for (const value of [2, 4, Number.NaN, -1, undefined, Infinity]) window.record(value, 500);
  assert.equal(window.average(10 * SECOND, 900), 3);
  window.record(9, 10_500);
  assert.equal(window.average(10 * SECOND, 10_900), 9, 'the place of second 0 is second 10’s now');
  assert.throws(() => createLoadWindow(0), RangeError);
});
