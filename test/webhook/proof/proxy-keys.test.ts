import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createNkey } from '../../../common/identity/nkey.ts';
import { silentLog } from '../../../common/runtime/log.ts';
import { checkProxyKeys } from '../../../webhook/proof/keep-proxy-keys.ts';
import { keyForPods, nextData } from '../../../webhook/proof/proxy-keys.ts';
import { recordingLog } from '../../helpers/recording-log.ts';
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

  it('a foreign entry is none of ours', () => {
    assert.equal(keyForPods({ note: 'x' }, POLICY, START), undefined);
  });

  it('an entry that is no key is left out, the log names it, and pods get another', async () => {
    const store = createFakeCluster();
    const { log, lines } = recordingLog();
    const deps = { store, policy: POLICY, now: () => START, log };
    const wrong = { 'key-1.nk': 'x', 'key-2.nk': createNkey('account').seed };
    store.secret = { version: 1, data: wrong };
    assert.match((await checkProxyKeys(deps)).key, /^U[A-Z2-7]{55}$/);
    const errors = lines.filter(({ level }) => level === 'error').map(({ fields }) => fields['error']);
    assert.equal(errors.length, 2);
    assert.match(String(errors[0]), /^key-1\.nk: not a key/);
    assert.match(String(errors[1]), /^key-2\.nk: not the seed/);
    const [good] = Object.values(made() ?? {}) as [string];
    store.secret = { version: 5, data: { ...wrong, [`key-${START}.nk`]: good } };
    assert.equal((await checkProxyKeys(deps)).data[`key-${START}.nk`], good);
    assert.equal(store.secret.version, 5, 'beside a good one nothing is written');
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
    const again = await checkProxyKeys(deps, first);
    assert.equal(Object.keys(again.data).length, 2);
    for (const [entry, seed] of Object.entries(first.data)) assert.equal(again.data[entry], seed);
    assert.equal(again.key, first.key, 'until proxies know the new one');
    assert.deepEqual(store.secret, { version: 1, data: again.data });
  });

  it('a deleted Secret that a new replica has made again gets the keys that the others know', async () => {
    const store = createFakeCluster();
    let nowMs = START;
    const deps = { store, policy: POLICY, now: () => nowMs, log: silentLog };
    const first = await checkProxyKeys(deps);
    store.secret = undefined;
    nowMs += 1_000;
    await checkProxyKeys(deps);
    const again = await checkProxyKeys(deps, first);
    assert.equal(Object.keys(again.data).length, 2);
    for (const [entry, seed] of Object.entries(first.data)) assert.equal(again.data[entry], seed);
    assert.deepEqual(store.secret, { version: 2, data: again.data });
    let many = again;
    for (let i = 1; i <= 15; i++) {
      nowMs += 1_000;
      store.secret = { version: 1, data: { ...many.data, rotate: '' } };
      many = await checkProxyKeys(deps, many);
    }
    store.secret = undefined;
    nowMs += 1_000;
    await checkProxyKeys(deps);
    assert.equal(Object.keys((await checkProxyKeys(deps, many)).data).length, 16, 'at most');
  });

  it('an entry that somebody takes out, as its key was stolen, stays out', async () => {
    const store = createFakeCluster();
    const deps = { store, policy: POLICY, now: () => START, log: silentLog };
    await checkProxyKeys(deps);
    const later = { ...deps, now: () => START + 91 * DAY };
    const two = await checkProxyKeys(later, await checkProxyKeys(deps));
    const [stolen, kept] = Object.entries(two.data) as [[string, string], [string, string]];
    store.secret = { version: 9, data: Object.fromEntries([kept]) };
    const after = await checkProxyKeys(later, two);
    assert.ok(!(stolen[0] in after.data));
    assert.equal(store.secret.version, 9);
  });
});
