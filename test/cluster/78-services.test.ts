/** slimfaas.dev/services: wake. Callers use a function's own Service, and never notice that it sleeps. */
import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { KubeObject } from './harness/clients.ts';
import { openWorld, until, type Deployed } from './harness/world.ts';

const world = await openWorld();
const caller = await world.caller();
const { namespace } = world;
const WAKE = { 'slimfaas.dev/services': 'wake' };

async function addService(name: string, spec: Record<string, unknown> = {}): Promise<AsyncDisposable> {
  const ports = [{ port: 80, targetPort: 5000 }];
  const metadata = { name, namespace };
  await world.apply({
    apiVersion: 'v1',
    kind: 'Service',
    metadata,
    spec: { selector: { app: name }, ports, ...spec },
  });
  return {
    [Symbol.asyncDispose]: async () =>
      void (await world.kubectl(['delete', 'service', name, '-n', namespace, '--wait=false'])),
  };
}

const urlOf = (name: string, path = '/hello'): string => `http://${name}.${namespace}${path}`;
const slicePath = (name: string): string =>
  `/apis/discovery.k8s.io/v1/namespaces/${namespace}/endpointslices/${name}-slimfaas`;

async function namedBy(name: string): Promise<readonly Record<string, unknown>[]> {
  const slice = await world.get(slicePath(name));
  return (slice?.['endpoints'] as Record<string, unknown>[] | null | undefined) ?? [];
}

/** A new Service's address refuses until kube-proxy has written its rules, which nobody tells. */
const KUBE_PROXY_MS = 3_000;

async function leadsToProxies(name: string): Promise<void> {
  await until(async () => (await namedBy(name)).length > 0, `${name} leads to the proxies`);
  await delay(KUBE_PROXY_MS);
}

/** Whoever calls wakes it again at once. */
async function putToSleep(fn: Deployed): Promise<void> {
  const names = new Set((await fn.pods()).map(({ metadata }) => metadata.name));
  await world.kubectl(['scale', '--replicas=0', `deployment/${fn.name}`, '-n', namespace]);
  const isOver = async () => (await fn.pods()).every(({ metadata }) => !names.has(metadata.name));
  await until(isOver, `the pods of ${fn.name} end`);
}

async function sleeps(fn: Deployed): Promise<void> {
  await fn.waitForReplicas(0, 60_000);
  await until(async () => (await fn.allPods()).length === 0, `the pods of ${fn.name} are gone`, 60_000);
}

