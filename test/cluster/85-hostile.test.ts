/** Annotations that are meant to hurt. They cost their own function, and nobody else. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { send } from '../helpers/send.ts';
import { openWorld, until, type Deployed } from './harness/world.ts';

const world = await openWorld();
const { system } = world.release;

const DEEP = `{"Triggers":${'['.repeat(5_000)}${']'.repeat(5_000)}}`;
const BACKTRACKING = scale([`label_replace(vector(1), "y", "z", "x", "${'(a|a)*'.repeat(8)}b")`]);
const HEAVY = scale(
  Array.from({ length: 40 }, (_, n) => `sum_over_time(max_over_time(vector(${n})[12m:1s])[13m:1s])`),
);

function scale(queries: readonly string[]): string {
  const triggers = queries.map((Query, n) => ({ MetricName: `x${n}`, Threshold: 1e9, Query }));
  return JSON.stringify({ ReplicaMax: 2, ScrapeIntervalMilliseconds: 1_000, Triggers: triggers });
}

/** By pod and container. */
async function restarts(): Promise<Record<string, number>> {
  const pods = await world.list(`/api/v1/namespaces/${system}/pods`);
  return Object.fromEntries(
    pods.flatMap(({ metadata, status }) =>
      ((status?.containerStatuses ?? []) as { name: string; restartCount: number }[]).map((container) => [
        `${metadata.name}/${container.name}`,
        container.restartCount,
      ]),
    ),
  );
}

async function leader(): Promise<string> {
  const path = `/apis/coordination.k8s.io/v1/namespaces/${system}/leases/slimfaas-scaler`;
  return String((await world.get(path))?.['spec'].holderIdentity);
}

async function faultsOf({ route }: Deployed): Promise<unknown[]> {
  const answer = await send(`${world.proxyUrl}/status-function/${route}`);
  const [status] = JSON.parse(answer.body) as { Faults: unknown[] }[];
  return status?.Faults ?? [];
}

it('nested, backtracking and heavy annotations: a neighbour is answered from zero, and no part restarts', async (t) => {
  const before = { restarts: await restarts(), leader: await leader() };
  await using neighbour = await world.deploy({ name: 'neighbour' });
  const deploy = (name: string, Scale: string) =>
    world.deploy({ name, replicas: 1, annotations: { ReplicasMin: 1, Scale } });
  await using nested = await deploy('nested', DEEP);
  await using backtracking = await deploy('backtracking', BACKTRACKING);
  await using heavy = await deploy('heavy', HEAVY);
  for (const fn of [nested, backtracking, heavy]) await fn.waitForReady(1);
  const times: number[] = [];
  for (let n = 0; n < 5; n++) {
    const answer = await world.call(neighbour.name);
    assert.equal(answer.status, 200, answer.body);
    times.push(answer.ms);
    await neighbour.patch({ spec: { replicas: 0 } });
    await until(async () => (await neighbour.allPods()).length === 0, 'it sleeps');
  }
  await until(async () => (await faultsOf(nested)).length > 0, 'the nested annotation is a fault');
  assert.deepEqual({ restarts: await restarts(), leader: await leader() }, before);
  t.diagnostic(`the neighbour from zero: ${times.map((ms) => (ms / 1_000).toFixed(1)).join(', ')} s`);
});
