/**
 * A part or a pod goes, under load from inside the cluster. One case after the other: each leaves everything healthy.
 */
import assert from 'node:assert/strict';
import { after, before, it } from 'node:test';
import { send } from '../helpers/send.ts';
import type { Caller, LoadResult } from './harness/caller.ts';
import type { KubeObject } from './harness/clients.ts';
import { createFaults, whyNoFaults, type ClusterPart } from './harness/faults.ts';
import { openWorld, until, type Deployed } from './harness/world.ts';

const world = await openWorld();
const { settings } = world.context;
const { system } = world.release;
const faults = createFaults(settings);
let caller: Caller;
let fn: Deployed;

before(async () => {
  caller = await world.caller();
  fn = await world.deploy({ name: 'steady', annotations: { ReplicasMin: 2 }, replicas: 2 });
  await world.kubectl(['scale', '-n', system, 'deployment/slimfaas-proxy', '--replicas=2']);
  await healthy();
});
after(async () => {
  await world.kubectl(['scale', '-n', system, 'deployment/slimfaas-proxy', '--replicas=1']);
  await fn[Symbol.asyncDispose]();
});

/** Everything that is installed is ready, the function has its two pods, and what was to go is gone. */
async function healthy(): Promise<void> {
  const paths = ['deployments', 'statefulsets'].map((kind) => `/apis/apps/v1/namespaces/${system}/${kind}`);
  const isHealthy = async (): Promise<boolean> => {
    const all = (await Promise.all(paths.map((path) => world.list(path)))).flat();
    const pods = [...(await world.list(`/api/v1/namespaces/${system}/pods`)), ...(await fn.allPods())];
    return (
      pods.every(({ metadata }) => metadata.deletionTimestamp === undefined) &&
      [...all, await fn.read()].every(({ spec, status }) => (status?.readyReplicas ?? 0) === spec.replicas)
    );
  };
  await until(isHealthy, 'all parts and the function are ready', 120_000);
}

/** Those that are about to go, too. */
async function partPods(part: string): Promise<string[]> {
  const query = `labelSelector=${encodeURIComponent(`app.kubernetes.io/component=${part}`)}`;
  const pods = await world.list(`/api/v1/namespaces/${system}/pods?${query}`);
  return pods.map(({ metadata }) => metadata.name);
}

/** Calls go on while `loss` happens and until everything is healthy again. */
async function underLoad(loss: () => Promise<unknown>): Promise<LoadResult> {
  const order = { url: `${world.insideUrl}/function/${fn.route}/work/50`, callers: 4, paceMs: 60 };
  const load = await caller.load(order);
  try {
    await loss();
    await healthy();
  } finally {
    await new Promise((resolve) => setTimeout(resolve, 1_000)); // some calls of the time after
  }
  return load.stop();
}

function assertNoneLost({ calls, failures }: LoadResult): void {
  assert.ok(calls > 0);
  assert.deepEqual(failures.slice(0, 3), [], `${failures.length} of ${calls} calls failed`);
}

const figure = ({ calls, failures, p50, p99, max }: LoadResult): string =>
  `${calls} calls, ${failures.length} failed, p50 ${p50} ms, p99 ${p99} ms, max ${max} ms`;
const podOf = async (): Promise<string> => String((await fn.pods())[0]?.metadata.name);

it('a pod of the function is deleted', async (t) => {
  const seen = await underLoad(async () =>
    world.kubectl(['delete', 'pod', '-n', world.namespace, await podOf()]),
  );
  t.diagnostic(figure(seen));
  assertNoneLost(seen);
});

it('a pod of the function is evicted', async (t) => {
  const seen = await underLoad(async () => {
    const name = await podOf();
    const metadata = { name, namespace: world.namespace };
    const eviction = { apiVersion: 'policy/v1', kind: 'Eviction', metadata };
    const path = `/api/v1/namespaces/${world.namespace}/pods/${name}/eviction`;
    assert.equal((await world.send('POST', path, eviction)).status, 201);
  });
  t.diagnostic(figure(seen));
  assertNoneLost(seen);
});

it('a pod of the function is deleted by force: only what ran in it may fail', async (t) => {
  const seen = await underLoad(async () =>
    world.kubectl(['delete', 'pod', '-n', world.namespace, await podOf(), '--force', '--grace-period=0']),
  );
  t.diagnostic(figure(seen));
  assert.ok(seen.failures.length <= 4, JSON.stringify(seen.failures.slice(0, 5)));
});

