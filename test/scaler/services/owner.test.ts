/** The owner of the EndpointSlices, as it is now. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLog } from '../../../common/runtime/log.ts';
import { followOwner } from '../../../scaler/services/owner.ts';
import type { SliceOwner } from '../../../scaler/services/service-keeper.ts';

/** An API server in this process. */
function api(name = 'slimfaas-services') {
  const state = { uid: 'first', failure: undefined as unknown, reads: 0, now: 0 };
  const read = async () => {
    state.reads += 1;
    if (state.failure !== undefined) throw state.failure;
    return { apiVersion: 'v1', kind: 'ClusterRole', name, uid: state.uid };
  };
  const owner = followOwner({ name, read, now: () => state.now, log: silentLog });
  /** After so long, with the answer to what is asked then. */
  const after = async (ms: number): Promise<SliceOwner> => {
    state.now += ms;
    owner();
    await new Promise((resolve) => setImmediate(resolve));
    return owner();
  };
  return { state, owner, after };
}

const uidOf = (owner: SliceOwner) => (typeof owner === 'object' ? owner.uid : owner);

test('it is read when it is needed first; none is needed without a name', async () => {
  const { state, owner, after } = api();
  assert.equal(state.reads, 0);
  assert.equal(owner(), undefined);
  assert.equal(uidOf(await after(0)), 'first');
  assert.equal(await api('').after(0), 'none');
});

test('one that was deleted and made again is known by its new uid within ten seconds, with few reads', async () => {
  const { state, after } = api();
  await after(0);
  state.uid = 'second';
  for (let i = 0; i < 49; i++) assert.equal(uidOf(await after(200)), 'first');
  assert.equal(uidOf(await after(200)), 'second');
  assert.equal(state.reads, 2);
});

test('one that is not there, or may not be read, is nobody’s; an API server that is away changes nothing', async () => {
  const { state, after } = api();
  await after(0);
  state.failure = new Error('connect ECONNREFUSED');
  assert.equal(uidOf(await after(10_000)), 'first');
  for (const code of [403, 404]) {
    state.failure = Object.assign(new Error('refused'), { code });
    assert.equal(await after(10_000), 'unreadable');
  }
  state.failure = undefined;
  assert.equal(uidOf(await after(10_000)), 'first');
});

test('one that was never read is unreadable, whatever the reason', async () => {
  const { state, after } = api();
  state.failure = new Error('connect ECONNREFUSED');
  assert.equal(await after(0), 'unreadable');
});
