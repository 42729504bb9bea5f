import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { splitBundle } from '../../../webhook/certificates/x509.ts';
import { annotatedPod, startWebhookCluster, untilReady } from '../cluster.ts';
import { sidecarOf } from '../reviews.ts';
import { post } from '../tls-client.ts';

/**
 * Lives of seconds in place of months, in the same proportions. A CA lives 18 s and is replaced after 12; a
 * certificate lives 6 s and is replaced after 4, which leaves a busy machine 2 s to be late.
 */
const DAY_SECONDS = 86_400;
const FLAGS = [
  `--ca-days=${18 / DAY_SECONDS}`,
  `--certificate-days=${6 / DAY_SECONDS}`,
  '--certificate-settle-seconds=1',
];
const DEADLINE_MS = 120_000;

describe('behaviour 41: certificates expire, the CA rotates, under continuous admissions', () => {
  it('not one admission fails, on new connections and on kept ones, over three CAs', async (t) => {
    const cluster = await startWebhookCluster((release) => t.after(release));
    const webhooks = await Promise.all([cluster.start(...FLAGS), cluster.start(...FLAGS)]);
    await Promise.all(webhooks.map(untilReady));
    const authorities = new Set<string>();
    const certificates = new Set<string>();
    const deadline = performance.now() + DEADLINE_MS;
    let admissions = 0;
    // Until the third CA is the one that signs: the first has been replaced twice, and has expired by then.
    while (authorities.size < 3 || certificates.size < 6) {
      assert.ok(performance.now() < deadline, `${authorities.size} CAs, ${certificates.size} certificates`);
      // As an API server does it: over a kept connection while caBundle is the same.
      const stored = await cluster.createPod(annotatedPod(`pod-${admissions++}`));
      assert.ok(sidecarOf(stored));
      await cluster.server.api.delete('pods', 'default', stored.metadata?.name ?? '', {
        gracePeriodSeconds: 0,
      });
      // As a second API server would: a new handshake with each replica, against the caBundle of this moment.
      const ca = cluster.caBundle();
      for (const { port = 0 } of webhooks) assert.equal((await post({ port, ca }, '{}')).status, 400);
      const secret = cluster.server.api.get('secrets', 'slimfaas', 'slimfaas-webhook-tls');
      certificates.add(String(secret?.['data']['tls.crt']));
      authorities.add(splitBundle(ca)[0] ?? '');
      await sleep(20);
    }
    assert.ok(admissions > 100, `${admissions} admissions`);
    assert.ok(splitBundle(cluster.caBundle()).length <= 3);
  });
});