describe('by its Service', () => {
  it('from zero, warm, and from zero again; path, Host and headers as they were', async (t) => {
    await using fn = await world.deploy({
      name: 'by-url',
      annotations: { ...WAKE, TimeoutSecondBeforeSetReplicasMin: 3 },
    });
    await using _ = await addService(fn.name);
    await leadsToProxies(fn.name);
    const headers = { 'X-Mine': 'a' };
    for (const round of ['first', 'second']) {
      const cold = await caller.call(urlOf(fn.name, '/echo?a=1'), headers);
      assert.equal(cold.status, 200, cold.body);
      const seen = JSON.parse(cold.body) as { url: string; headers: Record<string, string> };
      assert.equal(seen.url, '/echo?a=1');
      assert.deepEqual(
        { ...seen.headers, connection: '' },
        { 'x-mine': 'a', host: `${fn.name}.${namespace}`, connection: '' },
      );
      t.diagnostic(`${round} call: ${cold.endedAt - cold.begunAt} ms`);
      const warm = await caller.call(urlOf(fn.name));
      assert.equal(warm.status, 200);
      t.diagnostic(`warm: ${warm.endedAt - warm.begunAt} ms`);
      await sleeps(fn);
    }
  });

  it('warm, it leads to the pods alone; the slice says all that readers look for', async () => {
    await using fn = await world.deploy({ name: 'no-hop', annotations: WAKE });
    await using _ = await addService(fn.name);
    await leadsToProxies(fn.name);
    const [endpoint] = await namedBy(fn.name);
    assert.deepEqual(endpoint?.['conditions'], { ready: true, serving: true, terminating: false });
    assert.ok(endpoint['nodeName']);
    const { metadata } = (await world.get(slicePath(fn.name))) as KubeObject;
    const owners = metadata['ownerReferences'] as unknown as { kind: string; uid: string }[];
    const role = await world.get(
      `/apis/rbac.authorization.k8s.io/v1/clusterroles/slimfaas-${world.release.system}-services`,
    );
    assert.deepEqual(
      owners.map(({ kind, uid }) => [kind, uid]),
      [['ClusterRole', role?.metadata['uid']]],
    );
    assert.equal((await caller.call(urlOf(fn.name))).status, 200);
    await until(async () => (await namedBy(fn.name)).length === 0, 'the slice names nobody');
    assert.equal((await caller.call(urlOf(fn.name))).status, 200);
  });

  it('a port that a container names, and bytes that are no HTTP', async () => {
    await using fn = await world.deploy({
      name: 'by-port-name',
      annotations: WAKE,
      container: { ports: [{ name: 'talk', containerPort: 5000 }] },
    });
    await using _ = await addService(fn.name, { ports: [{ port: 8080, targetPort: 'talk' }] });
    await leadsToProxies(fn.name);
    assert.equal((await caller.call(`http://${fn.name}.${namespace}:8080/hello`)).status, 200);
  });

  it('a wake that fails is told, and names nothing from inside', async () => {
    await using fn = await world.deploy({
      name: 'by-bad-image',
      annotations: { ...WAKE, 'slimfaas.dev/cold-start-timeout': 8 },
      container: { image: 'localhost:1/no-such-image:1', imagePullPolicy: 'Always' },
    });
    await using _ = await addService(fn.name);
    await leadsToProxies(fn.name);
    const answer = await caller.call(urlOf(fn.name));
    assert.equal(answer.status, 504, answer.body);
    assert.match(answer.body, /cold-start-timeout.*its operators see why/);
  });

  it('a headless one is left alone, and an Event says why', async () => {
    await using fn = await world.deploy({ name: 'headless', annotations: WAKE });
    await using _ = await addService(fn.name, { clusterIP: 'None' });
    await until(async () => {
      const events = await world.list(`/api/v1/namespaces/${namespace}/events`);
      return events.some((event) => /headless \(clusterIP: None\)/.test(String(event['message'])));
    }, 'an Event about it');
    assert.equal(await world.get(slicePath(fn.name)), undefined);
  });

  it('without the annotation, and without the Service, the slice goes', async () => {
    await using fn = await world.deploy({ name: 'by-turns', annotations: WAKE });
    await using service = await addService(fn.name);
    await leadsToProxies(fn.name);
    await service[Symbol.asyncDispose]();
    await until(async () => (await world.get(slicePath(fn.name))) === undefined, 'the slice is gone');
    await addService(fn.name);
    await leadsToProxies(fn.name);
    const annotations = { 'slimfaas.dev/services': 'ignore' };
    await fn.patch({ spec: { template: { metadata: { annotations } } } });
    await until(async () => (await world.get(slicePath(fn.name))) === undefined, 'the slice is gone again');
  });
});

describe('under load', () => {
  it('sleeps, wakes, a rollout and another proxy: no call fails', async (t) => {
    await using fn = await world.deploy({
      name: 'never-fails',
      annotations: { ...WAKE, TimeoutSecondBeforeSetReplicasMin: 600 },
    });
    await using _ = await addService(fn.name);
    await leadsToProxies(fn.name);
    const load = await caller.load({
      url: urlOf(fn.name, '/work/20'),
      callers: 16,
      paceMs: 200,
      isFresh: true,
    });
    const target = [`deployment/${fn.name}`, '-n', namespace];
    for (let sleep = 0; sleep < 3; sleep++) {
      await fn.waitForReady(1);
      await delay(4_000); // the slice is emptied meanwhile
      await putToSleep(fn);
    }
    await fn.waitForReady(1);
    await world.kubectl(['rollout', 'restart', ...target]);
    await world.kubectl(['rollout', 'status', ...target], { timeoutMs: 90_000 });
    const system = world.release.system;
    await world.kubectl(['rollout', 'restart', 'deployment/slimfaas-proxy', '-n', system]);
    await world.kubectl(['rollout', 'status', 'deployment/slimfaas-proxy', '-n', system], {
      timeoutMs: 90_000,
    });
    await putToSleep(fn);
    await fn.waitForReady(1);
    const seen = await load.stop();
    t.diagnostic(`${seen.calls} calls, p50 ${seen.p50} ms, max ${seen.max} ms`);
    assert.ok(seen.calls > 500);
    assert.deepEqual(seen.failures.slice(0, 5), [], `${seen.failures.length} of ${seen.calls} calls failed`);
  });
});
