/** Kubernetes tries a refused pod again after a delay that doubles; callers who wait get another try at once. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { V1Deployment } from '../../../common/kube/client.ts';
import { Nudges } from '../../../scaler/act/nudges.ts';
import { readWorkload } from '../../../common/kube/model/workload.ts';
import { Sim } from '../support/sim.ts';

const WEBHOOK = 'failed calling webhook "pods.slimfaas.dev": connection refused';

const refused = (message: string): V1Deployment['status'] => ({
  replicas: 0,
  conditions: [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message }],
});

/** A function at zero that somebody waits for, and whose pods are refused. */
async function refusedFunction(sim: Sim, name: string, message: string, annotations = {}): Promise<void> {
  sim.fn(name, 0, annotations);
  await sim.wake(name);
  sim.tellStatus(name, refused(message));
}

const nudgesOf = (sim: Sim, name: string) =>
  sim.patches.filter((patch) => patch === `${name} 1→0 nudge`).length;

test('while callers wait and no pod can be created, its controller is asked again within four seconds, and up again at once', async () => {
  const sim = new Sim();
  await refusedFunction(sim, 'fn', WEBHOOK);
  await sim.pass(60, () => sim.wake('fn').then(() => undefined));
  const count = nudgesOf(sim, 'fn');
  assert.ok(count >= 12 && count <= 30, `${count} in a minute`);
  assert.equal(sim.replicas('fn'), 1);
  const ups = sim.patches.filter((patch) => patch === 'fn 0→1 wake').length;
  assert.equal(ups, count + 1, 'each nudge ends with the count as it was');
});

test('nobody waits: nothing is asked', async () => {
  const sim = new Sim();
  await refusedFunction(sim, 'fn', WEBHOOK);
  await sim.pass(5);
  const count = nudgesOf(sim, 'fn');
  sim.proxyIsIdle('fn');
  await sim.pass(60);
  assert.equal(nudgesOf(sim, 'fn'), count);
});

for (const [what, change] of [
  ['ReplicasMin', { annotations: { 'SlimFaas/ReplicasMin': '1' } }],
  ['a paused function', { annotations: { 'slimfaas.dev/paused': 'true' } }],
  ['a pod that exists', { status: { ...refused(WEBHOOK), replicas: 1 } }],
  ['a change that its controller has not seen', { status: { ...refused(WEBHOOK), observedGeneration: 4 } }],
  ['a follower', { isLeader: false }],
  ['an autoscaler', { hasAutoscaler: true }],
] as readonly [
  string,
  { annotations?: object; status?: object; isLeader?: boolean; hasAutoscaler?: boolean },
][])
  test(`${what} keeps it from being asked`, async () => {
    const sim = new Sim();
    sim.fn('fn', 0, {});
    await sim.wake('fn');
    const annotations = { 'SlimFaas/Function': 'true', ...change.annotations };
    sim.deploy('fn', 1, annotations);
    if (change.hasAutoscaler)
      sim.reconciler.onAutoscaler({
        key: 'default/hpa',
        ownerKey: 'Deployment/default/fn',
        minReplicas: 1,
      });
    sim.isLeader = change.isLeader ?? true;
    sim.tellStatus('fn', (change.status as V1Deployment['status']) ?? refused(WEBHOOK), 5);
    if (!change.status) sim.tellStatus('fn', { ...refused(WEBHOOK), observedGeneration: 5 }, 5);
    await sim.pass(20, () => sim.wake('fn').then(() => undefined));
    assert.equal(nudgesOf(sim, 'fn'), 0);
  });

test('a webhook is back: the first pod that is created tells it, and the others are asked at once', async () => {
  const sim = new Sim();
  for (const name of ['a', 'b', 'c']) await refusedFunction(sim, name, WEBHOOK);
  await refusedFunction(sim, 'other', 'exceeded quota: full');
  const wait = async () => {
    for (const name of ['a', 'b', 'c', 'other']) await sim.wake(name);
  };
  await sim.pass(8, wait);
  const before = ['a', 'b', 'c'].map((name) => nudgesOf(sim, name));
  const otherBefore = nudgesOf(sim, 'other');
  sim.tellStatus('a', { replicas: 1, conditions: [] });
  await sim.pass(1, wait);
  const after = ['a', 'b', 'c'].map((name) => nudgesOf(sim, name));
  assert.deepEqual(
    after.map((count, i) => count - (before[i] ?? 0)),
    [0, 1, 1],
  );
  assert.ok(nudgesOf(sim, 'other') - otherBefore <= 1, 'another cause has its own pace');
});

test('while a cause lasts one function with it is tried, and the whole cluster goes through one bucket', () => {
  const nudges = new Nudges();
  const workload = (i: number, namespace: string) =>
    readWorkload('Deployment', { metadata: { name: `fn-${i}`, namespace, uid: `u${i}` } }, undefined);
  const webhook = { kind: 'refused', message: WEBHOOK } as const;
  const quota = { kind: 'quota', message: 'exceeded quota' } as const;
  let ofOneCause = 0;
  let ofMany = 0;
  for (let second = 0; second < 100; second++) {
    for (let i = 0; i < 50; i++) {
      const one = workload(i, 'shop');
      nudges.noteTrouble(one, webhook, second * 1_000);
      if (nudges.isDue(one, webhook, second * 1_000)) {
        nudges.noteNudge(one, webhook, second * 1_000);
        ofOneCause++;
      }
      const own = workload(i, `ns-${i}`);
      nudges.noteTrouble(own, quota, second * 1_000);
      if (nudges.isDue(own, quota, second * 1_000)) {
        nudges.noteNudge(own, quota, second * 1_000);
        ofMany++;
      }
    }
  }
  assert.ok(ofOneCause >= 10 && ofOneCause <= 50, `${ofOneCause} for 50 functions of one cause`);
  assert.ok(ofOneCause + ofMany <= 5 + 2 * 100, `${ofOneCause + ofMany} in all`);
});
