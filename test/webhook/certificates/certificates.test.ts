import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { silentLog } from '../../../common/runtime/log.ts';
import { keepCertificate } from '../../../common/tls/certificate-keeper.ts';
import { fileCertificates } from '../../../webhook/certificates/file-certificates.ts';
import type { KeyPair } from '../../../common/tls/key-pair.ts';
import { createAuthority, issueCertificate } from '../../../webhook/certificates/x509.ts';
import { waitFor } from '../../helpers/wait.ts';

const VALIDITY = { nowMs: Date.now(), validMs: 3_600_000 };

async function makePair(): Promise<KeyPair> {
  return issueCertificate(await createAuthority(VALIDITY), ['a.b.svc'], VALIDITY);
}

describe('certificates of somebody else, in a folder', () => {
  let dir: string;
  before(async () => {
    dir = await mkdtemp(join(tmpdir(), 'slimfaas-certificates-'));
  });
  after(() => rm(dir, { recursive: true, force: true }));

  const write = async (pair: KeyPair) => {
    await writeFile(join(dir, 'tls.crt'), pair.certificate);
    await writeFile(join(dir, 'tls.key'), pair.key);
  };

  it('are an error that names the file while it is not there', async () => {
    await assert.rejects(fileCertificates(dir).check(), { code: 'ENOENT' });
  });

  it('are read again at each check', async () => {
    const source = fileCertificates(dir);
    const [one, two] = await Promise.all([makePair(), makePair()]);
    await write(one);
    assert.deepEqual(await source.check(), one);
    await write(two);
    assert.deepEqual(await source.check(), two);
  });

  it('are not used while key and certificate do not belong together', async () => {
    const [one, two] = await Promise.all([makePair(), makePair()]);
    await write({ certificate: one.certificate, key: two.key });
    await assert.rejects(fileCertificates(dir).check(), /not the key of .*tls\.crt/);
  });
});

describe('keeping a certificate', () => {
  it('hands over the first one and each that differs, and no other', async () => {
    const given = ['a', 'a', 'b', 'b', 'b', 'c'];
    const got: string[] = [];
    const keeper = keepCertificate({
      source: { check: () => Promise.resolve({ certificate: given.shift() ?? 'c', key: '' }) },
      checkMs: 1,
      log: silentLog,
      onCertificate: ({ certificate }) => got.push(certificate),
    });
    await waitFor(() => got.includes('c'), { what: 'the last certificate was handed over' });
    await keeper.stop();
    assert.deepEqual(got, ['a', 'b', 'c']);
  });

  it('goes on after failures, of the source and of the taker', async () => {
    let checks = 0;
    const got: string[] = [];
    const keeper = keepCertificate({
      source: {
        check() {
          if (++checks < 3) throw new Error('the API is away');
          return Promise.resolve({ certificate: `at check ${checks}`, key: '' });
        },
      },
      checkMs: 1,
      log: silentLog,
      onCertificate({ certificate }) {
        if (checks === 3) throw new Error('the port is taken');
        got.push(certificate);
      },
    });
    await waitFor(() => got.length > 0, { what: 'a certificate was handed over' });
    await keeper.stop();
    assert.equal(got[0], 'at check 4');
  });

  it('stops though a check hangs', async () => {
    const keeper = keepCertificate({
      source: { check: () => new Promise(() => undefined) },
      checkMs: 1,
      log: silentLog,
      onCertificate: () => assert.fail('nothing to hand over'),
    });
    await keeper.stop();
    await keeper.stop();
  });
});
