import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { silentLog } from '../../../common/runtime/log.ts';
import type { CertificateSource } from '../../../common/tls/key-pair.ts';
import { ownCertificates } from '../../../webhook/certificates/own-certificates.ts';
import { expiryOf, isIssuedBy, splitBundle } from '../../../webhook/certificates/x509.ts';
import { createFakeCluster, type FakeCluster } from '../fake-cluster.ts';

const MINUTE = 60_000;
const POLICY = {
  dnsNames: ['slimfaas-webhook.slimfaas.svc'],
  authorityValidMs: 60 * MINUTE,
  certificateValidMs: 18 * MINUTE,
  settleMs: MINUTE,
};
const START = Date.parse('2026-03-01T12:00:00Z');

function replica(cluster: FakeCluster, now: () => number = () => START): CertificateSource {
  return ownCertificates({ cluster, policy: POLICY, now, log: silentLog });
}

describe('replicas that share a Secret', () => {
  it('starting at once serve the same certificate, and caBundle trusts it', async () => {
    const cluster = createFakeCluster();
    const served = await Promise.all([1, 2, 3].map(() => replica(cluster).check()));
    assert.equal(new Set(served.map(({ certificate }) => certificate)).size, 1);
    assert.equal(cluster.writes.secret, 1, 'one made it, the others found it');
    assert.ok(cluster.writes.stale > 0, 'they did meet');
    const [authority] = splitBundle(cluster.bundle);
    assert.ok(authority && isIssuedBy(served[0]?.certificate ?? '', authority));
  });

  it('write nothing when nothing is due', async () => {
    const cluster = createFakeCluster();
    const source = replica(cluster);
    const first = await source.check();
    const writes = { ...cluster.writes };
    assert.deepEqual(await source.check(), first);
    assert.deepEqual(cluster.writes, writes);
  });

  it('put caBundle right again when somebody emptied it', async () => {
    const cluster = createFakeCluster();
    const source = replica(cluster);
    await source.check();
    const { bundle } = cluster;
    cluster.bundle = '';
    await source.check();
    assert.equal(cluster.bundle, bundle);
  });

  for (const [name, data] of [
    ['empty', {}],
    ['rubbish', { 'ca.crt': 'no', 'ca.key': 'no', 'ca-since': 'no', 'tls.crt': 'no', 'tls.key': 'no' }],
  ] as const)
    it(`make a Secret again that is ${name}`, async () => {
      const cluster = createFakeCluster();
      cluster.secret = { version: 7, data };
      const { certificate } = await replica(cluster).check();
      assert.ok(expiryOf(certificate) > START);
      assert.equal(cluster.secret.version, 8);
    });

  for (const value of ['', 'rubbish'])
    it(`make another certificate of the same CA where its key is ${JSON.stringify(value)}`, async () => {
      const cluster = createFakeCluster();
      const source = replica(cluster);
      const before = await source.check();
      const { bundle } = cluster;
      cluster.secret = { version: 7, data: { ...cluster.secret?.data, 'tls.key': value } };
      const after = await source.check();
      assert.notEqual(after.certificate, before.certificate);
      assert.equal(cluster.bundle, bundle);
      assert.ok(isIssuedBy(after.certificate, splitBundle(bundle)[0] ?? ''));
    });

  it('make another CA where its key is taken out; the old one stays trusted, and signs until it is known', async () => {
    const cluster = createFakeCluster();
    let now = START;
    const source = replica(cluster, () => now);
    const before = await source.check();
    const [old = ''] = splitBundle(cluster.bundle);
    const { 'ca.key': _, ...rest } = cluster.secret?.data ?? {};
    cluster.secret = { version: 7, data: rest };
    assert.equal((await source.check()).certificate, before.certificate);
    const [next = ''] = splitBundle(cluster.bundle);
    assert.deepEqual(splitBundle(cluster.bundle), [next, old]);
    now += MINUTE;
    const after = await source.check();
    assert.ok(isIssuedBy(after.certificate, next) && !isIssuedBy(after.certificate, old));
    // Who has the old key must be believed no more: its certificate is taken out by hand.
    cluster.secret = { version: 9, data: { ...cluster.secret?.data, 'ca.crt': next } };
    await source.check();
    assert.deepEqual(splitBundle(cluster.bundle), [next]);
  });

  it('give up after some attempts when every write is stale, to try again at the next check', async () => {
    const cluster = createFakeCluster();
    let reads = 0;
    cluster.onRequest = (name) => {
      if (name === 'readSecret') reads++;
      if (name === 'writeSecret') cluster.secret = { version: reads * 100, data: {} };
    };
    await assert.rejects(replica(cluster).check(), { code: 'stale-write' });
    assert.equal(reads, 5);
  });

  it('a replica with an old Secret in hand cannot take a newer CA out of caBundle', async () => {
    const cluster = createFakeCluster();
    let now = START;
    await replica(cluster, () => now).check();
    now += 50 * MINUTE; // past two thirds of the CA's life: a new one is due
    cluster.bundle = ''; // so that the slow replica will want to write
    const slow = replica(cluster, () => START);
    let isHeld = false;
    cluster.onRequest = (name) => {
      if (name !== 'writeBundle' || isHeld) return;
      isHeld = true; // in between, another one rotates
      cluster.onRequest = () => undefined;
      rotated = replica(cluster, () => now).check();
    };
    let rotated: Promise<unknown> = Promise.resolve();
    await slow.check();
    await rotated;
    await slow.check();
    assert.ok(cluster.bundle.startsWith(cluster.secret?.data['ca.crt'] ?? 'none'));
  });
});

describe('behaviour 41, by the clock: two replicas, an API server that sees caBundle late', () => {
  it('each certificate served in four hours is trusted and valid at every moment', async () => {
    const cluster = createFakeCluster();
    let now = START;
    const sources = [0, 1].map(() => replica(cluster, () => now));
    const served: string[] = [];
    /** caBundle as it was written, and when; the API server acts on it 50 s later, the settle time being 60. */
    const history = [{ since: -Infinity, bundle: '' }];
    const seen = () => history.findLast(({ since }) => since <= now - 50_000)?.bundle ?? '';
    const authorities = new Set<string>();
    for (; now < START + 240 * MINUTE; now += 5_000) {
      for (const [index, source] of sources.entries())
        // Every 15 s, the second replica 10 s after the first.
        if ((now - START - index * 10_000) % 15_000 === 0) served[index] = (await source.check()).certificate;
      if (history.at(-1)?.bundle !== cluster.bundle) history.push({ since: now, bundle: cluster.bundle });
      if (now - START < MINUTE) continue; // the very first caBundle has to arrive, too
      const trusted = splitBundle(seen()).filter((authority) => expiryOf(authority) > now);
      for (const certificate of served) {
        assert.ok(expiryOf(certificate) > now, `expired at ${new Date(now).toISOString()}`);
        const issuer = trusted.find((authority) => isIssuedBy(certificate, authority));
        assert.ok(issuer, `not trusted at ${new Date(now).toISOString()}`);
        authorities.add(issuer);
      }
    }
    assert.ok(authorities.size >= 5, `only ${authorities.size} CAs in four of their lives`);
    assert.ok(splitBundle(cluster.bundle).length <= 3, 'expired CAs leave caBundle');
  });
});
