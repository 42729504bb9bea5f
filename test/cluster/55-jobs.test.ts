/**
 * Jobs: those that nobody could run are refused, and NATS is found again when its Service was made again. Events: each
 * ready pod has its own, and what a pod leaves goes to another.
 */
import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import { send, type Answer } from '../helpers/send.ts';
import type { KubeObject } from './harness/clients.ts';
import { openWorld, until, type Deployed } from './harness/world.ts';

const world = await openWorld();
const { system } = world.release;
const NATS = `/api/v1/namespaces/${system}/services/slimfaas-nats`;

function post(fn: Deployed, path: string, body?: Buffer): Promise<Answer> {
  const url = `${world.proxyUrl}/async-function/${fn.route}${path}`;
  return send(url, { method: 'POST', ...(body ? { body } : {}) });
}

async function ranOnce(fn: Deployed, id: string): Promise<void> {
  const job = `${world.proxyUrl}/async-function-job/${fn.route}/${id}`;
  await until(async () => /"state":"done"/.test((await send(job)).body), `job ${id} is done`, 90_000);
}

for (const [what, spec] of [
  ['slimfaas.dev/inject: "false"', { annotations: { 'slimfaas.dev/inject': 'false' } }],
  ['hostNetwork', { pod: { hostNetwork: true } }],
] as const)
  it(`a job for pods without a sidecar (${what}) is refused with the reason, and wakes nobody`, async () => {
    await using fn = await world.deploy({ name: 'no-sidecar', ...spec });
    const answer = await post(fn, '/hello');
    assert.equal(answer.status, 501, answer.body);
    assert.match(answer.body, /no-sidecar/);
    const status = await send(`${world.proxyUrl}/status-function/${fn.route}`);
    assert.match(status.body, /jobs and events are refused/);
    assert.equal(await fn.replicas(), 0);
  });

it('an event comes to each ready pod, and what a pod that ends has not run goes to another', async () => {
  const annotations = { SubscribeEvents: 'Public:ping', ReplicasMin: 2, NumberParallelRequestPerPod: 1 };
  await using fn = await world.deploy({ name: 'hears', annotations, replicas: 2 });
  await fn.waitForReady(2);
  const keptBy = new Map<string, readonly string[]>();
  const count = async (id: string, without?: string): Promise<number> => {
    const { pod, kept } = JSON.parse((await world.call(fn.name, '/kept')).body) as {
      pod: string;
      kept: string[];
    };
    if (pod !== without) keptBy.set(pod, kept);
    return [...keptBy.values()].flat().filter((other) => other === id).length;
  };
  const publish = async (path: string): Promise<void> => {
    const url = `${world.proxyUrl}/publish-event/ping.${world.namespace}/keep/${path}`;
    const { status, body } = await send(url, { method: 'POST' });
    assert.equal(status, 204, body);
  };
  await publish('all');
  await until(async () => (await count('all')) === 2, 'both pods have it');
  const [ends] = keptBy.keys();
  assert.ok(ends);
  // Each pod runs one at a time, so the last one waits in both.
  for (const path of ['first/4000', 'second/4000', 'last']) await publish(path);
  await world.kubectl(['delete', 'pod', '-n', world.namespace, ends, '--wait=false']);
  keptBy.delete(ends);
  const what = 'another pod runs what the ended one had left, beside its own';
  await until(async () => (await count('last', ends)) >= 2, what, 90_000);
});

it('a job with a body of 2 MiB runs from zero', async () => {
  await using fn = await world.deploy({ name: 'large-body' });
  const answer = await post(fn, '/hello', Buffer.alloc(2 * 1024 * 1024, 'x'));
  assert.equal(answer.status, 201, answer.body);
  await ranOnce(fn, String(answer.headers['slimfaas-element-id']));
});

it('the Service of NATS is deleted and made again: jobs run without a restart of anything', async (t) => {
  await using warm = await world.deploy({ name: 'warm', annotations: { ReplicasMin: 1 }, replicas: 1 });
  await warm.waitForReady(1);
  const service = (await world.get(NATS)) as KubeObject;
  const { metadata, spec } = service;
  const { clusterIP: before, clusterIPs: _, ...rest } = spec as Record<string, unknown>;
  const holderPath = `/api/v1/namespaces/${system}/services/holds-the-address`;
  after(async () => {
    await world.send('DELETE', holderPath);
    if ((await world.get(NATS)) === undefined) await world.apply(service);
  });
  await world.send('DELETE', NATS);
  // Another address for certain: the old one is taken by somebody else.
  const { name, namespace, labels, annotations } = metadata as unknown as Record<string, unknown>;
  const holder = { apiVersion: 'v1', kind: 'Service', metadata: { name: 'holds-the-address', namespace } };
  await world.apply({ ...holder, spec: { clusterIP: before, ports: [{ port: 4222 }] } });
  await world.apply({
    apiVersion: 'v1',
    kind: 'Service',
    metadata: { name, namespace, labels, annotations },
    spec: rest,
  });
  const address = String((await world.get(NATS))?.['spec'].clusterIP);
  assert.notEqual(address, before);
  // Connections outlive their Service; the server's restart ends them.
  const podPath = `/api/v1/namespaces/${system}/pods/slimfaas-nats-0`;
  const old = (await world.get(podPath))?.metadata.uid;
  const begun = Date.now();
  await world.kubectl(['delete', 'pod', '-n', system, 'slimfaas-nats-0', '--force', '--grace-period=0']);
  // The old server may take a job yet in the moment of its end.
  await until(async () => {
    const pod = await world.get(podPath);
    const conditions = (pod?.['status']?.conditions ?? []) as { type: string; status: string }[];
    const isReady = conditions.some(({ type, status }) => type === 'Ready' && status === 'True');
    return isReady && pod?.metadata.uid !== old;
  }, 'the new NATS is ready');
  const accepted = (answer: Answer): string | undefined =>
    answer.status === 201 ? String(answer.headers['slimfaas-element-id']) : undefined;
  let id: string | undefined;
  await until(
    async () => (id = accepted(await post(warm, '/hello'))) !== undefined,
    'a job is accepted again',
    90_000,
  );
  await ranOnce(warm, id as unknown as string);
  t.diagnostic(`the first job ran ${((Date.now() - begun) / 1_000).toFixed(1)} s after NATS was killed`);
  await using cold = await world.deploy({ name: 'cold-after-nats' });
  const coldId = accepted(await post(cold, '/hello'));
  assert.ok(coldId);
  await ranOnce(cold, coldId);
});
