/** Why a function that is wanted has no ready pod: in its faults, once for each cause. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { V1Deployment } from '../../../common/kube/client.ts';
import { coldStartFault } from '../../../scaler/faults/cold-start-faults.ts';
import { showFunction } from '../../../scaler/status/views.ts';
import { Sim } from '../support/sim.ts';

const start = { replicas: 1, readyPods: 0, troubles: [], startingMs: 0, timeoutMs: 20_000 };

test('what fails is told at once; what is only slow, when callers have given up', () => {
  const quota = { kind: 'quota', message: 'exceeded quota: full' } as const;
  const pulling = {
    kind: 'pulling',
    message: 'container app: its image shop:1 is still being pulled',
  } as const;
  assert.equal(coldStartFault(start), undefined);
  assert.equal(
    coldStartFault({ ...start, troubles: [quota] })?.message,
    'no pod comes up: quota: exceeded quota: full',
  );
  assert.equal(coldStartFault({ ...start, troubles: [quota], readyPods: 1 }), undefined);
  assert.equal(coldStartFault({ ...start, troubles: [quota], replicas: 0 }), undefined);
  assert.equal(coldStartFault({ ...start, troubles: [pulling], startingMs: 19_000 }), undefined);
  assert.equal(
    coldStartFault({ ...start, troubles: [pulling], startingMs: 20_000 })?.message,
    'no pod was ready 20 s after it was woken: container app: its image shop:1 is still being pulled',
  );
  assert.match(
    coldStartFault({ ...start, startingMs: 20_000 })?.message ?? '',
    /Kubernetes says nothing of why/,
  );
});

test('a refused wake is a fault at once, through nudges, and until a pod is ready', async () => {
  const sim = new Sim();
  const told: (readonly string[])[] = [];
  sim.onFaults = (name, faults) => void (name === 'fn' && told.push(faults));
  sim.fn('fn', 0, {});
  await sim.wake('fn');
  const refused = (message: string): V1Deployment['status'] => ({
    replicas: 0,
    conditions: [{ type: 'ReplicaFailure', status: 'True', reason: 'FailedCreate', message }],
  });
  const waits = () => sim.wake('fn').then(() => undefined);
  for (let i = 0; i < 10; i++) {
    sim.tellStatus('fn', refused(`exceeded quota: full, try ${i}`));
    await sim.pass(2, waits);
  }
  assert.deepEqual(told, [['no pod comes up: quota: exceeded quota: full, try 0']], 'one cause is told once');
  sim.tellStatus('fn', { replicas: 1, readyReplicas: 1, conditions: [] });
  sim.pod('fn', 'p');
  await sim.pass(1);
  assert.deepEqual(told.at(-1), []);
});

const REFUSED = 'port 8080 refuses connections: ECONNREFUSED';

test('what the pod’s sidecar found is in the fault and in the status', async () => {
  const sim = new Sim();
  sim.fn('fn', 0, { 'slimfaas.dev/cold-start-timeout': '5' });
  await sim.wake('fn');
  sim.pod('fn', 'p', { isReady: false });
  await sim.pass(6, () => sim.report('fn', 'p', { trouble: REFUSED }));
  const said = `pod p: its app takes no calls: ${REFUSED}`;
  assert.deepEqual(sim.faults.get('fn'), [`no pod was ready 5 s after it was woken: ${said}`]);
  const view = showFunction(sim.reconciler, { namespace: 'default', name: 'fn' });
  assert.deepEqual(view?.troubles, [{ kind: 'not-ready', message: said }]);
});

test('a pod that Kubernetes calls ready and whose app takes no calls is not ready', async () => {
  const sim = new Sim();
  sim.fn('fn', 1, { 'slimfaas.dev/cold-start-timeout': '5', 'SlimFaas/ReplicasMin': '1' });
  sim.pod('fn', 'p');
  await sim.pass(3, () => sim.report('fn', 'p'));
  const ready = () => showFunction(sim.reconciler, { namespace: 'default', name: 'fn' })?.ready;
  assert.equal(ready(), 1);
  sim.report('fn', 'p', { trouble: REFUSED });
  assert.equal(ready(), 0);
  await sim.pass(4);
  assert.deepEqual(sim.faults.get('fn') ?? [], []);
  await sim.pass(2);
  const message = `no pod has taken calls for 5 s: pod p: its app takes no calls: ${REFUSED}`;
  assert.deepEqual(sim.faults.get('fn'), [message]);
  sim.report('fn', 'p');
  await sim.pass(1);
  assert.deepEqual([sim.faults.get('fn'), ready()], [[], 1]);
});

test('what Kubernetes says fails goes before it', async () => {
  const sim = new Sim();
  sim.fn('fn', 1);
  sim.pod('fn', 'p', { isReady: false, crashes: 3 });
  sim.report('fn', 'p', { trouble: REFUSED });
  await sim.pass(1);
  assert.match(sim.faults.get('fn')?.join() ?? '', /^no pod comes up: crash-loop: container app: /);
});
