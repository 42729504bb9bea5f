/** From zero, through the whole system: real processes, the production manifests, the real webhook and scaler. */
import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { staysTrue, waitFor } from '../helpers/wait.ts';
import { functionManifest, NAMESPACE } from './functions.ts';
import { startWorld, type Work, type World } from './world.ts';

let world: World;
before(async () => {
  world = await startWorld({ backoffBaseMs: 200 });
});
after(() => world[Symbol.asyncDispose]());

test('the main job: asleep at zero, woken by a call, limited by its sidecar, answered, asleep again', async () => {
  await world.deploy({ name: 'main', annotations: { TimeoutSecondBeforeSetReplicasMin: 3 } });
  assert.equal(world.pods('main').length, 0);
  const answer = await world.call('main', '/hello/guillaume');
  assert.equal(answer.status, 200);
  assert.equal(answer.body, 'Hello guillaume\n');
  const [pod] = world.pods('main');
  assert.deepEqual(
    pod?.['spec'].containers.map((container: { name: string }) => container.name),
    ['app', 'slimfaas-sidecar'],
  );
  await world.waitForReplicas('main', 0);
  await waitFor(() => world.pods('main').length === 0, { what: 'its pod is gone', timeoutMs: 15_000 });
});

test('behaviour 10: zero replicas; 1,000 callers at once; all 200, one scale-up', async () => {
  await world.deploy({ name: 'crowd', annotations: { NumberParallelRequestPerPod: 10, ReplicasAtStart: 1 } });
  const record = world.recordReplicas('crowd');
  const calls = Array.from({ length: 1_000 }, (_, i) => world.call('crowd', `/hello/${i}`));
  const statuses = (await Promise.all(calls)).map(({ status }) => status);
  assert.deepEqual(new Set(statuses), new Set([200]));
  const ups = record.seen.filter((count, i) => i > 0 && count > (record.seen[i - 1] as number));
  assert.equal(ups.length, 1, `replicas were ${record.seen.join(' → ')}`);
  record.stop();
});

test('one call to a function with one place a pod is one pod, also while it is answered', async () => {
  const annotations = { NumberParallelRequest: 10, NumberParallelRequestPerPod: 1, ReplicasAtStart: 1 };
  await world.deploy({ name: 'one', annotations });
  const record = world.recordReplicas('one');
  assert.equal((await world.call('one', '/slow/2500')).status, 200);
  assert.deepEqual(record.seen, [0, 1]);
  record.stop();
});

test('behaviour 10: those who wait are served in order of arrival', async () => {
  // Nothing is scheduled until all ten groups stand in line, each complete before the next one comes.
  const release = world.system.failures.unschedulable((pod) => pod.metadata.labels?.['app'] === 'line');
  await world.deploy({ name: 'line', annotations: { NumberParallelRequestPerPod: 1 } });
  const groups: Promise<Work[]>[] = [];
  for (let group = 1; group <= 10; group++) {
    groups.push(Promise.all(Array.from({ length: 20 }, () => world.work('line', 0))));
    await waitFor(async () => (await world.waiting('line')) === group * 20, { what: `${group * 20} wait` });
  }
  release();
  const works = await Promise.all(groups);
  const order = works
    .flatMap((group, arrival) => group.map(({ startedAt }) => ({ startedAt, arrival })))
    .toSorted((a, b) => a.startedAt - b.startedAt || a.arrival - b.arrival)
    .map(({ arrival }) => arrival);
  assert.deepEqual(
    order,
    order.toSorted((a, b) => a - b),
  );
});

test('behaviour 12: scale-up cannot work; 504 with the cause in it', async () => {
  const release = world.system.failures.unschedulable((pod) => pod.metadata.labels?.['app'] === 'stuck');
  // Within this time the fault has to happen and to be known, also on a busy machine.
  const annotations = { 'slimfaas.dev/cold-start-timeout': 10 };
  await world.deploy({ name: 'stuck', annotations });
  await world.deploy({ name: 'no-image', image: 'registry.invalid/team/nothing:1', annotations });
  await world.deploy({ name: 'crashing', command: ['false'], annotations });
  const causes = {
    stuck: /Insufficient cpu/,
    'no-image': /ErrImagePull|ImagePullBackOff/,
    crashing: /CrashLoop|exit/i,
  };
  const answers = await Promise.all(Object.keys(causes).map((name) => world.call(name, '/hello/x')));
  for (const [i, cause] of Object.values(causes).entries()) {
    assert.equal(answers[i]?.status, 504);
    assert.equal(answers[i].headers['slimfaas-reason'], 'cold-start-timeout');
    assert.match(answers[i].body, cause);
  }
  release();
});

test('a fault that is cured ends: the waiting caller is served', async () => {
  const release = world.system.failures.unschedulable((pod) => pod.metadata.labels?.['app'] === 'cured');
  await world.deploy({ name: 'cured' });
  const calling = world.call('cured', '/hello/x');
  await waitFor(
    () => world.pods('cured').some((pod) => pod['status']?.conditions?.[0]?.reason === 'Unschedulable'),
    {
      what: 'a pod is unschedulable',
    },
  );
  release();
  assert.equal((await calling).status, 200);
});

test('behaviour 19: two functions, load on one; only that one scales', async () => {
  const annotations = { NumberParallelRequest: 4, NumberParallelRequestPerPod: 1 };
  await world.deploy({ name: 'quiet', annotations });
  await world.deploy({ name: 'busy', annotations });
  const quiet = world.recordReplicas('quiet');
  // Three ticks and more, under a load that one pod cannot carry.
  const until = performance.now() + 3_500;
  const client = async () => {
    do assert.equal((await world.call('busy', '/slow/100')).status, 200);
    while (performance.now() < until);
  };
  await Promise.all(Array.from({ length: 4 }, client));
  assert.ok(world.replicas('busy') > 1, 'the load scales the one');
  assert.deepEqual(quiet.seen, [0]);
  quiet.stop();
});

test('behaviour 37: an invalid annotation; default in force, fault shown, function still served', async () => {
  await world.deploy({
    name: 'faulty',
    annotations: { NumberParallelRequestPerPod: 'many', ReplicasAtStart: -2 },
  });
  assert.equal((await world.call('faulty', '/hello/x')).status, 200);
  const status = await fetch(`${world.system.proxyUrl}/status-function/faulty`);
  assert.match(await status.text(), /NumberParallelRequestPerPod/);
  await waitFor(
    () =>
      world.system.api
        .list('events', { namespace: NAMESPACE })
        .some(
          (event) =>
            event['involvedObject']?.name === 'faulty' &&
            /NumberParallelRequestPerPod/.test(event['message']),
        ),
    { what: 'a Kubernetes Event names the annotation' },
  );
});

test('a private function is unknown from outside, and no wake comes of asking', async () => {
  await world.system.apply(
    functionManifest({ name: 'secret', annotations: { DefaultVisibility: 'Private' } }),
  );
  await world.deploy({ name: 'after-secret' }); // the watch is in order: the proxy knows both by then
  const answer = await world.call('secret', '/hello/x');
  assert.equal(answer.status, 404);
  assert.equal(answer.headers['slimfaas-reason'], 'unknown-function');
  await staysTrue(() => world.replicas('secret') === 0, { what: 'secret sleeps', forMs: 2_000 });
});

test('waking by request, and ReplicasAtStart', async () => {
  await world.deploy({ name: 'woken', annotations: { ReplicasAtStart: 2 } });
  const response = await fetch(`${world.system.proxyUrl}/wake-function/woken`, { method: 'POST' });
  assert.equal(response.status, 204);
  await world.waitForReplicas('woken', 2);
});
