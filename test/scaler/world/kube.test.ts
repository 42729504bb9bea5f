/** The writes to the Kubernetes API, against the real local API server: fenced patches, Events, the Lease. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { createKubeWriter, createLeaseStore, type KubeWriter } from '../../../scaler/world/kube.ts';
import { readWorkload } from '../../../common/kube/model/workload.ts';
import type { Workload } from '../../../scaler/world/kube-objects.ts';
import type { ApiServer } from '../../../packages/local-cluster/api/http/server.ts';
import type { V1Deployment } from '../../../common/kube/client.ts';
import { deploymentManifest, startLocalApi } from '../../helpers/local-api.ts';
import { clientsOf } from '../support/test-scaler.ts';

interface Rig {
  readonly api: ApiServer;
  readonly writer: KubeWriter;
  readonly seen: () => Workload;
  readonly replicas: () => number;
}

async function rig(t: TestContext): Promise<Rig> {
  const api = await startLocalApi((release) => t.after(release));
  await api.api.create('deployments', deploymentManifest('fn', { replicas: 0 }));
  const get = () => api.api.get('deployments', 'default', 'fn');
  return {
    api,
    writer: createKubeWriter(clientsOf(api), { pod: 'scaler-0' }),
    seen: () => readWorkload('Deployment', get() as unknown as V1Deployment, undefined),
    replicas: () => get()?.['spec'].replicas as number,
  };
}

const always = () => true;

test('a patch answers with what it made of the workload', async (t) => {
  const { writer, seen, replicas } = await rig(t);
  const before = seen();
  const outcome = await writer.scale({ workload: before, to: 3, mayGoOn: always });
  assert.equal(replicas(), 3);
  assert.deepEqual(outcome, { kind: 'done', replicas: 3, resourceVersion: seen().resourceVersion });
  assert.notEqual(before.resourceVersion, seen().resourceVersion);
});

test('a StatefulSet is scaled too', async (t) => {
  const { api, writer } = await rig(t);
  const set = { ...deploymentManifest('db', { replicas: 0, serviceName: 'db' }), kind: 'StatefulSet' };
  const made = await api.api.create('statefulsets', set);
  const workload = readWorkload('StatefulSet', made as never, undefined);
  await writer.scale({ workload, to: 1, mayGoOn: always });
  assert.equal(api.api.get('statefulsets', 'default', 'db')?.['spec'].replicas, 1);
});

test('a change of status in between is no reason to give up', async (t) => {
  const { api, writer, seen, replicas } = await rig(t);
  const workload = seen();
  await api.api.modify(
    'deployments',
    'default',
    'fn',
    (d) => void (d['status'] = { observedGeneration: 7 }),
    'status',
  );
  assert.equal((await writer.scale({ workload, to: 2, mayGoOn: always })).kind, 'done');
  assert.equal(replicas(), 2);
});

test('409: a decision on a count that is no longer there changes nothing', async (t) => {
  const { api, writer, seen, replicas } = await rig(t);
  const workload = seen();
  await api.api.modify('deployments', 'default', 'fn', (d) => void (d['spec'].replicas = 5));
  assert.deepEqual(await writer.scale({ workload, to: 1, mayGoOn: always }), { kind: 'overtaken' });
  assert.equal(replicas(), 5);
});

test('409: a workload of the same name that was made again is another one', async (t) => {
  const { api, writer, seen, replicas } = await rig(t);
  const workload = seen();
  await api.api.delete('deployments', 'default', 'fn');
  await api.api.create('deployments', deploymentManifest('fn', { replicas: 0 }));
  assert.deepEqual(await writer.scale({ workload, to: 1, mayGoOn: always }), { kind: 'overtaken' });
  assert.equal(replicas(), 0);
});

test('two that decided the same: one patches, the other is overtaken', async (t) => {
  const { writer, seen, replicas } = await rig(t);
  const workload = seen();
  const both = [1, 2].map(() => writer.scale({ workload, to: 2, mayGoOn: always }));
  const kinds = (await Promise.all(both)).map(({ kind }) => kind);
  assert.deepEqual(kinds.toSorted(), ['done', 'overtaken']);
  assert.equal(replicas(), 2);
});

test('one that leads no longer does not patch, nor try again after a conflict', async (t) => {
  const { api, writer, seen, replicas } = await rig(t);
  const never = await writer.scale({ workload: seen(), to: 1, mayGoOn: () => false });
  assert.deepEqual(never, { kind: 'overtaken' });
  await api.api.modify('deployments', 'default', 'fn', (d) => void (d['spec'].replicas = 3));
  const workload = seen();
  await noteStatus(api);
  let asked = 0;
  await writer.scale({ workload, to: 1, mayGoOn: () => asked++ === 0 });
  assert.equal(replicas(), 3);
});

let generation = 0;
/** A change of status, and so of the version. */
const noteStatus = (api: ApiServer) =>
  api.api.modify(
    'deployments',
    'default',
    'fn',
    (d) => void (d['status'] = { observedGeneration: ++generation }),
    'status',
  );

