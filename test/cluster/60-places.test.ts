/** Two proxies before the same pods: turns between them, an app that crashes, and the end of one proxy and of the only one. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { openWorld, until } from './harness/world.ts';

const world = await openWorld();
const { system } = world.release;
const PROXIES = `/api/v1/namespaces/${system}/pods?labelSelector=app.kubernetes.io%2Fcomponent%3Dproxy`;
const ONE_POD = { ReplicasMin: 1, Scale: JSON.stringify({ ReplicaMax: 1 }) };

/** Addresses of the proxies that take calls. */
async function proxies(): Promise<string[]> {
  const pods = await world.list(PROXIES);
  const isUp = ({ metadata, ...pod }: (typeof pods)[number]): boolean =>
    metadata.deletionTimestamp === undefined &&
    pod['status'].conditions?.some(
      (c: { type: string; status: string }) => c.type === 'Ready' && c.status === 'True',
    );
  return pods.filter(isUp).map((pod) => `http://${pod['status'].podIP as string}:5000`);
}

async function scaleProxies(count: number): Promise<void> {
  await world.kubectl(['-n', system, 'scale', 'deployment/slimfaas-proxy', `--replicas=${count}`]);
  await until(async () => (await proxies()).length === count, `${count} proxies are ready`, 90_000);
}

describe('places over two proxies', () => {
  before(() => scaleProxies(2));
  after(() => scaleProxies(1));

  it('callers of both share a full pod', async (t) => {
    await using fn = await world.deploy({
      name: 'fair',
      replicas: 1,
      annotations: { ...ONE_POD, NumberParallelRequestPerPod: 4 },
    });
    await fn.waitForReady(1);
    const caller = await world.caller();
    const bases = await proxies();
    const loads = await Promise.all(
      bases.map((base) => caller.load({ url: `${base}/function/${fn.route}/work/100`, callers: 8 })),
    );
    await new Promise((resolve) => setTimeout(resolve, 10_000));
    const results = await Promise.all(loads.map((load) => load.stop()));
    const line = results.map(
      ({ calls, p50, p99, max }) => `${calls} answers, p50 ${p50}, p99 ${p99}, max ${max} ms`,
    );
    t.diagnostic(line.join('; '));
    const counts = results.map(({ calls }) => calls);
    assert.deepEqual(
      results.flatMap(({ failures }) => failures),
      [],
    );
    assert.ok(Math.max(...counts) <= 1.2 * Math.min(...counts), line.join('; '));
  });

  it('a crashed app’s calls are answered by another pod', async (t) => {
    await using fn = await world.deploy({
      name: 'crashing',
      replicas: 2,
      annotations: { ReplicasMin: 2, Scale: JSON.stringify({ ReplicaMax: 2 }) },
    });
    await fn.waitForReady(2);
    const caller = await world.caller();
    const [base = ''] = await proxies();
    const load = await caller.load({ url: `${base}/function/${fn.route}/work/20`, callers: 4 });
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    await caller.call(`http://${(await fn.pods())[0]?.['status'].podIP as string}:5000/exit`);
    await new Promise((resolve) => setTimeout(resolve, 4_000));
    const { calls, failures, p50, max } = await load.stop();
    t.diagnostic(`${calls} answers, p50 ${p50} ms, longest ${max} ms`);
    assert.deepEqual(failures, []);
    assert.ok(max < 8_000, `the longest took ${max} ms`);
  });

  it('a proxy that is evicted costs no call', async (t) => {
    await using fn = await world.deploy({ name: 'evicted', replicas: 1, annotations: ONE_POD });
    await fn.waitForReady(1);
    await callWhile(t, fn.route, async () => {
      const pod = (await world.list(PROXIES))[0]?.metadata.name ?? '';
      await evict(pod);
      await until(
        async () => !(await names()).includes(pod) && (await proxies()).length === 2,
        'it is replaced',
        200_000,
      );
    });
  });
});

describe('the only proxy', () => {
  it('that is evicted costs no call', async (t) => {
    await using fn = await world.deploy({ name: 'alone', replicas: 1, annotations: ONE_POD });
    await fn.waitForReady(1);
    await callWhile(t, fn.route, async () => {
      const [pod = ''] = await names();
      await evict(pod);
      await until(async () => !(await names()).includes(pod), 'it has gone', 200_000);
    });
  });
});

async function names(): Promise<string[]> {
  return (await world.list(PROXIES)).map(({ metadata }) => metadata.name);
}

async function evict(name: string): Promise<void> {
  const body = { apiVersion: 'policy/v1', kind: 'Eviction', metadata: { name, namespace: system } };
  const { status, text } = await world.send(
    'POST',
    `/api/v1/namespaces/${system}/pods/${name}/eviction`,
    body,
  );
  assert.equal(status, 201, text);
}

/** Calls through the Service all the while; none may fail. */
async function callWhile(
  t: { diagnostic(text: string): void },
  route: string,
  happens: () => Promise<void>,
): Promise<void> {
  const caller = await world.caller();
  const load = await caller.load({
    url: `${world.insideUrl}/function/${route}/hello`,
    callers: 4,
    paceMs: 20,
  });
  try {
    await happens();
  } finally {
    const { calls, failures, max } = await load.stop();
    t.diagnostic(`${calls} answers, longest ${max} ms, ${failures.length} failed`);
    assert.deepEqual(failures, []);
  }
}
