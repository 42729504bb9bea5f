/** Cold starts that fail: the workload says why, and after the cure callers do not wait for Kubernetes' back-off. */
import assert from 'node:assert/strict';
import { after, it } from 'node:test';
import { send, type Answer } from '../helpers/send.ts';
import { openWorld, until } from './harness/world.ts';

const world = await openWorld();
const { system } = world.release;
const PATIENT = { 'slimfaas.dev/cold-start-timeout': 180 };

const events = async (name: string): Promise<string> => {
  const all = await world.list(`/api/v1/namespaces/${world.namespace}/events`);
  const about = all.filter(({ involvedObject }) => involvedObject?.name === name);
  return about.map(({ type, reason, message }) => `${type} ${reason}: ${message}`).join('\n');
};

const faults = async (route: string): Promise<string> => {
  const { body } = await send(`${world.proxyUrl}/status-function/${route}`);
  return (JSON.parse(body) as { Faults: { problem: string }[] }[])
    .flatMap(({ Faults }) => Faults.map(({ problem }) => problem))
    .join('\n');
};

/** Long enough for Kubernetes to be at delays of 10 s and more. */
const RETRIED = 6;

async function isTriedAgain(name: string): Promise<boolean> {
  const all = await world.list(`/api/v1/namespaces/${world.namespace}/events`);
  const failures = all.filter(
    ({ involvedObject, reason }) =>
      reason === 'FailedCreate' && String(involvedObject?.name).startsWith(name),
  );
  return failures.reduce((sum, { count }) => sum + ((count as number | undefined) ?? 1), 0) >= RETRIED;
}

async function isAnsweredSoon(answer: Promise<Answer>, curedAtMs: number): Promise<string> {
  const { status, body } = await answer;
  assert.equal(status, 200, body);
  return `answered ${((Date.now() - curedAtMs) / 1_000).toFixed(1)} s after the cure`;
}

it('the webhook is away for a while: said on the workload, and served soon after it is back', async (t) => {
  const scale = (count: number) =>
    world.kubectl(['scale', '-n', system, 'deployment/slimfaas-webhook', `--replicas=${count}`]);
  const path = `/apis/apps/v1/namespaces/${system}/deployments/slimfaas-webhook`;
  const ready = async () => ((await world.get(path))?.['status']?.readyReplicas as number | undefined) ?? 0;
  const before = await ready();
  after(() => scale(before));
  await using fn = await world.deploy({ name: 'unhooked', annotations: PATIENT });
  await scale(0);
  // One that ends answers for some seconds more.
  const pods = `/api/v1/namespaces/${system}/pods?labelSelector=app.kubernetes.io%2Fcomponent%3Dwebhook`;
  await until(async () => (await world.list(pods)).length === 0, 'no webhook is left');
  const answer = world.call(fn.name);
  await until(
    async () => /Warning ColdStartFailing: .*webhook/.test(await events(fn.name)),
    'the Event says why',
  );
  assert.match(await faults(fn.route), /no pod can be created: .*webhook/);
  await until(() => isTriedAgain(fn.name), 'its pods are refused again and again');
  await scale(before);
  await until(async () => (await ready()) === before, 'the webhook is back');
  t.diagnostic(await isAnsweredSoon(answer, Date.now()));
});

it('a quota allows no pod: said on the workload, and served soon after there is room', async (t) => {
  const quota = `/api/v1/namespaces/${world.namespace}/resourcequotas/no-pods`;
  await using fn = await world.deploy({ name: 'unroomed', annotations: PATIENT });
  await world.apply({
    apiVersion: 'v1',
    kind: 'ResourceQuota',
    metadata: { name: 'no-pods', namespace: world.namespace },
    spec: { hard: { pods: '0' } },
  });
  after(() => world.send('DELETE', quota));
  await until(async () => (await world.get(quota))?.['status']?.hard !== undefined, 'the quota holds');
  const answer = world.call(fn.name);
  await until(
    async () => /Warning ColdStartFailing: .*quota/.test(await events(fn.name)),
    'the Event says why',
  );
  assert.match(await faults(fn.route), /no pod can be created: .*exceeded quota/);
  await until(() => isTriedAgain(fn.name), 'its pods are refused again and again');
  await world.send('DELETE', quota);
  t.diagnostic(await isAnsweredSoon(answer, Date.now()));
});

it('a pod that no node fits: said on the workload', async () => {
  await using fn = await world.deploy({
    name: 'unfit',
    annotations: { 'slimfaas.dev/cold-start-timeout': 10 },
    pod: { nodeSelector: { 'slimfaas.dev/no-such-node': 'true' } },
  });
  const answer = await world.call(fn.name);
  assert.equal(answer.status, 504);
  assert.match(answer.body, /cannot be scheduled/);
  await until(
    async () => /Warning ColdStartFailing: .*unschedulable/.test(await events(fn.name)),
    'the Event',
  );
  assert.match(await faults(fn.route), /cannot be scheduled/);
});

it('an app on another port than its manifest says: 504 in time, and the port and the error on the workload', async () => {
  const annotations = { 'slimfaas.dev/cold-start-timeout': 10 };
  const container = { ports: [{ containerPort: 8080 }], readinessProbe: undefined };
  await using fn = await world.deploy({ name: 'wrong-port', annotations, container });
  const why = 'port 8080 refuses connections: ECONNREFUSED';
  const { status, body } = await world.call(fn.name);
  assert.equal(status, 504);
  assert.ok(body.includes(why), body);
  await until(
    async () => new RegExp(`Warning ColdStartFailing: .*${why}`).test(await events(fn.name)),
    'the Event says why',
  );
});

it('one post to a function at zero, one place a pod: one pod', async () => {
  const annotations = { NumberParallelRequest: 5, NumberParallelRequestPerPod: 1 };
  await using fn = await world.deploy({ name: 'one-job', annotations });
  const counts = new Set<number>();
  const watching = { isOver: false };
  const watched = (async () => {
    while (!watching.isOver) counts.add(await fn.replicas());
  })();
  const posted = await send(`${world.proxyUrl}/async-function/${fn.route}/work/3000`);
  assert.equal(posted.status, 201, posted.body);
  const job = `${world.proxyUrl}${String(posted.headers['location'])}`;
  const isDone = async () => /"state":\s*"done"/.test((await send(job)).body);
  await until(isDone, 'the job has run');
  watching.isOver = true;
  await watched;
  assert.deepEqual([...counts].toSorted(), [0, 1]);
});
