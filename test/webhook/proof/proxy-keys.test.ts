import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createNkey } from '../../../common/identity/nkey.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { checkProxyKeys } from '../../../webhook/proof/keep-proxy-keys.ts';
import { keyForPods, nextData } from '../../../webhook/proof/proxy-keys.ts';
import { createFakeCluster } from '../fake-cluster.ts';

const DAY = 86_400_000;
const POLICY = { days: 90, settleMs: 60_000 };
const START = Date.UTC(2026, 10, 28);

const made = (data: Record<string, string> = {}, nowMs = START) => nextData(data, POLICY, nowMs);

describe('keys of proxies', () => {
  it('the first is made at once and given to pods at once: there is no other', () => {
    const data = made() ?? {};
    assert.equal(Object.keys(data).length, 1);
    assert.match(keyForPods(data, POLICY, START) ?? '', /^U[A-Z2-7]{55}$/);
    assert.equal(made(data, START + 89 * DAY), undefined, 'and stays');
  });

  it('a new one comes when the newest is old, and the old ones stay for pods that know them', () => {
    const first = made() ?? {};
    const later = START + 90 * DAY;
    const data = made(first, later) ?? {};
    assert.equal(Object.keys(data).length, 2);
    const [name, seed] = Object.entries(first)[0] as [string, string];
    assert.equal(data[name], seed);
    const old = keyForPods(first, POLICY, later);
    assert.equal(keyForPods(data, POLICY, later + 59_999), old, 'until proxies have read the new one');
    assert.notEqual(keyForPods(data, POLICY, later + 60_000), old);
  });

  it('an operator asks for one by an entry, which goes with it', () => {
    const first = made() ?? {};
    const data = made({ ...first, rotate: 'now' }, START + 1_000) ?? {};
    assert.equal(Object.keys(data).length, 2);
    assert.ok(!('rotate' in data));
  });

  it('are at most 16: the oldest goes', () => {
    let data = made() ?? {};
    const [oldest] = Object.keys(data);
    for (let i = 1; i <= 20; i++) data = made({ ...data, rotate: '' }, START + i * 1_000) ?? {};
    assert.equal(Object.keys(data).length, 16);
    assert.ok(oldest !== undefined && !(oldest in data));
  });

  it('an entry that is no key is an error that names it, and a foreign entry is none of ours', () => {
    assert.throws(() => made({ 'key-1.nk': 'x' }), /key-1\.nk: not a key/);
    assert.throws(() => made({ 'key-1.nk': createNkey('account').seed }), /key-1\.nk: not the seed/);
    assert.equal(keyForPods({ note: 'x' }, POLICY, START), undefined);
  });

  it('replicas that start at once give pods the same one', async () => {
    const store = createFakeCluster();
    const deps = { store, policy: POLICY, now: () => START, log: silentLog };
    const found = await Promise.all([1, 2, 3].map(() => checkProxyKeys(deps)));
    assert.equal(new Set(found.map(({ key }) => key)).size, 1);
    assert.equal(store.writes.secret, 1);
    assert.ok(store.writes.stale > 0, 'they did meet');
  });

  it('a Secret that somebody deletes comes back with the keys that pods know, and with a new one', async () => {
    const store = createFakeCluster();
    let nowMs = START;
    const deps = { store, policy: POLICY, now: () => nowMs, log: silentLog };
    const first = await checkProxyKeys(deps);
    store.secret = undefined;
    nowMs += 1_000;
    const again = await checkProxyKeys(deps, first.data);
    assert.equal(Object.keys(again.data).length, 2);
    for (const [entry, seed] of Object.entries(first.data)) assert.equal(again.data[entry], seed);
    assert.equal(again.key, first.key, 'until proxies know the new one');
    assert.deepEqual(store.secret, { version: 1, data: again.data });
  });
});
