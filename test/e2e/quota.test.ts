/** A namespace whose quota is used up: the waiting caller learns it, growth stops, and it ends when it is cured. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { staysTrue, waitFor } from '../helpers/wait.ts';
import { NAMESPACE } from './functions.ts';
import { startWorld, type World } from './world.ts';

let world: World;
before(async () => {
  world = await startWorld({ backoffBaseMs: 200 });
});
after(() => world[Symbol.asyncDispose]());

/** As many pods as there are, and `more`. */
async function capPods(more: number): Promise<void> {
  const pods = world.system.api.list('pods', { namespace: NAMESPACE }).length + more;
  await world.system.apply(`
apiVersion: v1
kind: ResourceQuota
metadata: { name: full, namespace: ${NAMESPACE} }
spec: { hard: { pods: '${pods}' } }`);
}

const eventsOf = (name: string, reason: string) =>
  world.system.api
    .list('events', { namespace: NAMESPACE })
    .filter((event) => event['involvedObject']?.name === name && event['reason'] === reason);

test('behaviour 12: the quota allows no pod; 504 with the quota in it; served as soon as there is room', async () => {
  await world.deploy({ name: 'capped', annotations: { 'slimfaas.dev/cold-start-timeout': 10 } });
  await world.deploy({ name: 'patient' });
  const coldStart = { 'slimfaas.dev/cold-start-timeout': 10 };
  await world.deploy({ name: 'store', kind: 'StatefulSet', annotations: coldStart });
  await capPods(0);
  const refusing = world.call('capped', '/hello/x');
  const calling = world.call('patient', '/hello/x');
  const storing = world.call('store', '/hello/x');
  await waitFor(() => world.replicas('patient') === 1, { what: 'it was woken' });
  const refused = await refusing;
  assert.equal(refused.status, 504);
  assert.equal(refused.headers['slimfaas-reason'], 'cold-start-timeout');
  assert.match(refused.body, /no pod could be created: .*exceeded quota: full/);
  // A StatefulSet says it in Events alone.
  const unstored = await storing;
  assert.equal(unstored.status, 504);
  assert.match(unstored.body, /no pod could be created: .*exceeded quota: full/);

  await world.system.api.delete('resourcequotas', NAMESPACE, 'full');
  assert.equal((await calling).status, 200);
  // What is left would come up now and take the next test's room.
  for (const name of ['capped', 'patient', 'store']) {
    const resource = name === 'store' ? 'statefulsets' : 'deployments';
    await world.system.api.delete(resource, NAMESPACE, name);
    await waitFor(() => world.allPods(name).length === 0, { what: `${name} is gone`, timeoutMs: 40_000 });
  }
});

test('a quota met on the way up stops further growth, with an Event, and growth goes on when it is lifted', async () => {
  await world.deploy({
    name: 'growing',
    annotations: { NumberParallelRequest: 8, NumberParallelRequestPerPod: 1 },
  });
  await capPods(1);
  // One caller after the other: a first wake of 1 or 2 pods, of which the quota allows one.
  const calls = Array.from({ length: 3 }, () => world.call('growing', '/work/1500'));
  await waitFor(() => world.replicas('growing') >= 2, { what: 'it wants more than the quota allows' });
  const condition = () =>
    world.system.api
      .get('deployments', NAMESPACE, 'growing')
      ?.['status']?.conditions?.find((c: { type: string }) => c.type === 'ReplicaFailure');
  await waitFor(() => condition()?.status === 'True', { what: 'the API shows the quota' });
  // For the scaler's watch to bring it: nothing tells when it has, and calls before that are a wake without a quota.
  await new Promise((resolve) => setTimeout(resolve, 1_000));
  calls.push(...Array.from({ length: 5 }, () => world.call('growing', '/work/1500')));
  await waitFor(() => eventsOf('growing', 'ScalingBlocked').length > 0, { what: 'ScalingBlocked' });
  assert.match(eventsOf('growing', 'ScalingBlocked')[0]?.['message'], /quota: .*exceeded quota: full/);
  // Only now has the scaler seen the quota, and everything that it asked for before is in the count. Eight calls wait.
  const wanted = world.replicas('growing');
  assert.ok(wanted < 8, `${wanted} of 8 were asked for`);
  await staysTrue(() => world.replicas('growing') === wanted, {
    what: 'no more are asked for',
    forMs: 3_000,
  });
  await world.system.api.delete('resourcequotas', NAMESPACE, 'full');
  await waitFor(() => world.replicas('growing') > wanted, { what: 'growth goes on', timeoutMs: 20_000 });
  assert.deepEqual(new Set((await Promise.all(calls)).map(({ status }) => status)), new Set([200]));
});
