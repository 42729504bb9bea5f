/** After all that the other files did: nobody of us has asked NATS for anything that its identity may not have. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { openWorld, refusedOnNats } from './harness/world.ts';

const world = await openWorld();

it('NATS has refused nothing since it started', async () => {
  assert.deepEqual(await refusedOnNats(world, world.release.system), []);
});
