import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { recordingLog } from '../helpers/recording-log.ts';
import { waitFor } from '../helpers/wait.ts';
import { annotatedPod, isReady, startWebhookCluster, untilReady, type WebhookCluster } from './cluster.ts';
import { sidecarOf } from './reviews.ts';
import { post, SERVER_NAME } from './tls-client.ts';
import { createAuthority, issueCertificate, splitBundle } from '../../webhook/certificates/x509.ts';

/** Writes go through the API's own admission, which calls the webhook over TLS. */
async function injects(cluster: WebhookCluster, name: string): Promise<boolean> {
  const stored = await cluster.createPod(annotatedPod(name));
  return sidecarOf(stored) !== undefined;
}

describe('the webhook against an API server, with the rights of install.yaml', () => {
  it('makes its certificates, fills caBundle, becomes ready, and injects annotated pods', async (t) => {
    const cluster = await startWebhookCluster((release) => t.after(release));
    assert.equal(cluster.caBundle(), '');
    const webhook = await cluster.start();
    await untilReady(webhook);
    assert.equal(splitBundle(cluster.caBundle()).length, 1);
    const stored = await cluster.createPod(annotatedPod('one'));
    assert.equal(stored.spec?.containers.at(-1)?.name, 'slimfaas-sidecar');
    assert.equal(stored.metadata?.labels?.['slimfaas.dev/function'], 'one');
    const metrics = await (await fetch(`http://127.0.0.1:${webhook.adminPort}/metrics`)).text();
    assert.match(metrics, /slimfaas_webhook_reviews_total\{outcome="injected"\} 1/);
    assert.match(metrics, /slimfaas_webhook_certificate_expiry_timestamp_seconds 1\.\d+e\+09|\d{10}/);
  });

  it('is never asked about pods without the annotation, not even when it is not there', async (t) => {
    const cluster = await startWebhookCluster((release) => t.after(release));
    const plain = annotatedPod('plain', {
      metadata: { name: 'plain', namespace: 'default', annotations: {} },
    });
    assert.equal(sidecarOf(await cluster.createPod(plain)), undefined);
    await assert.rejects(cluster.createPod(annotatedPod('annotated')), /no endpoints available/);
    const system = annotatedPod('system', {
      metadata: { name: 'system', namespace: 'kube-system', annotations: { 'SlimFaas/Function': 'true' } },
    });
    assert.equal(sidecarOf(await cluster.createPod(system)), undefined);
  });

  it('refuses a port conflict; the message reaches whoever creates the pod', async (t) => {
    const cluster = await startWebhookCluster((release) => t.after(release));
    await untilReady(await cluster.start());
    const containers = [{ name: 'app', image: 'app:1', ports: [{ containerPort: 15080 }] }];
    await assert.rejects(
      cluster.createPod(annotatedPod('clash', { spec: { containers } })),
      /container "app" declares port 15080, which slimfaas-sidecar needs/,
    );
  });

  it('two replicas that start at once agree, and either answers', async (t) => {
    const cluster = await startWebhookCluster((release) => t.after(release));
    const both = await Promise.all([cluster.start(), cluster.start()]);
    await Promise.all(both.map(untilReady));
    const ca = cluster.caBundle();
    assert.equal(splitBundle(ca).length, 1);
    for (const { port } of both) assert.equal((await post({ port: port ?? 0, ca }, '{}')).status, 400);
  });

  it('is not ready before caBundle is filled, and by itself when that becomes possible', async (t) => {
    const cluster = await startWebhookCluster((release) => t.after(release));
    const { api } = cluster.server;
    const before = api.get('mutatingwebhookconfigurations', undefined, 'slimfaas');
    await api.delete('mutatingwebhookconfigurations', undefined, 'slimfaas');
    const webhook = await cluster.start();
    const answer = await fetch(`http://127.0.0.1:${webhook.adminPort}/ready`);
    assert.equal(answer.status, 503);
    assert.equal(await answer.text(), 'no certificate yet');
    const { apiVersion, kind, metadata, ...rest } = before ?? { kind: '', metadata: {} };
    const { name } = metadata as { name: string };
    await api.create('mutatingwebhookconfigurations', {
      apiVersion,
      kind,
      metadata: { name },
      ...rest,
    } as never);
    await untilReady(webhook);
    assert.ok(await injects(cluster, 'late'));
  });

  it('starts while the API server is away, and is ready soon after it is back', async (t) => {
    const { log, line } = recordingLog();
    const cluster = await startWebhookCluster((release) => t.after(release), log);
    cluster.server.failures.setAway(true);
    const webhook = await cluster.start();
    assert.equal((await fetch(`http://127.0.0.1:${webhook.adminPort}/health`)).status, 200);
    assert.ok(!(await isReady(webhook)));
    const { level, fields } = await line('certificate check failed');
    assert.equal(level, 'warn');
    assert.match(String(fields['error']), /ECONN|socket|fetch|network|abort/i);
    cluster.server.failures.setAway(false);
    await untilReady(webhook);
  });

  it('goes on answering, ready, while the API server is away', async (t) => {
    const cluster = await startWebhookCluster((release) => t.after(release));
    const webhook = await cluster.start();
    await untilReady(webhook);
    cluster.server.failures.setAway(true);
    assert.equal((await post({ port: webhook.port ?? 0, ca: cluster.caBundle() }, '{}')).status, 400);
    assert.ok(await isReady(webhook));
    cluster.server.failures.setAway(false);
  });

  it('takes up the certificates that an earlier one left', async (t) => {
    const cluster = await startWebhookCluster((release) => t.after(release));
    const first = await cluster.start();
    await untilReady(first);
    const bundle = cluster.caBundle();
    await first.stop();
    cluster.endpoints.length = 0;
    await untilReady(await cluster.start());
    assert.equal(cluster.caBundle(), bundle);
    assert.ok(await injects(cluster, 'after'));
  });

  it('puts caBundle back when an apply or a hand took it away', async (t) => {
    const cluster = await startWebhookCluster((release) => t.after(release));
    await untilReady(await cluster.start());
    const bundle = cluster.caBundle();
    await cluster.server.api.modify('mutatingwebhookconfigurations', undefined, 'slimfaas', (draft) => {
      delete draft['webhooks'][0].clientConfig.caBundle;
    });
    await waitFor(() => cluster.caBundle() === bundle, { what: 'caBundle is back' });
  });

  it('is not ready from the moment that it is told to stop', async (t) => {
    const cluster = await startWebhookCluster((release) => t.after(release));
    const webhook = await cluster.start('--stop-delay-seconds=0.5');
    await untilReady(webhook);
    const ca = cluster.caBundle();
    const port = webhook.port ?? 0;
    const stopped = webhook.stop();
    assert.ok(!(await isReady(webhook)));
    assert.equal((await post({ port, ca }, '{}')).status, 400, 'but still answers');
    await stopped;
    await assert.rejects(post({ port, ca }, '{}'), { code: 'ECONNREFUSED' });
  });

  it("with --cert-dir it serves somebody else's certificate and leaves Secret and caBundle alone", async (t) => {
    const cluster = await startWebhookCluster((release) => t.after(release));
    const dir = await mkdtemp(join(tmpdir(), 'slimfaas-cert-dir-'));
    t.after(() => rm(dir, { recursive: true, force: true }));
    const webhook = await cluster.start(`--cert-dir=${dir}`);
    assert.ok(!(await isReady(webhook)));
    const serve = async (): Promise<string> => {
      const validity = { nowMs: Date.now(), validMs: 3_600_000 };
      const authority = await createAuthority(validity);
      const pair = await issueCertificate(authority, [SERVER_NAME], validity);
      await writeFile(join(dir, 'tls.key'), pair.key);
      await writeFile(join(dir, 'tls.crt'), pair.certificate);
      return authority.certificate;
    };
    for (const round of ['first', 'renewed']) {
      const ca = await serve();
      await waitFor(async () => (await post({ port: webhook.port ?? 0, ca }, '{}')).status === 400, {
        what: `the ${round} certificate is served, without a restart`,
      });
    }
    assert.equal(cluster.caBundle(), '');
    assert.equal(cluster.server.api.get('secrets', 'slimfaas', 'slimfaas-webhook-tls'), undefined);
  });
});
