/** Keys that somebody publishes: how long they hold, and how often they are read. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { KeptKeys } from '../../../common/identity/kept-keys.ts';

function world() {
  const state = { now: 0, reads: 0, isAway: false, errors: 0 };
  const keys = new KeptKeys({
    read: async () => {
      state.reads += 1;
      await turn();
      if (state.isAway) throw new Error('away');
      return state.reads;
    },
    freshMs: 600_000,
    usableMs: 86_400_000,
    coolDownMs: 30_000,
    firstCoolDownMs: 1_000,
    onError: () => (state.errors += 1),
    now: () => state.now,
  });
  return { state, keys };
}

test('while they cannot be read they hold for their time and no longer, and then come back within a second', async () => {
  const { state, keys } = world();
  assert.equal(await keys.current(), 1);
  state.isAway = true;
  state.now = 86_400_000;
  assert.equal(await keys.current(), 1);
  await turn();
  await turn();
  assert.equal(state.errors, 1, 'they were tried, and nobody waited');
  state.now += 1_000;
  await assert.rejects(keys.current(), /away/);
  await assert.rejects(keys.current(), /a moment ago/);
  state.isAway = false;
  state.now += 1_000;
  assert.equal(await keys.current(), 4);
});

test('tokens of unknown keys have them read once in a while, for all at once', async () => {
  const { state, keys } = world();
  await keys.current();
  for (let i = 0; i < 100; i++) assert.equal(await keys.refresh(), undefined);
  state.now += 30_000;
  assert.deepEqual(await Promise.all([keys.refresh(), keys.refresh()]), [2, 2]);
  assert.equal(await keys.refresh(), undefined);
  assert.equal(state.reads, 2);
});

test('old ones are read again beside what goes on', async () => {
  const { state, keys } = world();
  await keys.current();
  state.now += 600_001;
  assert.deepEqual(await Promise.all([keys.current(), keys.current()]), [1, 1]);
  await turn();
  await turn();
  assert.equal(await keys.current(), 2);
  assert.equal(state.reads, 2);
});
