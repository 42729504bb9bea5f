/** Canaries are not judged by chance, and bad ones go soon all the same. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CallTally } from '../../../common/call/call-counts.ts';
import { canCompareTimes, whyByErrors, whyByTimes } from '../../../scaler/canaries/judge.ts';
import { seededRandom } from '../../sidecar/direct/seeded.ts';

const MARGINS = { errorMarginPercent: 5, latencyMarginPercent: 50 };

function why(canary: CallTally, stable: CallTally): string | undefined {
  return whyByErrors(canary, stable, MARGINS, 'shop') ?? whyByTimes(canary, stable, MARGINS, 'shop');
}

function quick(calls: number): CallTally {
  const made = new CallTally();
  for (let i = 0; i < calls; i++) made.note(false, 10);
  return made;
}

describe('chance', () => {
  /** Calls whose durations have a long tail. */
  function drawn(random: () => number, calls: number, rate: number, meanMs = 100): CallTally {
    const made = new CallTally();
    for (let i = 0; i < calls; i++) made.note(random() < rate, -meanMs * Math.log(1 - random()));
    return made;
  }

  for (const [calls, others] of [
    [10, 90],
    [10, 10],
    [100, 100],
    [100, 900],
  ] as const)
    it(`rolls no canary back that is as good, of ${calls} and ${others} calls`, () => {
      const random = seededRandom(calls + others);
      for (let window = 0; window < 1_000; window++) {
        const told = why(drawn(random, calls, 0.05), drawn(random, others, 0.05));
        assert.equal(told, undefined, `window ${window}`);
      }
    });

  it('saves no bad one for long', () => {
    const random = seededRandom(7);
    const windows = (calls: number, rate: number, meanMs?: number): number => {
      for (let window = 1; ; window++)
        if (why(drawn(random, calls, rate, meanMs), drawn(random, 9 * calls, 0.05))) return window;
    };
    for (let run = 0; run < 100; run++) {
      assert.equal(windows(10, 1), 1, 'all calls fail');
      assert.ok(windows(10, 0.5) <= 40, 'half of them fail');
      assert.ok(windows(100, 0.3) <= 4, 'a third of 100');
      assert.ok(windows(100, 0.05, 300) <= 2, 'three times as slow');
    }
  });

  it('compares durations once both have 100 calls', () => {
    assert.ok(canCompareTimes(quick(100), quick(100)));
    assert.ok(!canCompareTimes(quick(99), quick(100)));
    assert.ok(!canCompareTimes(quick(100), quick(99)));
  });
});
