/** Replicas go with the load; rollouts lose no call; others may scale too. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { send } from '../helpers/send.ts';
import type { LoadResult } from './harness/caller.ts';
import { openWorld, until, type Deployed } from './harness/world.ts';

const world = await openWorld();
const caller = await world.caller();
const urlOf = ({ route }: Deployed, path: string): string => `${world.insideUrl}/function/${route}${path}`;

function assertNoneLost({ failures, calls }: LoadResult): void {
  assert.ok(calls > 0);
  assert.deepEqual(failures.slice(0, 3), []);
}

/** They may still grow meanwhile. @returns how many there are */
async function untilAllReady(fn: Deployed): Promise<number> {
  let count = 0;
  await until(async () => {
    const { spec, status } = await fn.read();
    count = spec.replicas;
    return (status.readyReplicas ?? 0) >= count;
  }, `all pods of ${fn.name} are ready`);
  return count;
}

describe('scaling', { concurrency: 3 }, () => {
  it('up with callers that wait, and back to zero', async (t) => {
    const annotations = {
      NumberParallelRequest: 8,
      NumberParallelRequestPerPod: 2,
      TimeoutSecondBeforeSetReplicasMin: 5,
    };
    await using fn = await world.deploy({ name: 'busy', annotations });
    const load = await caller.load({ url: urlOf(fn, '/work/300'), callers: 4 });
    await until(async () => (await fn.replicas()) >= 2, 'two replicas');
    const most = await untilAllReady(fn);
    await delay(2_000); // calls of the time with all of them
    const seen = await load.stop();
    assertNoneLost(seen);
    t.diagnostic(`${most} replicas, ${seen.calls} calls, p50 ${seen.p50} ms, p99 ${seen.p99} ms`);
    await fn.waitForReplicas(0, 60_000);
  });

  it('a HorizontalPodAutoscaler beside us keeps what it decides; we do zero', async () => {
    const annotations = { TimeoutSecondBeforeSetReplicasMin: 3 };
    await using fn = await world.deploy({ name: 'beside-hpa', annotations });
    await world.apply({
      apiVersion: 'autoscaling/v2',
      kind: 'HorizontalPodAutoscaler',
      metadata: { name: fn.name, namespace: world.namespace },
      spec: {
        scaleTargetRef: { apiVersion: 'apps/v1', kind: 'Deployment', name: fn.name },
        minReplicas: 2,
        maxReplicas: 3,
        metrics: [
          {
            type: 'Resource',
            resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } },
          },
        ],
      },
    });
    assert.equal((await world.call(fn.name)).status, 200);
    await fn.waitForReplicas(2);
    await fn.waitForReplicas(0, 60_000);
    await world.kubectl(['delete', 'hpa', fn.name, '-n', world.namespace]);
  });

  it('tools that apply its manifest again leave a sleeping function asleep, if the manifest names no count', async () => {
    const annotations = { TimeoutSecondBeforeSetReplicasMin: 3 };
    await using fn = await world.deploy({ name: 'by-git', annotations, workload: { replicas: undefined } });
    await fn.waitForReplicas(0, 60_000);
    const { apiVersion, kind, spec } = await fn.read();
    const metadata = { name: fn.name, namespace: world.namespace };
    const manifest = { apiVersion, kind, metadata, spec: { ...spec, replicas: undefined } };
    const apply = async (replicas: number | undefined, ...flags: string[]): Promise<void> => {
      const input = JSON.stringify({ ...manifest, spec: { ...manifest.spec, replicas } });
      await world.kubectl(['apply', ...flags, '-f', '-'], { input });
    };
    await apply(undefined, '--server-side', '--field-manager=git-tool', '--force-conflicts');
    await apply(undefined); // with the annotation that kubectl compares with later
    assert.equal(await fn.replicas(), 0);
    // What the webhook adds is in pods alone, so nothing differs.
    const difference = await world.tryKubectl(['diff', '-f', '-'], { input: JSON.stringify(manifest) });
    assert.deepEqual([difference.code, difference.stdout], [0, '']);
    await apply(2);
    assert.equal(await fn.replicas(), 2, 'a count in a manifest is set each time');
    await fn.waitForReplicas(0, 60_000);
  });

  it('a paused function is left alone, and its callers are told', async () => {
    const annotations = { 'slimfaas.dev/paused': 'true', 'slimfaas.dev/cold-start-timeout': 5 };
    await using fn = await world.deploy({ name: 'paused', annotations });
    const answer = await world.call(fn.name);
    assert.notEqual(answer.status, 200);
    assert.match(answer.body, /paused/);
    assert.equal(await fn.replicas(), 0);
  });

  it('a bad image: callers are told why', async () => {
    const image = 'localhost:1/no-such-image:1';
    await using fn = await world.deploy({
      name: 'bad-image',
      annotations: { 'slimfaas.dev/cold-start-timeout': 8 },
      container: { image, imagePullPolicy: 'Always' },
    });
    const answer = await world.call(fn.name);
    assert.equal(answer.status, 504, answer.body);
    assert.match(answer.body, /image/i);
  });
});