it('the proxies are restarted', async (t) => {
  const seen = await underLoad(async () => {
    await world.kubectl(['rollout', 'restart', '-n', system, 'deployment/slimfaas-proxy']);
    await world.kubectl(['rollout', 'status', '-n', system, 'deployment/slimfaas-proxy']);
  });
  t.diagnostic(figure(seen));
  assertNoneLost(seen);
});

it('one of two proxies is deleted', async (t) => {
  const seen = await underLoad(async () => {
    const [pod = ''] = await partPods('proxy');
    await world.kubectl(['delete', 'pod', '-n', system, pod, '--wait=false']);
  });
  t.diagnostic(figure(seen));
  assertNoneLost(seen);
});

it('the scaler that leads is killed while callers wait at zero', async (t) => {
  await using cold = await world.deploy({ name: 'cold-leader' });
  const path = `/apis/coordination.k8s.io/v1/namespaces/${system}/leases/slimfaas-scaler`;
  const leader = String((await world.get(path))?.['spec'].holderIdentity).split('@')[0] as string;
  const kill = ['delete', 'pod', '-n', system, leader, '--force', '--grace-period=0'];
  const [, answer] = await Promise.all([world.kubectl(kill), world.call(cold.name)]);
  assert.equal(answer.status, 200, answer.body);
  t.diagnostic(`answered after ${(answer.ms / 1_000).toFixed(1)} s`);
  await healthy();
});

it('NATS is killed: warm calls flow on, no accepted job is lost, and none runs twice', async (t) => {
  await using worker = await world.deploy({
    name: 'worker',
    annotations: { NumberParallelRequestPerPod: 8, ReplicasMin: 2 },
    replicas: 2,
  });
  await worker.waitForReady(2);
  const accepted = new Map<string, string>();
  const post = async (id: string, ms = 0): Promise<void> => {
    const url = `${world.proxyUrl}/async-function/${worker.route}/keep/${id}/${ms}`;
    const { status, headers } = await send(url, { method: 'POST' });
    if (status === 201) accepted.set(id, String(headers['slimfaas-element-id']));
  };
  const seen = await underLoad(async () => {
    for (let i = 0; i < 20; i += 1) await post(`before-${i}`);
    for (let i = 0; i < 4; i += 1) await post(`long-${i}`, 15_000);
    await until(async () => (await keptIn(worker, 2)).length === 24, 'the long ones run');
    const nats = 'slimfaas-nats-0';
    await world.kubectl(['delete', 'pod', '-n', system, nats, '--force', '--grace-period=0']);
    for (let i = 0; i < 20; i += 1) await post(`while-${i}`);
    await healthy();
    for (let i = 0; i < 20; i += 1) await post(`after-${i}`);
  });
  assertNoneLost(seen);
  // What has its end on record is not run again, so the count is final then.
  for (const [id, element] of accepted) {
    const url = `${world.proxyUrl}/async-function-job/${worker.route}/${element}`;
    await until(async () => /"state":"done"/.test((await send(url)).body), `${id} is done`);
  }
  assert.deepEqual((await keptIn(worker, 2)).toSorted(), [...accepted.keys()].toSorted());
  t.diagnostic(`${figure(seen)}; ${accepted.size} of 64 jobs accepted, each of them run once`);
});

/** What all pods of an app remember; see apps/app.ts. */
async function keptIn({ name }: { readonly name: string }, pods: number): Promise<string[]> {
  const byPod = new Map<string, string[]>();
  await until(async () => {
    const { pod, kept } = JSON.parse((await world.call(name, '/kept')).body) as {
      pod: string;
      kept: string[];
    };
    return byPod.set(pod, kept).size === pods;
  }, 'each pod has said what it has run');
  return [...byPod.values()].flat();
}

it('the webhook is away: back, a caller that waited at zero is answered', async (t) => {
  const scale = (count: number) =>
    world.kubectl(['scale', '-n', system, 'deployment/slimfaas-webhook', `--replicas=${count}`]);
  const annotations = { 'slimfaas.dev/cold-start-timeout': 120 };
  await using cold = await world.deploy({ name: 'no-webhook', annotations });
  await scale(0);
  try {
    await until(async () => (await partPods('webhook')).length === 0, 'no webhook is left');
    const answer = world.call(cold.name);
    await until(async () => /FailedCreate/.test(await eventsOf(cold.name)), 'its pod is refused');
    await scale(2);
    const backAt = Date.now();
    const { status, body } = await answer;
    assert.equal(status, 200, body);
    t.diagnostic(`answered ${((Date.now() - backAt) / 1_000).toFixed(1)} s after the webhook was asked back`);
  } finally {
    await scale(2);
    await healthy();
  }
});

