import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { waitFor } from '../../../helpers/wait.ts';
import { CoarseClock, isOver, type Use } from '../../../../common/relay/exchange/clock.ts';

/** A clock over a time that the test sets; its ticks are real. */
function testClock(use: () => Use) {
  const sweeps: number[] = [];
  const time = { ms: 0 };
  const clock = new CoarseClock(
    (now) => {
      sweeps.push(now);
      return use();
    },
    () => time.ms,
  );
  return { clock, sweeps, time };
}

describe('the coarse clock', () => {
  it('does nothing until it is touched', async () => {
    const { clock, sweeps } = testClock(() => 'nothing');
    await new Promise((resolve) => setTimeout(resolve, 60));
    assert.equal(sweeps.length, 0);
    clock.stop();
  });

  it('follows the time while something is going on', async () => {
    const { clock, sweeps, time } = testClock(() => 'busy');
    clock.touch();
    time.ms = 30;
    await waitFor(() => sweeps.length > 0, { what: 'a tick' });
    assert.equal(clock.now, 30);
    assert.ok(clock.start > clock.now, 'a deadline may be late but not early');
    clock.stop();
  });

  it('counts a stall of this process for a quarter of a second at most', async () => {
    const { clock, sweeps, time } = testClock(() => 'busy');
    clock.touch();
    time.ms = 60_000;
    await waitFor(() => sweeps.length > 0, { what: 'a tick' });
    assert.equal(clock.now, 250);
    clock.stop();
  });

  it('rests when nothing is open, and a touch wakes it', async () => {
    const { clock, sweeps, time } = testClock(() => 'nothing');
    clock.touch();
    // Six steps of at most 250 ms are more than the second that it lingers.
    await waitFor(
      () => {
        time.ms += 250;
        return clock.now >= 1_000;
      },
      { what: 'a second without use' },
    );
    await new Promise((resolve) => setTimeout(resolve, 60));
    const { length } = sweeps;
    await new Promise((resolve) => setTimeout(resolve, 60));
    assert.equal(sweeps.length, length);
    clock.touch();
    await waitFor(() => sweeps.length > length, { what: 'ticks again' });
    clock.stop();
  });

  it('counts the part of a slow tick after which it is touched', async () => {
    const { clock, sweeps, time } = testClock(() => 'open');
    clock.touch();
    await waitFor(
      () => {
        time.ms += 250;
        return clock.now >= 1_000;
      },
      { what: 'a second without use: it ticks slowly now' },
    );
    const { length } = sweeps;
    const before = clock.now;
    time.ms += 700;
    clock.touch();
    assert.equal(sweeps.length, length, 'no tick has come between');
    assert.ok(clock.now - before >= 700);
    clock.stop();
  });

  it('takes 0 and undefined for no deadline', () => {
    assert.equal(isOver(0, 0, 1e9), false);
    assert.equal(isOver(0, undefined, 1e9), false);
    assert.equal(isOver(0, 100, 99), false);
    assert.equal(isOver(0, 100, 100), true);
  });
});
