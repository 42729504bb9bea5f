/** When a sidecar gives memory back: on a turned clock, with a collection that is counted; and once with V8's own. */
import assert from 'node:assert/strict';
import { describe, it, type TestContext } from 'node:test';
import { returnReadBuffer, takeReadBuffer } from '../../../common/relay/target/read-buffers.ts';
import { giveMemoryBackWhenIdle } from '../../../sidecar/life/idle-memory.ts';
import { recordingLog } from '../../helpers/recording-log.ts';
import { waitFor } from '../../helpers/wait.ts';

interface World {
  ended: number;
  isBusy: boolean;
  collections: number;
  /** Lets `count` rounds of thirty seconds pass. */
  readonly rounds: (count: number) => void;
}

function idleWorld(t: TestContext): World {
  t.mock.timers.enable({ apis: ['setInterval'] });
  const world: World = {
    ended: 0,
    isBusy: false,
    collections: 0,
    rounds: (count) => {
      for (let i = 0; i < count; i++) t.mock.timers.tick(30_000);
    },
  };
  t.after(
    giveMemoryBackWhenIdle({
      isBusy: () => world.isBusy,
      ended: () => world.ended,
      collect: () => void (world.collections += 1),
      log: recordingLog().log,
    }),
  );
  return world;
}

describe('memory of an idle sidecar', () => {
  it('is given back once after a burst', (t) => {
    const world = idleWorld(t);
    world.ended = 1_000;
    world.rounds(1);
    assert.equal(world.collections, 0, 'calls ended in this round');
    world.rounds(1);
    assert.equal(world.collections, 1);
    world.rounds(20);
    assert.equal(world.collections, 1, 'nothing has happened since');
    world.ended = 2_000;
    world.rounds(2);
    assert.equal(world.collections, 2);
  });

  it('stays while calls come, and after a few calls', (t) => {
    const world = idleWorld(t);
    for (let i = 0; i < 10; i++) {
      world.ended += 5_000;
      world.rounds(1);
    }
    assert.equal(world.collections, 0);
    const few = idleWorldAfter(t, 999);
    few.rounds(10);
    assert.equal(few.collections, 0);
  });

  it('stays while a call runs or a WebSocket is open', (t) => {
    const world = idleWorld(t);
    world.isBusy = true;
    world.ended = 5_000;
    world.rounds(10);
    assert.equal(world.collections, 0);
    world.isBusy = false;
    world.rounds(1);
    assert.equal(world.collections, 1);
  });

  it('frees what nothing refers to', async (t) => {
    t.mock.timers.enable({ apis: ['setInterval'] });
    const kept = takeReadBuffer();
    returnReadBuffer(kept);
    let freed = false;
    const registry = new FinalizationRegistry(() => (freed = true));
    registry.register({ garbage: 'of a burst' }, undefined);
    t.after(giveMemoryBackWhenIdle({ isBusy: () => false, ended: () => 1_000, log: recordingLog().log }));
    t.mock.timers.tick(30_000);
    t.mock.timers.tick(30_000);
    await waitFor(() => freed, { what: 'the garbage is collected' });
    assert.notEqual(takeReadBuffer(), kept, 'read buffers are no longer kept');
  });
});

function idleWorldAfter(t: TestContext, ended: number): World {
  t.mock.timers.reset();
  const world = idleWorld(t);
  world.ended = ended;
  return world;
}
