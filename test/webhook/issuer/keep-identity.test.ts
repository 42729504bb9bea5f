import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLog } from '../../../common/runtime/log.ts';
import { isIssuedBy } from '../../../webhook/certificates/x509.ts';
import { grantFor, isGrant } from '../../../webhook/issuer/identity-keys.ts';
import { checkIdentity } from '../../../webhook/issuer/keep-identity.ts';
import { fakeStores, type FakeStores } from './identities.ts';

const DAY = 86_400_000;
const START = Date.parse('2026-03-01T12:00:00Z');
const POLICY = {
  dnsNames: ['slimfaas-nats.slimfaas.svc', 'slimfaas-issuer.slimfaas.svc'],
  authorityValidMs: 3_650 * DAY,
  certificateValidMs: 730 * DAY,
  settleMs: 180 * DAY,
};

function check({ stores }: FakeStores, nowMs = START) {
  return checkIdentity({ stores, policy: POLICY, now: () => nowMs, log: silentLog });
}

describe('keys of identities', () => {
  it('are the same for replicas that start at once', async () => {
    const fake = fakeStores();
    const found = await Promise.all([1, 2, 3].map(() => check(fake)));
    assert.equal(new Set(found.map(({ keys }) => keys.signer.seed)).size, 1);
    assert.equal(new Set(found.map(({ pair }) => pair.certificate)).size, 1);
    assert.equal(new Set(found.map(({ ca }) => ca)).size, 1);
    assert.equal(fake.writes.ok, 4, 'each object is written once');
    assert.ok(fake.writes.stale > 0, 'they did meet');
  });

  it('show NATS and the parts the public half alone', async () => {
    const fake = fakeStores();
    const { keys, pair, ca } = await check(fake);
    const shown = JSON.stringify([fake.cells.nats, fake.cells.ca]);
    const { operator, account, signer, functions, functionsSigner, systemAccount } = keys;
    const secrets = [operator, account, signer, functions, functionsSigner, systemAccount].map(
      ({ seed }) => seed,
    );
    for (const secret of [...secrets, keys.grantKey]) assert.ok(!shown.includes(secret));
    assert.equal(fake.cells.nats?.data['account'], keys.account.publicKey);
    assert.equal(fake.cells.nats?.data['tls.crt'], pair.certificate);
    assert.equal(fake.cells.ca?.data['ca.crt'], ca);
    assert.ok(isIssuedBy(pair.certificate, ca));
  });

  it('stay as they are when nothing is due, and write nothing', async () => {
    const fake = fakeStores();
    const first = await check(fake);
    const { ok } = fake.writes;
    const again = await check(fake, START + 100 * DAY);
    assert.equal(again.keys.signer.seed, first.keys.signer.seed);
    assert.equal(again.pair.certificate, first.pair.certificate);
    assert.equal(fake.writes.ok, ok);
  });

  it('one that is taken out of the Secret is made again, the others stay, and NATS is told', async () => {
    const fake = fakeStores();
    const first = await check(fake);
    const { 'signer.nk': _, ...rest } = fake.cells.keys?.data ?? {};
    fake.cells.keys = { version: 5, data: rest };
    const next = await check(fake);
    assert.notEqual(next.keys.signer.seed, first.keys.signer.seed);
    assert.equal(next.keys.account.seed, first.keys.account.seed);
    assert.equal(next.keys.grantKey, first.keys.grantKey);
    assert.match(configOf(fake), new RegExp(first.keys.account.publicKey));
    assert.ok((fake.cells.nats?.version ?? 0) > 1);
  });

  it('that another replica changes while one looks stay changed for NATS', async () => {
    const fake = fakeStores();
    await check(fake);
    const { keys } = fake.stores;
    let isFirst = true;
    const slow = {
      ...keys,
      async readSecret() {
        const old = await keys.readSecret();
        if (!isFirst) return old;
        isFirst = false;
        const { 'signer.nk': _, ...rest } = old.data;
        fake.cells.keys = { version: 5, data: rest };
        await check(fake); // the other replica makes a new one, and tells NATS
        return old;
      },
    };
    await check({ ...fake, stores: { ...fake.stores, keys: slow } });
    const told = configOf(fake);
    await check(fake);
    assert.equal(configOf(fake), told, 'nothing was left to mend');
  });

  it('of a version with one account get a second one; the first stays the one of all streams', async () => {
    const fake = fakeStores();
    const first = await check(fake);
    const { 'functions.nk': _, 'functions-signer.nk': __, ...old } = fake.cells.keys?.data ?? {};
    fake.cells.keys = { version: 1, data: old };
    const next = await check(fake);
    assert.equal(next.keys.account.seed, first.keys.account.seed);
    assert.equal(next.keys.signer.seed, first.keys.signer.seed);
    assert.equal(fake.cells.keys.data['functions.nk'], next.keys.functions.seed);
    assert.equal(fake.cells.nats?.data['account'], first.keys.account.publicKey);
    assert.match(configOf(fake), new RegExp(next.keys.functions.publicKey));
  });

  for (const [what, data] of [
    ['the account is missing', {}],
    ['the account is rubbish', { 'account.nk': 'SAXX' }],
  ] as const)
    it(`are not made again where ${what}: its streams would be lost`, async () => {
      const fake = fakeStores();
      fake.cells.keys = { version: 1, data };
      await assert.rejects(check(fake), /account\.nk/);
      assert.equal(fake.cells.keys.data, data);
    });

  it('a new CA is known half a year before it is used', async () => {
    const fake = fakeStores();
    const first = await check(fake);
    const later = START + 2_500 * DAY; // past two thirds of the CA's life
    // The certificate has been renewed in between, as it is while the webhook runs.
    for (let day = 400; day < 2_400; day += 200) await check(fake, START + day * DAY);
    const during = await check(fake, later);
    assert.equal(during.ca.match(/BEGIN/g)?.length, 2);
    assert.ok(during.ca.includes(first.ca));
    assert.ok(isIssuedBy(during.pair.certificate, first.ca));
    const after = await check(fake, later + 181 * DAY);
    assert.ok(!isIssuedBy(after.pair.certificate, first.ca));
  });
});

function configOf({ cells }: FakeStores): string {
  return cells.nats?.data['nats.conf'] ?? '';
}

describe('the proof of a function', () => {
  const shop = { namespace: 'team-a', serviceAccount: 'default', function: 'shop' };
  it('is good for that function of that namespace and service account alone', async () => {
    const { keys } = await check(fakeStores());
    const { keys: other } = await check(fakeStores());
    const grant = grantFor(keys.grantKey, shop);
    assert.ok(isGrant(keys.grantKey, shop, grant));
    for (const change of [{ namespace: 'team-b' }, { serviceAccount: 'x' }, { function: 'pay' }])
      assert.ok(!isGrant(keys.grantKey, { ...shop, ...change }, grant), JSON.stringify(change));
    assert.ok(!isGrant(other.grantKey, shop, grant));
    assert.ok(!isGrant(keys.grantKey, shop, ''));
    assert.ok(!isGrant(keys.grantKey, shop, `${grant}A`));
  });
});