describe('rollouts under load', { concurrency: 2 }, () => {
  const CALLERS = 4;
  const Awake = { ReplicasMin: 2, NumberParallelRequestPerPod: 10 };

  async function rollsWithoutLoss(fn: Deployed, roll: () => Promise<unknown>): Promise<LoadResult> {
    await fn.waitForReady(2);
    const load = await caller.load({ url: urlOf(fn, '/work/100'), callers: CALLERS });
    await roll();
    await world.kubectl(
      ['rollout', 'status', `${String((await fn.read())['kind'])}/${fn.name}`, '-n', world.namespace],
      { timeoutMs: 90_000 },
    );
    const seen = await load.stop();
    assertNoneLost(seen);
    return seen;
  }

  it('restart, and rollback', async (t) => {
    await using fn = await world.deploy({ name: 'rolled', annotations: Awake, replicas: 2 });
    const target = [`deployment/${fn.name}`, '-n', world.namespace];
    const seen = await rollsWithoutLoss(fn, () => world.kubectl(['rollout', 'restart', ...target]));
    t.diagnostic(`restart: ${seen.calls} calls, p50 ${seen.p50} ms, max ${seen.max} ms`);
    await rollsWithoutLoss(fn, () => world.kubectl(['rollout', 'undo', ...target]));
  });

  it('a StatefulSet', async (t) => {
    await using fn = await world.deploy({
      name: 'rolled-set',
      kind: 'StatefulSet',
      annotations: Awake,
      replicas: 2,
    });
    const target = [`statefulset/${fn.name}`, '-n', world.namespace];
    const seen = await rollsWithoutLoss(fn, () => world.kubectl(['rollout', 'restart', ...target]));
    t.diagnostic(`restart: ${seen.calls} calls, p50 ${seen.p50} ms, max ${seen.max} ms`);
  });

  it('paused in the middle (kubectl rollout pause): it sleeps, wakes and answers; resumed, it is completed', async () => {
    const annotations = { TimeoutSecondBeforeSetReplicasMin: 3 };
    await using fn = await world.deploy({ name: 'paused-rollout', annotations });
    const target = [`deployment/${fn.name}`, '-n', world.namespace];
    assert.equal((await world.call(fn.name)).status, 200);
    await world.kubectl(['rollout', 'pause', ...target]);
    await world.kubectl(['set', 'env', ...target, 'VERSION=2']);
    await fn.waitForReplicas(0, 60_000);
    await until(async () => (await fn.allPods()).length === 0, 'its pods are gone');
    assert.equal((await world.call(fn.name)).status, 200, 'from zero while it is paused');
    await world.kubectl(['rollout', 'resume', ...target]);
    await world.kubectl(['rollout', 'status', ...target], { timeoutMs: 60_000 });
    assert.equal((await world.call(fn.name)).status, 200);
  });

  it('a new version whose image is bad: the old pods serve on', async () => {
    await using fn = await world.deploy({ name: 'bad-version', annotations: Awake, replicas: 2 });
    await fn.waitForReady(2);
    const load = await caller.load({ url: urlOf(fn, '/work/100'), callers: CALLERS });
    const target = [`deployment/${fn.name}`, '-n', world.namespace];
    await world.kubectl(['set', 'image', ...target, 'app=localhost:1/no-such-image:1']);
    await until(async () => (await fn.pods()).length === 3, 'a pod of the new version');
    await world.kubectl(['rollout', 'undo', ...target]);
    await world.kubectl(['rollout', 'status', ...target]);
    assertNoneLost(await load.stop());
  });
});

describe('the status', () => {
  it('lists functions, with their pods', async () => {
    await using fn = await world.deploy({ name: 'listed' });
    assert.equal((await world.call(fn.name)).status, 200);
    await fn.waitForReady(1);
    await until(async () => {
      const answer = await send(`${world.proxyUrl}/status-function/${fn.route}`);
      const [status] = JSON.parse(answer.body) as { NumberReady: number }[];
      return status?.NumberReady === 1;
    }, 'the status shows it ready');
  });
});
