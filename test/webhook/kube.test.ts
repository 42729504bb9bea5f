import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { CoreV1Api, KubeConfig } from '@kubernetes/client-node';
import { within } from '../../common/kube/within.ts';
import { certificateCluster, secretStore, type CertificateCluster } from '../../webhook/kube.ts';
import { startWebhookCluster, type WebhookCluster } from './cluster.ts';

const NAMES = {
  namespace: 'slimfaas',
  secret: 'slimfaas-webhook-tls',
  service: 'slimfaas-webhook',
  configuration: 'slimfaas',
  mayLackConfiguration: false,
};
const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n';
/** What the API wants in a Secret of this type. */
const DATA = { 'tls.crt': CERTIFICATE, 'tls.key': 'key', note: 'ü' };

describe('Secret and caBundle over the API, with the rights of install.yaml', () => {
  const releases: (() => unknown)[] = [];
  let cluster: WebhookCluster;
  let certificates: CertificateCluster;
  before(async () => {
    cluster = await startWebhookCluster((release) => releases.push(release));
    certificates = certificateCluster(cluster.kube, NAMES);
  });
  after(async () => {
    for (const release of releases.toReversed()) await release();
  });

  it('a Secret that is not there is empty, without a version', async () => {
    assert.deepEqual(await certificates.readSecret(), { version: undefined, uid: undefined, data: {} });
  });

  it('of two that create it the second is told', async () => {
    await certificates.writeSecret(DATA, undefined);
    await assert.rejects(certificates.writeSecret(DATA, undefined), { code: 'stale-write' });
    const stored = await certificates.readSecret();
    assert.deepEqual(stored.data, DATA);
    assert.ok(stored.version);
  });

  it('of two that change it the second is told', async () => {
    const { version } = await certificates.readSecret();
    await certificates.writeSecret({ ...DATA, note: 'first' }, version);
    await assert.rejects(certificates.writeSecret({ ...DATA, note: 'second' }, version), {
      code: 'stale-write',
    });
    assert.equal((await certificates.readSecret()).data['note'], 'first');
  });

  it('of two that write caBundle the second is told', async () => {
    const bundle = await certificates.readBundle();
    assert.deepEqual(bundle.entries, [{ index: 0, caBundle: '' }]);
    await certificates.writeBundle(bundle, CERTIFICATE);
    await assert.rejects(certificates.writeBundle(bundle, CERTIFICATE + CERTIFICATE), {
      code: 'stale-write',
    });
    assert.equal(cluster.caBundle(), CERTIFICATE);
    assert.equal((await certificates.readBundle()).entries[0]?.caBundle, CERTIFICATE);
  });

  it('leaves webhooks of other Services in the same configuration alone', async () => {
    await cluster.server.api.modify('mutatingwebhookconfigurations', undefined, 'slimfaas', (draft) => {
      const other = structuredClone(draft['webhooks'][0]);
      other.name = 'other.slimfaas.dev';
      other.clientConfig = { service: { ...other.clientConfig.service, name: 'other' } };
      draft['webhooks'].unshift(other);
    });
    const bundle = await certificates.readBundle();
    assert.deepEqual(
      bundle.entries.map(({ index }) => index),
      [1],
    );
    await certificates.writeBundle(bundle, CERTIFICATE + CERTIFICATE);
    const stored = cluster.server.api.get('mutatingwebhookconfigurations', undefined, 'slimfaas');
    assert.equal(stored?.['webhooks'][0].clientConfig.caBundle, undefined);
  });

  it('a configuration that does not call the Service is an error that names both', async () => {
    const lost = certificateCluster(cluster.kube, { ...NAMES, service: 'elsewhere' });
    await assert.rejects(lost.readBundle(), /slimfaas has no webhook for Service slimfaas\/elsewhere/);
  });

  it('a configuration that may not be read is nothing to write to, where an administrator applies it later', async () => {
    const early = { ...NAMES, configuration: 'not-there' };
    await assert.rejects(certificateCluster(cluster.kube, early).readBundle(), { code: 403 });
    const patient = certificateCluster(cluster.kube, { ...early, mayLackConfiguration: true });
    assert.deepEqual(await patient.readBundle(), { version: '', entries: [] });
  });

  it('another Secret is not the account’s to read', async () => {
    const lost = certificateCluster(cluster.kube, { ...NAMES, secret: 'somebody-elses' });
    await assert.rejects(lost.readSecret(), { code: 403 });
  });
});

it('requests for the Secret that the API server never answers are given up', async (t) => {
  const server = createServer(() => undefined).listen(0, '127.0.0.1');
  t.after(() => {
    server.close();
    server.closeAllConnections();
  });
  await once(server, 'listening');
  const config = new KubeConfig();
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  config.loadFromClusterAndUser({ name: 'test', server: url, skipTLSVerify: true }, { name: 'test' });
  const place = { namespace: 'slimfaas', name: 'keys', type: 'Opaque' } as const;
  const store = secretStore({ core: config.makeApiClient(CoreV1Api) }, place, within(50));
  for (const ask of [store.readSecret(), store.writeSecret({}, undefined), store.writeSecret({}, '1')])
    await assert.rejects(ask, /abort|timeout/i);
});
