/** A trigger with a query over scraped pods: it scales, it keeps awake, and a change of leader loses nothing. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { openWorld, until } from './harness/world.ts';

const BACKLOG_MS = 45_000;

const world = await openWorld();

/** `<pod>@<address>` of the scaler that leads. */
async function leader(): Promise<string> {
  const path = `/apis/coordination.k8s.io/v1/namespaces/${world.release.system}/leases/slimfaas-scaler`;
  return String((await world.get(path))?.['spec'].holderIdentity ?? '');
}

it('by a query it grows, stays up while there is work although another scaler leads, and sleeps after', async (t) => {
  const query = {
    MetricType: 'AverageValue',
    MetricName: 'backlog',
    Query: 'max(demo_backlog)',
    Threshold: 2,
  };
  await using fn = await world.deploy({
    name: 'backlog',
    env: { BACKLOG_MS },
    annotations: {
      // Longer than the first scrapes take on a busy node.
      TimeoutSecondBeforeSetReplicasMin: 10,
      Scale: JSON.stringify({ ReplicaMax: 3, ScrapeIntervalMilliseconds: 1_000, Triggers: [query] }),
      'prometheus.io/scrape': 'true',
      'prometheus.io/port': '5000',
    },
  });
  const answer = await world.call(fn.name);
  assert.equal(answer.status, 200, answer.body);
  const { startedAt } = JSON.parse(answer.body) as { startedAt: number };
  await fn.waitForReplicas(3);
  const former = await leader();
  await world.kubectl(['delete', 'pod', former.split('@')[0] ?? '', '-n', world.release.system]);
  await until(async () => ![former, ''].includes(await leader()), 'another scaler leads');
  const heldMs = Date.now() - startedAt;
  while (Date.now() < startedAt + BACKLOG_MS) {
    assert.equal(await fn.replicas(), 3, `${Date.now() - startedAt} ms after its start, with work to do`);
    await delay(500);
  }
  t.diagnostic(`3 replicas; another leader after ${heldMs} ms; held for ${BACKLOG_MS} ms without a call`);
  await fn.waitForReplicas(0, 90_000);
});
