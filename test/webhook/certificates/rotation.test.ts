import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import {
  applyStep,
  nextStep,
  type Material,
  type RotationPolicy,
} from '../../../webhook/certificates/rotation.ts';
import {
  createAuthority,
  expiryOf,
  isForNames,
  isIssuedBy,
  issueCertificate,
} from '../../../webhook/certificates/x509.ts';

const DAY = 86_400_000;
const START = Date.parse('2026-03-01T12:00:00Z');
const POLICY: RotationPolicy = {
  dnsNames: ['slimfaas-webhook.slimfaas.svc'],
  authorityValidMs: 365 * DAY,
  certificateValidMs: 90 * DAY,
  settleMs: 120_000,
};

const fresh = (): Promise<Material> => applyStep('start-over', undefined, START, POLICY);

describe('what is made first', () => {
  it('is a CA, and a certificate of it for the names', async () => {
    assert.equal(nextStep(undefined, START, POLICY), 'start-over');
    const material = await fresh();
    assert.deepEqual(material.trusted, [material.authority.certificate]);
    assert.ok(isIssuedBy(material.server.certificate, material.authority.certificate));
    assert.ok(isForNames(material.server.certificate, POLICY.dnsNames));
    assert.equal(expiryOf(material.server.certificate), START + 90 * DAY);
    assert.equal(expiryOf(material.authority.certificate), START + 365 * DAY);
    assert.equal(nextStep(material, START, POLICY), 'none');
  });
});

describe('the next step', () => {
  const settled = START + POLICY.settleMs;

  it('is none while more than a third of the certificate is left', async () => {
    assert.equal(nextStep(await fresh(), START + 60 * DAY, POLICY), 'none');
  });

  it('is a new certificate after that, of the same CA', async () => {
    const before = await fresh();
    const now = START + 60 * DAY + 1;
    assert.equal(nextStep(before, now, POLICY), 'new-certificate');
    const after = await applyStep('new-certificate', before, now, POLICY);
    assert.equal(after.authority, before.authority);
    assert.notEqual(after.server.certificate, before.server.certificate);
    assert.equal(nextStep(after, now, POLICY), 'none');
  });

  it('is a new CA when a third of the old one is left; the old certificate stays for the settle time', async () => {
    let material = await fresh();
    const now = START + 244 * DAY;
    material = await applyStep('new-certificate', material, now, POLICY);
    assert.equal(nextStep(material, now, POLICY), 'new-authority');
    const after = await applyStep('new-authority', material, now, POLICY);
    assert.equal(after.server, material.server);
    assert.deepEqual(after.trusted, [after.authority.certificate, material.authority.certificate]);
    assert.equal(nextStep(after, now, POLICY), 'none');
    assert.equal(nextStep(after, now + POLICY.settleMs - 1, POLICY), 'none');
    assert.equal(nextStep(after, now + POLICY.settleMs, POLICY), 'new-certificate');
    const served = await applyStep('new-certificate', after, now + POLICY.settleMs, POLICY);
    assert.ok(isIssuedBy(served.server.certificate, after.authority.certificate));
    assert.deepEqual(served.trusted, after.trusted, 'both CAs stay in caBundle');
  });

  it('drops a CA from caBundle when it has expired', async () => {
    const old = await createAuthority({ nowMs: START - 10 * DAY, validMs: 11 * DAY });
    const material = await fresh();
    const both = { ...material, trusted: [...material.trusted, old.certificate] };
    assert.equal(nextStep(both, START + DAY / 2, POLICY), 'none');
    assert.equal(nextStep(both, START + DAY, POLICY), 'drop-expired');
    const after = await applyStep('drop-expired', both, START + DAY, POLICY);
    assert.deepEqual(after.trusted, material.trusted);
  });

  it('is a new certificate at once when the names changed, settled or not', async () => {
    const policy = { ...POLICY, dnsNames: ['other.slimfaas.svc'] };
    assert.equal(nextStep(await fresh(), START, policy), 'new-certificate');
  });

  it('is a new certificate at once when the old one has expired while nobody was there', async () => {
    assert.equal(nextStep(await fresh(), START + 91 * DAY, POLICY), 'new-certificate');
  });

  it('is to start over when the CA has expired, keeping what is still trusted', async () => {
    const material = await fresh();
    const now = START + 366 * DAY;
    assert.equal(nextStep(material, now, POLICY), 'start-over');
    const young = await createAuthority({ nowMs: now, validMs: DAY });
    const both = { ...material, trusted: [...material.trusted, young.certificate] };
    const after = await applyStep('start-over', both, now, POLICY);
    assert.deepEqual(after.trusted, [after.authority.certificate, young.certificate]);
  });

  it('is a new certificate when the served one is of a CA that nobody trusts', async () => {
    const material = await fresh();
    const stranger = await createAuthority({ nowMs: START, validMs: DAY });
    const server = await issueCertificate(stranger, POLICY.dnsNames, { nowMs: START, validMs: DAY });
    assert.equal(nextStep({ ...material, server }, settled, POLICY), 'new-certificate');
  });
});

describe('lives that do not fit together', () => {
  it('a certificate never outlives its CA, and is not made again at every check', async () => {
    const policy = { ...POLICY, authorityValidMs: 3 * DAY, certificateValidMs: 90 * DAY };
    const material = await applyStep('start-over', undefined, START, policy);
    assert.equal(expiryOf(material.server.certificate), START + DAY);
    assert.equal(nextStep(material, START + 1, policy), 'none');
  });
});

describe('certificates', () => {
  it('of two CAs are told apart, though nothing but their keys and names differs', async () => {
    const [one, two] = await Promise.all([0, 1].map(() => createAuthority({ nowMs: START, validMs: DAY })));
    assert.ok(one && two);
    const server = await issueCertificate(one, ['a.b.svc'], { nowMs: START, validMs: DAY });
    assert.ok(isIssuedBy(server.certificate, one.certificate));
    assert.ok(!isIssuedBy(server.certificate, two.certificate));
  });

  it('have names of any length', async () => {
    const name = `${'s'.repeat(63)}.${'n'.repeat(63)}.svc`;
    const authority = await createAuthority({ nowMs: START, validMs: DAY });
    const server = await issueCertificate(authority, [name], { nowMs: START, validMs: DAY });
    assert.ok(isForNames(server.certificate, [name]));
    assert.ok(!isForNames(server.certificate, ['elsewhere.svc']));
  });
});
