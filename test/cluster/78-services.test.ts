/** slimfaas.dev/services: wake. Callers use a function's own Service, and never notice that it sleeps. */
import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { KubeObject } from './harness/clients.ts';
import { WAKE, servicesOf, sleeps } from './services.ts';
import { openWorld, until } from './harness/world.ts';

const world = await openWorld();
const caller = await world.caller();
const { namespace } = world;
const services = servicesOf(world);
const { urlOf, slicePath, leadsToProxies } = services;

async function addressOf(pod: string): Promise<string> {
  return String((await world.get(`/api/v1/namespaces/${namespace}/pods/${pod}`))?.['status'].podIP);
}

describe('by its Service', { concurrency: 4 }, () => {
  it('from zero, warm, and from zero again; path, Host and headers as they were', async (t) => {
    await using fn = await world.deploy({
      name: 'by-url',
      annotations: { ...WAKE, TimeoutSecondBeforeSetReplicasMin: 3 },
    });
    await using _ = await services.add(fn.name);
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
    await using _ = await services.add(fn.name);
    await leadsToProxies(fn.name);
    const [endpoint] = (await services.endpoints(fn.name)) ?? [];
    assert.deepEqual(endpoint?.conditions, { ready: true, serving: true, terminating: false });
    assert.ok(endpoint.nodeName);
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
    await services.leadsToPods(fn.name);
    const [behind] = (await services.endpoints(fn.name)) ?? [];
    assert.deepEqual(behind?.conditions, { ready: false, serving: true, terminating: true });
    const load = await caller.load({ url: urlOf(fn.name), callers: 4, isFresh: true });
    await delay(1_000);
    const { calls, failures, peers } = await load.stop();
    assert.deepEqual(failures, []);
    assert.deepEqual(peers, [await addressOf('caller')], `${calls} calls, each from the caller itself`);
  });

  it('a port that a container names, and bytes that are no HTTP', async () => {
    await using fn = await world.deploy({
      name: 'by-port-name',
      annotations: WAKE,
      container: { ports: [{ name: 'talk', containerPort: 5000 }] },
    });
    await using _ = await services.add(fn.name, { ports: [{ port: 8080, targetPort: 'talk' }] });
    await leadsToProxies(fn.name);
    assert.equal((await caller.call(`http://${fn.name}.${namespace}:8080/hello`)).status, 200);
  });

  it('a wake that fails is told, and names nothing from inside', async () => {
    await using fn = await world.deploy({
      name: 'by-bad-image',
      annotations: { ...WAKE, 'slimfaas.dev/cold-start-timeout': 8 },
      container: { image: 'localhost:1/no-such-image:1', imagePullPolicy: 'Always' },
    });
    await using _ = await services.add(fn.name);
    await leadsToProxies(fn.name);
    const answer = await caller.call(urlOf(fn.name));
    assert.equal(answer.status, 504, answer.body);
    assert.match(answer.body, /cold-start-timeout.*its operators see why/);
  });

  it('those that cannot wake are left alone, and an Event says why; an ExternalName is nobody’s', async () => {
    await using fn = await world.deploy({ name: 'refused', annotations: WAKE });
    const kinds: Record<string, readonly [Record<string, unknown>, RegExp]> = {
      headless: [{ clusterIP: 'None' }, /headless \(clusterIP: None\)/],
      unready: [{ publishNotReadyAddresses: true }, /publishNotReadyAddresses/],
      local: [{ internalTrafficPolicy: 'Local' }, /internalTrafficPolicy: Local/],
      udp: [{ ports: [{ port: 53, protocol: 'UDP' }] }, /no TCP port/],
    };
    const selector = { app: fn.name };
    await using all = new AsyncDisposableStack();
    const external = { type: 'ExternalName', externalName: 'example.com', selector: null, ports: null };
    all.use(await services.add('external', external));
    for (const [name, [spec]] of Object.entries(kinds))
      all.use(await services.add(name, { selector, ...spec }));
    const told = async (): Promise<string> => {
      const events = await world.list(`/api/v1/namespaces/${namespace}/events`);
      return events.map((event) => String(event['message'])).join('\n');
    };
    for (const [name, [, why]] of Object.entries(kinds))
      await until(async () => why.test(await told()), `an Event about the one of kind ${name}`);
    for (const name of [...Object.keys(kinds), 'external'])
      assert.equal(await services.endpoints(name), undefined, name);
    assert.doesNotMatch(await told(), /external/);
  });

  it('NodePort, externalTrafficPolicy: Local, session affinity, several ports, UDP beside TCP', async () => {
    await using fn = await world.deploy({ name: 'of-all-kinds', annotations: WAKE });
    await using _ = await services.add(fn.name, {
      type: 'LoadBalancer',
      externalTrafficPolicy: 'Local',
      sessionAffinity: 'ClientIP',
      ports: [
        { name: 'web', port: 80, targetPort: 5000 },
        { name: 'other', port: 8080, targetPort: 5000 },
        { name: 'dns', port: 53, protocol: 'UDP', targetPort: 5353 },
      ],
    });
    await leadsToProxies(fn.name);
    const slice = await world.get(slicePath(fn.name));
    const names = ((slice as KubeObject)['ports'] as { name: string }[]).map(({ name }) => name);
    assert.deepEqual(names, ['web', 'other'], 'UDP is left alone');
    const [proxy] = (await services.endpoints(fn.name)) ?? [];
    const node = await world.get(`/api/v1/nodes/${proxy?.nodeName}`);
    const addresses = node?.['status'].addresses as { type: string; address: string }[];
    const address = addresses.find(({ type }) => type === 'InternalIP')?.address ?? '';
    assert.equal((await caller.call(await services.nodeUrl(fn.name, address))).status, 200, 'from zero');
    await services.leadsToPods(fn.name);
    for (const port of [80, 8080])
      assert.equal((await caller.call(`http://${fn.name}.${namespace}:${port}/hello`)).status, 200);
  });

  it('a StatefulSet by its Service; its pods’ own names stand for pods, so they are there when it is warm', async () => {
    await using fn = await world.deploy({ name: 'set', kind: 'StatefulSet', annotations: WAKE });
    await using _ = await services.add(fn.name, { clusterIP: 'None' });
    const selector = { app: fn.name };
    await using _1 = await services.add('set-web', { selector });
    await leadsToProxies('set-web');
    const own = `http://${fn.name}-0.${fn.name}.${namespace}:5000/hello`;
    assert.equal((await caller.call(own)).status, 0, 'a name of nobody');
    assert.equal((await caller.call(urlOf('set-web'))).status, 200);
    await fn.waitForReady(1);
    const warm = await caller.poll(own);
    assert.match(warm.body, /"pod":"set-0"/);
  });

  it('the routes of the guide are taken as they are written', async (t) => {
    const page = await readFile(join(import.meta.dirname, '../../docs/guides/your-own-url.md'), 'utf8');
    const blocks = [...page.matchAll(/(?:^ {4}.*\n)+/gm)].map(([text]) => text.replaceAll(/^ {4}/gm, ''));
    const routes = blocks.filter((text) => text.startsWith('apiVersion: '));
    assert.equal(routes.length, 2);
    const groups = await world.kubectl(['api-versions']);
    for (const input of routes) {
      const [, group = ''] = /^apiVersion: ([^/\n]*)/.exec(input) ?? [];
      if (groups.includes(group))
        await world.kubectl(['apply', '--dry-run=server', '-n', namespace, '-f', '-'], { input });
      t.diagnostic(`${group}: ${groups.includes(group) ? 'taken' : 'not in this cluster'}`);
    }
  });

  it('without the annotation, and without the Service, the slice goes', async () => {
    await using fn = await world.deploy({ name: 'by-turns', annotations: WAKE });
    await using service = await services.add(fn.name);
    await leadsToProxies(fn.name);
    await service[Symbol.asyncDispose]();
    await until(async () => (await world.get(slicePath(fn.name))) === undefined, 'the slice is gone');
    await services.add(fn.name);
    await leadsToProxies(fn.name);
    const annotations = { 'slimfaas.dev/services': 'ignore' };
    await fn.patch({ spec: { template: { metadata: { annotations } } } });
    await until(async () => (await world.get(slicePath(fn.name))) === undefined, 'the slice is gone again');
  });

  it('a client that came at zero is connected to the pod later', async () => {
    await using fn = await world.deploy({
      name: 'moves-on',
      annotations: { ...WAKE, TimeoutSecondBeforeSetReplicasMin: 600 },
    });
    await using _ = await services.add(fn.name);
    await services.leadsToProxies(fn.name);
    const load = await caller.load({ url: services.urlOf(fn.name), callers: 1, paceMs: 10_000 });
    await fn.waitForReady(1);
    await delay(11_000);
    const { failures, peers } = await load.stop();
    assert.deepEqual(failures, []);
    assert.equal(peers.length, 2, `first by a proxy: ${peers.join(', ')}`);
    assert.equal(peers.at(-1), await addressOf('caller'), 'then from the caller itself');
  });

  // Callers of a NodePort and the kubelet come from the same address.
  it('a NodePort call every 5 s beside probes each second does, probes alone do not', async (t) => {
    await using fn = await world.deploy({
      name: 'in-use',
      annotations: { ...WAKE, TimeoutSecondBeforeSetReplicasMin: 20 },
      container: {
        readinessProbe: { httpGet: { path: '/health', port: 5000 }, periodSeconds: 1 },
        livenessProbe: { tcpSocket: { port: 5000 }, periodSeconds: 1 },
      },
    });
    await using _ = await services.add(fn.name, { type: 'NodePort', ports: [{ port: 5000 }] });
    await leadsToProxies(fn.name);
    assert.equal((await caller.call(`${urlOf(fn.name).replace('/hello', ':5000/hello')}`)).status, 200);
    const [pod] = await fn.pods();
    const url = await services.nodeUrl(fn.name, String(pod?.['status'].hostIP));
    const load = await caller.load({ url, callers: 1, paceMs: 5_000, isFresh: true });
    await delay(80_000);
    const { calls, failures } = await load.stop();
    assert.deepEqual(failures, []);
    const names = (await fn.pods()).map(({ metadata }) => metadata.name);
    assert.deepEqual(names, [pod?.metadata.name], 'the very pod of the beginning');
    const stoppedAt = Date.now();
    await fn.waitForReplicas(0, 100_000);
    t.diagnostic(
      `${calls} calls in 80 s; asleep ${Math.round((Date.now() - stoppedAt) / 1_000)} s after the last`,
    );
  });
});
