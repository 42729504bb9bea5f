/** slimfaas.dev/services: wake, in the midst of calls: whatever changes, none is refused. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { LoadOrder } from './harness/caller.ts';
import { createFaults, whyNoFaults } from './harness/faults.ts';
import { putToSleep, servicesOf, WAKE } from './services.ts';
import { openWorld, until } from './harness/world.ts';

const world = await openWorld();
const caller = await world.caller();
const services = servicesOf(world);
const { namespace } = world;
const { system } = world.release;
const { settings } = world.context;
const faults = createFaults(settings);
const AWAKE = { ...WAKE, TimeoutSecondBeforeSetReplicasMin: 600 };

/** Sixteen callers, each call on a connection of its own. */
const loadOn = (name: string): LoadOrder => ({
  url: services.urlOf(name, '/work/20'),
  callers: 16,
  paceMs: 200,
  isFresh: true,
});

async function rollout(name: string, where: string): Promise<void> {
  const target = [`deployment/${name}`, '-n', where];
  await world.kubectl(['rollout', 'restart', ...target]);
  await world.kubectl(['rollout', 'status', ...target], { timeoutMs: 90_000 });
}

/** When a slice of the function has changed, in milliseconds since 1970; ours and Kubernetes' own. */
function watchChanges(name: string): { stop(): Promise<number[]> } {
  const changes: number[] = [];
  let known = '';
  const over = new AbortController();
  const path = `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices?labelSelector=`;
  const look = async (): Promise<void> => {
    while (!over.signal.aborted) {
      const slices = await world.list(`${path}${encodeURIComponent(`kubernetes.io/service-name=${name}`)}`);
      const text = JSON.stringify(slices.map((slice) => slice['endpoints']));
      if (known !== '' && text !== known) changes.push(Date.now());
      known = text;
      await delay(100);
    }
  };
  const looking = look();
  return {
    async stop() {
      over.abort();
      await looking;
      return changes;
    },
  };
}

const NEAR_MS = 2_000;
const AWAY_MS = 5_000;

describe('no call fails', () => {
  it('sleeps, wakes, a rollout and another proxy', async (t) => {
    await using fn = await world.deploy({ name: 'never-fails', annotations: AWAKE });
    await using _ = await services.add(fn.name);
    await services.leadsToProxies(fn.name);
    const load = await caller.load(loadOn(fn.name));
    for (let sleep = 0; sleep < 3; sleep++) {
      await fn.waitForReady(1);
      await delay(4_000); // the slice leads to the pod meanwhile
      await putToSleep(world, fn);
    }
    await fn.waitForReady(1);
    await rollout(fn.name, namespace);
    // The pod of before the rollout is at its end now. Nobody may be sent to it when the new one goes.
    await delay(13_000);
    await putToSleep(world, fn);
    await fn.waitForReady(1);
    await rollout('slimfaas-proxy', system);
    await putToSleep(world, fn);
    await fn.waitForReady(1);
    const seen = await load.stop();
    t.diagnostic(`${seen.calls} calls, p50 ${seen.p50} ms, max ${seen.max} ms`);
    assert.ok(seen.calls > 500);
    assert.deepEqual(seen.failures.slice(0, 5), [], `${seen.failures.length} of ${seen.calls} calls failed`);
  });

  const whyNot = whyNoFaults(settings) ?? false;
  it('kube-proxy is away for 5 s around changes of slices', { skip: whyNot }, async (t) => {
    await using fn = await world.deploy({ name: 'late-rules', annotations: AWAKE });
    await using _ = await services.add(fn.name);
    await services.leadsToProxies(fn.name);
    const changes = watchChanges(fn.name);
    const load = await caller.load(loadOn(fn.name));
    await fn.waitForReady(1);
    await delay(4_000);
    const away = async (change: () => Promise<unknown>): Promise<void> => {
      await faults.stop('kube-proxy');
      try {
        await Promise.all([change(), delay(AWAY_MS)]);
      } finally {
        await faults.start('kube-proxy');
      }
      await fn.waitForReady(1);
      await delay(4_000);
    };
    await away(() => putToSleep(world, fn));
    await away(() => rollout(fn.name, namespace));
    await putToSleep(world, fn);
    await away(async () => undefined);
    const seen = await load.stop();
    const near = (await changes.stop()).flatMap((at) =>
      seen.begun.filter((ms) => Math.abs(ms - at) < NEAR_MS),
    );
    const count = new Set(near).size;
    t.diagnostic(`${seen.calls} calls, at ${count} times within 2 s of a change, max ${seen.max} ms`);
    assert.ok(count >= 200);
    assert.deepEqual(seen.failures.slice(0, 5), [], `${seen.failures.length} of ${seen.calls} calls failed`);
  });
});

describe('the way of a connection', () => {
  it('warm, it costs nothing: beside a Service that knows nothing of slimfaas', async (t) => {
    await using fn = await world.deploy({ name: 'warm', annotations: AWAKE });
    await using _ = await services.add(fn.name);
    await using plain = await world.deployPlain({ name: 'plain', replicas: 1 });
    await using _1 = await services.add(plain.name);
    await services.leadsToProxies(fn.name);
    assert.equal((await caller.call(services.urlOf(fn.name))).status, 200);
    await services.leadsToPods(fn.name);
    await plain.waitForReady(1);
    for (const isFresh of [true, false])
      for (const name of [fn.name, plain.name, fn.name, plain.name]) {
        const load = await caller.load({ url: services.urlOf(name), callers: 4, paceMs: 10, isFresh });
        await delay(2_500);
        const { calls, failures, p50, p99, peers } = await load.stop();
        assert.deepEqual(failures, []);
        assert.equal(peers.length, 1, 'no hop');
        t.diagnostic(
          `${name}, ${isFresh ? 'new' : 'kept'} connections: ${calls} calls, p50 ${p50} ms, p99 ${p99} ms`,
        );
      }
  });

  it('without any proxy, what is warm answers by its Service', async () => {
    await using fn = await world.deploy({ name: 'alone', annotations: AWAKE });
    await using _ = await services.add(fn.name);
    await services.leadsToProxies(fn.name);
    assert.equal((await caller.call(services.urlOf(fn.name))).status, 200);
    await services.leadsToPods(fn.name);
    const load = await caller.load(loadOn(fn.name));
    const scale = (count: number) =>
      world.kubectl(['scale', `--replicas=${count}`, 'deployment/slimfaas-proxy', '-n', system]);
    await scale(0);
    try {
      const label = 'labelSelector=app.kubernetes.io%2Fcomponent%3Dproxy';
      const path = `/api/v1/namespaces/${system}/pods?${label}`;
      await until(async () => (await world.list(path)).length === 0, 'the proxies are gone', 120_000);
      await until(async () => (await services.endpoints(fn.name))?.length === 0, 'the slice names nobody');
      await rollout(fn.name, namespace);
    } finally {
      await scale(1);
      await world.kubectl(['rollout', 'status', 'deployment/slimfaas-proxy', '-n', system]);
    }
    const seen = await load.stop();
    assert.ok(seen.calls > 100);
    assert.deepEqual(seen.failures.slice(0, 5), [], `${seen.failures.length} of ${seen.calls} calls failed`);
  });
});