async function eventsOf(name: string): Promise<string> {
  const events = await world.list(`/api/v1/namespaces/${world.namespace}/events`);
  const about = events.filter(({ involvedObject }) => String(involvedObject?.name).startsWith(name));
  return about.map(({ reason, message }) => `${String(reason)} ${String(message)}`).join('\n');
}

it('the webhook’s certificates are broken: they are made again, and pods start all the while', async (t) => {
  const path = `/api/v1/namespaces/${system}/secrets/slimfaas-webhook-tls`;
  const broken = Buffer.from('broken').toString('base64');
  await world.send('PATCH', path, { data: { 'tls.crt': broken } }, 'application/merge-patch+json');
  const brokenAt = Date.now();
  await using cold = await world.deploy({ name: 'new-certificate' });
  let wakes = 0;
  const isMadeAgain = async (): Promise<boolean> => {
    const answer = await world.call(cold.name);
    assert.equal(answer.status, 200, answer.body);
    wakes += 1;
    await cold.patch({ spec: { replicas: 0 } });
    await until(async () => (await cold.allPods()).length === 0, 'it sleeps');
    return (await world.get(path))?.['data']['tls.crt'] !== broken;
  };
  await until(isMadeAgain, 'the certificate is made again', 90_000);
  t.diagnostic(
    `after ${((Date.now() - brokenAt) / 1_000).toFixed(0)} s; ${wakes} calls from zero were answered`,
  );
  assert.ok(await isMadeAgain());
});

it('the app is killed for its memory: its pod serves again', async () => {
  const memory = { requests: { memory: '64Mi' }, limits: { memory: '96Mi' } };
  await using hog = await world.deploy({ name: 'hog', container: { resources: memory } });
  assert.equal((await world.call(hog.name)).status, 200);
  const Idempotent = { method: 'POST' };
  const { status } = await world.call(hog.name, '/hog', Idempotent);
  assert.ok(status >= 500, `the call that was cut answers ${status}`);
  await until(async () => (await world.call(hog.name)).status === 200, 'it serves again', 90_000);
  await until(
    async () => (await hog.pods()).some((pod) => restartsOf(pod, 'app') >= 1),
    'a restart of the app',
  );
});

function restartsOf({ status }: KubeObject, container: string): number {
  const all = (status?.containerStatuses ?? []) as { name: string; restartCount: number }[];
  return all.find(({ name }) => name === container)?.restartCount ?? 0;
}

for (const part of ['kubelet', 'kube-proxy', 'api-server'] satisfies ClusterPart[])
  it(`${part} is away for ten seconds`, { skip: whyNoFaults(settings) ?? false }, async (t) => {
    const seen = await underLoad(async () => {
      await faults.stop(part);
      await new Promise((resolve) => setTimeout(resolve, 10_000));
      await faults.start(part);
    });
    t.diagnostic(figure(seen));
    assertNoneLost(seen);
    // Pods reach the API server by its Service again when kube-proxy has heard of it: it waits up to 30 s between tries.
    await until(
      async () => (await send(`${world.proxyUrl}/ready`)).status === 200,
      'the proxy sees the cluster',
      90_000,
    );
    await using cold = await world.deploy({ name: `after-${part}` });
    const answer = await world.call(cold.name);
    assert.equal(answer.status, 200, answer.body);
    t.diagnostic(`from zero afterwards ${(answer.ms / 1_000).toFixed(1)} s`);
  });

it('the node is drained', { skip: settings.isExclusive ? false : 'CLUSTER_EXCLUSIVE is not 1' }, async () => {
  const [pod] = await fn.pods();
  const node = String(pod?.['spec'].nodeName);
  try {
    const only = `--pod-selector=app=${fn.name}`;
    const seen = await underLoad(async () => {
      // Its pods go, and nowhere else may new ones start but on this node: callers wait until it is back.
      await world.kubectl(['drain', node, only, '--delete-emptydir-data', '--timeout=60s']);
      await world.kubectl(['uncordon', node]);
    });
    assertNoneLost(seen);
  } finally {
    await world.kubectl(['uncordon', node]);
  }
});
