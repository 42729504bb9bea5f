/** Ends without a lost call: one pod, a rollout, a scale-down, a drained node, and the parts themselves. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { kubectl } from '../helpers/kubectl.ts';
import { isFasterThan, waitFor } from '../helpers/wait.ts';
import { NAMESPACE } from './functions.ts';
import { startWorld, type World } from './world.ts';

let world: World;
before(async () => {
  world = await startWorld({ backoffBaseMs: 200, nodes: 2 });
});
after(() => world[Symbol.asyncDispose]());

const awake = { ReplicasMin: 1 };

async function restartOf(name: string): Promise<void> {
  const args = ['-n', NAMESPACE, 'rollout', 'restart', `deployment/${name}`];
  const { code, stderr } = await kubectl(world.system.kubeconfigPath, args);
  assert.equal(code, 0, stderr);
}

test('behaviour 21: SIGTERM with six staggered requests running; delete the pod; all 200', async () => {
  await world.deploy({ name: 'ending', annotations: awake, replicas: 1, graceSeconds: 40 });
  await world.waitForReady('ending', 1);
  const calls: Promise<number>[] = [];
  for (let i = 0; i < 6; i++) {
    calls.push(world.call('ending', `/slow/${12_000}`).then(({ status }) => status));
    await delay(200); // staggered, as the behaviour says
  }
  const [pod] = world.pods('ending');
  await world.system.api.delete('pods', NAMESPACE, pod?.metadata.name ?? '');
  assert.deepEqual(await Promise.all(calls), [200, 200, 200, 200, 200, 200]);
});

test('behaviour 22: SIGTERM on an idle pod; gone within 2 s', async () => {
  await world.deploy({ name: 'idle', annotations: awake, replicas: 1 });
  const measure = async (): Promise<number> => {
    await world.waitForReady('idle', 1);
    const [pod] = world.pods('idle');
    const name = pod?.metadata.name ?? '';
    const begun = performance.now();
    await world.system.api.delete('pods', NAMESPACE, name);
    await waitFor(() => world.system.api.get('pods', NAMESPACE, name) === undefined, {
      what: 'the pod is gone',
    });
    return performance.now() - begun;
  };
  await isFasterThan(2_000, measure, { what: 'the end of a pod' });
});

test('behaviour 23: a rollout, a scale-down and a node drain under 200 calls a second; not one failed request', async () => {
  await world.deploy({ name: 'rolled', annotations: { ReplicasMin: 3, ReplicasAtStart: 3 }, replicas: 3 });
  await world.waitForReady('rolled', 3);
  const load = startLoad('rolled', 200);
  await load.reached(100);
  await restartOf('rolled');
  await waitFor(() => isRolledOut('rolled'), { what: 'the rollout is done', timeoutMs: 60_000 });
  const scaled = await kubectl(world.system.kubeconfigPath, [
    '-n',
    NAMESPACE,
    'scale',
    'deploy/rolled',
    '--replicas=2',
  ]);
  assert.equal(scaled.code, 0, scaled.stderr);
  await load.reached(load.done() + 100);
  const uncordon = await world.system.failures.drain({
    except: (pod) => pod.metadata.labels?.['app'] !== 'rolled',
  });
  await load.reached(load.done() + 100);
  const failures = await load.stop();
  await uncordon();
  assert.deepEqual(failures, []);
});

test('behaviour 25: the proxy is rolled under load; every call is answered', async () => {
  await world.deploy({ name: 'fronted', annotations: awake, replicas: 1 });
  await world.waitForReady('fronted', 1);
  const load = startLoad('fronted', 50);
  await load.reached(50);
  await restartOf('slimfaas-proxy');
  await waitFor(() => isRolledOut('slimfaas-proxy'), { what: 'the proxy is rolled', timeoutMs: 60_000 });
  await load.reached(load.done() + 100);
  assert.deepEqual(await load.stop(), []);
});

test('warm calls flow on while scaler, webhook and NATS are down', async () => {
  await world.deploy({ name: 'warm', annotations: awake, replicas: 1 });
  await world.waitForReady('warm', 1);
  const releases = ['scaler', 'webhook', 'nats'].map((container) => world.system.failures.crash(container));
  for (const pod of world.system.api.list('pods', { namespace: NAMESPACE })) {
    if (/scaler|webhook|nats/.test(pod.metadata.name))
      world.system.failures.killPod(NAMESPACE, pod.metadata.name);
  }
  for (let i = 0; i < 50; i++) assert.equal((await world.call('warm', `/hello/${i}`)).status, 200);
  for (const release of releases) release();
  await waitFor(async () => (await fetch(`${world.system.proxyUrl}/ready`)).ok, {
    what: 'all is back',
    timeoutMs: 40_000,
  });
});

function isRolledOut(name: string): boolean {
  const deployment = world.system.api.get('deployments', NAMESPACE, name);
  const {
    replicas = 0,
    updatedReplicas = 0,
    availableReplicas = 0,
    observedGeneration,
  } = deployment?.['status'] ?? {};
  return (
    observedGeneration === deployment?.metadata.generation &&
    updatedReplicas === deployment?.['spec'].replicas &&
    replicas === updatedReplicas &&
    availableReplicas === updatedReplicas
  );
}

interface Load {
  done(): number;
  reached(count: number): Promise<void>;
  /** What failed, in words. */
  stop(): Promise<string[]>;
}

/** Calls at a steady rate, each on a connection of its own: what a pod or a proxy does while ending shows. */
function startLoad(name: string, perSecond: number): Load {
  const failures: string[] = [];
  const pending = new Set<Promise<void>>();
  let done = 0;
  const timer = setInterval(() => {
    const call = world
      .call(name, '/slow/20')
      .then(({ status, body }) => {
        if (status !== 200) failures.push(`${status} ${body}`);
      })
      .catch((error: unknown) => void failures.push(String(error)))
      .finally(() => {
        done += 1;
        pending.delete(call);
      });
    pending.add(call);
  }, 1_000 / perSecond);
  return {
    done: () => done,
    async reached(count) {
      await waitFor(() => done >= count, { what: `${count} calls done`, timeoutMs: 60_000 });
    },
    async stop() {
      clearInterval(timer);
      await Promise.all(pending);
      return failures;
    },
  };
}
