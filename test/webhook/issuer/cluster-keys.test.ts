import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setImmediate as turn } from 'node:timers/promises';
import { silentLog } from '../../../common/runtime/log.ts';
import { clusterKeys } from '../../../webhook/issuer/cluster-keys.ts';
import { readPublishedKeys } from '../../../webhook/kube.ts';
import type { PublishedKeys } from '../../../webhook/issuer/verify-token.ts';
import { configFor, startLocalApi } from '../../helpers/local-api.ts';
import { WEBHOOK_ACCOUNT } from '../cluster.ts';

function keysOf(issuer: string): PublishedKeys {
  return { issuer, jwks: { keys: [] } };
}

function world() {
  const state = { nowMs: 1_000_000, reads: 0, isAway: false };
  const read = async () => {
    state.reads++;
    await turn();
    if (state.isAway) throw new Error('API server is away');
    return keysOf(`read ${state.reads}`);
  };
  return { state, keys: clusterKeys({ read, now: () => state.nowMs, log: silentLog }) };
}

describe("the cluster's keys", () => {
  it('are read once for all who ask, and kept', async () => {
    const { state, keys } = world();
    const all = await Promise.all([keys.current(), keys.current(), keys.refresh()]);
    assert.deepEqual(new Set(all.map((found) => found?.issuer)), new Set(['read 1']));
    await keys.current();
    assert.equal(state.reads, 1);
  });

  it('are read again after a while, beside what goes on', async () => {
    const { state, keys } = world();
    await keys.current();
    state.nowMs += 600_001;
    assert.equal((await keys.current()).issuer, 'read 1');
    await turn();
    await turn();
    assert.equal((await keys.current()).issuer, 'read 2');
  });

  it('stay in force while the API server is away', async () => {
    const { state, keys } = world();
    await keys.current();
    state.isAway = true;
    state.nowMs += 86_400_000;
    await keys.current();
    await turn();
    await turn();
    assert.equal((await keys.current()).issuer, 'read 1');
  });

  it('are not there when the API server never was, and are as soon as it is', async () => {
    const { state, keys } = world();
    state.isAway = true;
    await assert.rejects(keys.current(), /away/);
    for (let i = 0; i < 100; i++) await assert.rejects(keys.current(), /a moment ago/);
    assert.equal(state.reads, 1, 'anybody may ask');
    state.isAway = false;
    state.nowMs += 501;
    assert.equal((await keys.current()).issuer, 'read 2');
  });

  it('are read at most every 5 s for tokens of unknown keys', async () => {
    const { state, keys } = world();
    await keys.current();
    for (let i = 0; i < 100; i++) assert.equal(await keys.refresh(), undefined);
    state.nowMs += 5_001;
    assert.equal((await keys.refresh())?.issuer, 'read 2');
    assert.equal(await keys.refresh(), undefined);
    assert.equal(state.reads, 2);
  });

  it('come from the API server, with the rights that every service account has', async (t) => {
    const server = await startLocalApi((release) => t.after(release));
    const { issuer, jwks } = await readPublishedKeys({ config: configFor(server, WEBHOOK_ACCOUNT) });
    assert.equal(issuer, 'https://kubernetes.default.svc');
    assert.equal(jwks.keys.length, 1);
  });
});
