/** Why a function that is wanted has no ready pod: in its faults, once for each cause. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { V1Deployment } from '../../common/kube/client.ts';
import { coldStartFault } from '../../scaler/cold-start-faults.ts';
import { Sim } from './support/sim.ts';

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