test('raising is one request, whatever has become of the status; lowering is fenced by the version', async (t) => {
  const { api, seen, replicas } = await rig(t);
  const clients = clientsOf(api);
  const methods: string[] = [];
  const managers: unknown[] = [];
  const counted = new Proxy(clients.apps, {
    get(target, name: keyof typeof clients.apps) {
      const method = target[name] as (...args: unknown[]) => unknown;
      if (typeof method !== 'function') return method;
      return (...args: unknown[]) => {
        methods.push(name);
        if (name.startsWith('patch')) managers.push((args[0] as { fieldManager?: string }).fieldManager);
        return method.apply(target, args);
      };
    },
  });
  const writer = createKubeWriter({ ...clients, apps: counted }, { pod: 'scaler-0' });
  for (const to of [1, 4]) {
    const workload = seen();
    await noteStatus(api);
    assert.equal((await writer.scale({ workload, to, mayGoOn: always })).kind, 'done');
    assert.equal(replicas(), to);
  }
  assert.deepEqual(methods, ['patchNamespacedDeploymentScale', 'patchNamespacedDeploymentScale']);
  const workload = seen();
  await noteStatus(api);
  await writer.scale({ workload, to: 0, mayGoOn: always });
  assert.equal(methods.length, 5, 'refused, read, done');
  assert.deepEqual([...new Set(managers)], ['slimfaas-scaler'], 'what is written names its writer');
});

test('a workload that is gone, or an API server that is away, is an error', async (t) => {
  const { api, writer, seen } = await rig(t);
  const workload = seen();
  await api.api.delete('deployments', 'default', 'fn');
  await assert.rejects(writer.scale({ workload, to: 1, mayGoOn: always }), { code: 404 });
  api.failures.setAway(true);
  await assert.rejects(writer.scale({ workload, to: 1, mayGoOn: always }));
});

test('an Event names the workload and is cut to what the API takes', async (t) => {
  const { api, writer, seen } = await rig(t);
  await writer.emit(seen(), { type: 'Warning', reason: 'InvalidAnnotation', message: 'x'.repeat(5_000) });
  const [event] = api.api.list('events', { namespace: 'default' });
  assert.equal(event?.['involvedObject'].uid, seen().uid);
  assert.equal(event?.['reason'], 'InvalidAnnotation');
  assert.equal(event?.['message'].length, 1_000);
});

test('the Lease: none, made, written, and refused to whoever read an older one', async (t) => {
  const { api } = await rig(t);
  const store = createLeaseStore(clientsOf(api), { namespace: 'default', name: 'slimfaas-scaler' });
  assert.equal(await store.read(), undefined);
  const at = new Date('2026-01-02T03:04:05.678Z');
  const record = {
    holder: 'a@1:1',
    durationSeconds: 12,
    transitions: 0,
    acquiredAt: at,
    renewedAt: at,
    resourceVersion: '',
  };
  const made = await store.create(record);
  await assert.rejects(store.create(record), { code: 409 });
  assert.deepEqual(await store.read(), made);
  assert.equal(made.renewedAt.getTime(), at.getTime());
  const next = await store.update({ ...made, holder: 'b@2:2', transitions: 1 });
  assert.equal(next.holder, 'b@2:2');
  await assert.rejects(store.update({ ...made, holder: 'c' }), { code: 409 });
});

test('an API server that takes a request and never answers is given up, and the next try succeeds', async (t) => {
  const { api, seen, replicas } = await rig(t);
  const writer = createKubeWriter(clientsOf(api), { pod: 'p', timeoutMs: 200 });
  const store = createLeaseStore(clientsOf(api), { namespace: 'default', name: 'l' }, 200);
  api.failures.setDelay(6_000);
  const startedMs = performance.now();
  await assert.rejects(writer.scale({ workload: seen(), to: 1, mayGoOn: always }));
  await assert.rejects(store.read());
  assert.ok(performance.now() - startedMs < 6_000);
  api.failures.setDelay(0);
  assert.equal((await writer.scale({ workload: seen(), to: 2, mayGoOn: always })).kind, 'done');
  assert.equal(replicas(), 2);
});
