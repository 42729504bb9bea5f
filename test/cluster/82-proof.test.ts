/** Nobody calls a pod past the proxies: their proof, and a change of its key under load. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { waitFor } from '../helpers/wait.ts';
import { openCaller } from './harness/caller.ts';
import type { KubeObject } from './harness/clients.ts';
import { makeNamespace } from './harness/release.ts';
import { openWorld, until, type Deployed } from './harness/world.ts';

const world = await openWorld();
const { system } = world.release;
const SECRET = 'slimfaas-proxy-keys';
const SECRET_PATH = `/api/v1/namespaces/${system}/secrets/${SECRET}`;

const ipOf = (pod: KubeObject | undefined): string => String(pod?.['status'].podIP);
function sidecarEnv({ spec }: KubeObject, name: string): string | undefined {
  const containers = spec.containers as { name: string; env?: { name: string; value?: string }[] }[];
  const sidecar = containers.find((container) => container.name === 'slimfaas-sidecar');
  return sidecar?.env?.find((variable) => variable.name === name)?.value;
}

async function stranger() {
  const namespace = `${world.context.settings.prefix}-past`;
  await makeNamespace(world, world.context, namespace);
  return openCaller(world, world.context, namespace);
}

async function isReady(fn: Deployed): Promise<KubeObject> {
  await fn.waitForReady(1);
  const [pod] = await fn.pods();
  assert.ok(pod);
  return pod;
}

describe('a pod that is called past the proxies', { concurrency: false }, () => {
  it('refuses other pods, whatever they say, while calls through the proxy go on', async () => {
    await using fn = await world.deploy({ name: 'past', annotations: { ReplicasMin: 1 } });
    const pod = await isReady(fn);
    assert.equal(sidecarEnv(pod, 'SLIMFAAS_PROXY_PROOF'), 'required');
    const caller = await world.caller();
    const url = `${world.insideUrl}/function/${fn.route}/work/20`;
    const load = await caller.load({ url, callers: 2, paceMs: 50 });
    const other = await stranger();
    const name = `${world.namespace}/${pod.metadata.name}`;
    const proxys = { 'slimfaas-queue': 'none', 'slimfaas-for': name };
    const data = `http://${ipOf(pod)}:15080/hello`;
    const attacks: readonly (readonly [Record<string, string>, number])[] = [
      [{}, 403],
      [{ 'user-agent': 'kube-probe/1.35' }, 403],
      [proxys, 503],
      [
        { ...proxys, 'slimfaas-proof': `AAAAAAAAAAAA.${Math.floor(Date.now() / 1_000)}.${'A'.repeat(86)}` },
        503,
      ],
    ];
    for (const [headers, status] of attacks) {
      const answer = await other.call(data, headers, 5_000);
      assert.equal(answer.status, status, JSON.stringify([headers, answer.body]));
    }
    const place = { Connection: 'Upgrade', Upgrade: 'slimfaas-places', 'slimfaas-for': name };
    assert.equal((await other.call(`http://${ipOf(pod)}:15081/places`, place, 5_000)).status, 403);
    const drain = await other.call(`http://${ipOf(pod)}:15081/drain?token=x`, {}, 5_000);
    assert.equal(drain.status, 403);
    assert.equal(
      (await other.call(`http://${ipOf(pod)}:15081/health`, {}, 5_000)).status,
      200,
      'the kubelet’s',
    );
    const seen = await load.stop();
    assert.ok(seen.calls > 20);
    assert.deepEqual(seen.failures.slice(0, 3), []);
  });

  it('takes them where its owner says so', async () => {
    const annotations = { ReplicasMin: 1, 'slimfaas.dev/direct-calls': 'true' };
    await using fn = await world.deploy({ name: 'past-open', annotations });
    const pod = await isReady(fn);
    const answer = await (await stranger()).call(`http://${ipOf(pod)}:15080/hello`, {}, 5_000);
    assert.equal(answer.status, 200, answer.body);
  });

  it('has another key when its key is changed, and no call fails on the way', async (t) => {
    await using fn = await world.deploy({ name: 'past-keys', annotations: { ReplicasMin: 1 } });
    const first = await isReady(fn);
    const old = sidecarEnv(first, 'SLIMFAAS_PROXY_KEYS');
    const caller = await world.caller();
    const url = `${world.insideUrl}/function/${fn.route}/work/20`;
    const load = await caller.load({ url, callers: 2, paceMs: 100, isFresh: true });
    const before = (await world.get(SECRET_PATH)) as KubeObject;
    await world.kubectl(['patch', '-n', system, 'secret', SECRET, '-p', '{"stringData":{"rotate":"now"}}']);
    const count = (secret: KubeObject): number => Object.keys(secret['data'] as object).length;
    await until(async () => {
      const now = (await world.get(SECRET_PATH)) as KubeObject;
      return count(now) === count(before) + 1 && !('rotate' in (now['data'] as object));
    }, 'the webhook has made a key');
    // Pods get it a minute later. Each rollout makes a pod; the old one goes on until the new one is ready.
    await waitFor(
      async () => {
        await world.kubectl(['rollout', 'restart', '-n', world.namespace, `deployment/${fn.name}`]);
        await world.kubectl(['rollout', 'status', '-n', world.namespace, `deployment/${fn.name}`]);
        return (await fn.pods()).some((pod) => sidecarEnv(pod, 'SLIMFAAS_PROXY_KEYS') !== old);
      },
      { what: 'a pod has the new key', timeoutMs: 150_000, intervalMs: 10_000 },
    );
    assert.equal((await world.call(fn.name)).status, 200);
    const seen = await load.stop();
    t.diagnostic(`${seen.calls} calls, ${seen.failures.length} failed, max ${seen.max} ms`);
    assert.deepEqual(seen.failures.slice(0, 3), []);
  });
});
