/** Who may talk to the API, over what, and what the faults on request do to it. */
// oxlint-disable unicorn/consistent-function-scoping -- helpers stand beside the tests that use them
import { AppsV1Api, CoreV1Api } from '@kubernetes/client-node';
import assert from 'node:assert/strict';
import { get } from 'node:https';
import { connect } from 'node:net';
import { describe, test } from 'node:test';
import type { TestContext } from 'node:test';
import { silentLog } from '../../../common/runtime/log.ts';
import { startApiServer } from '../../../packages/local-cluster/api/http/server.ts';
import type { ApiServer } from '../../../packages/local-cluster/api/http/server.ts';
import type { KubeObject } from '../../../packages/local-cluster/api/objects/types.ts';
import { call, configFor, deploymentManifest, podManifest, startLocalApi } from '../../helpers/local-api.ts';

const PODS = '/api/v1/namespaces/default/pods';
const SCALER = 'system:serviceaccount:default:scaler';
const start = (t: TestContext) => startLocalApi((release) => t.after(release));

function meta(name: string, namespace?: string): KubeObject['metadata'] {
  return { name, ...(namespace ? { namespace } : {}) } as KubeObject['metadata'];
}

describe('identity', () => {
  test('no token or a forged one is 401', async (t) => {
    const server = await start(t);
    for (const authorization of ['', 'Bearer nonsense', 'Basic YTpi']) {
      const answer = await call(server, PODS, { headers: { authorization } });
      assert.deepEqual([answer.status, answer.body.reason], [401, 'Unauthorized']);
    }
  });

  test('health and version need none', async (t) => {
    const server = await start(t);
    for (const path of ['/healthz', '/livez', '/readyz', '/version']) {
      assert.equal((await call(server, path, { headers: { authorization: '' } })).status, 200);
    }
  });

  test('a client that does not know the CA refuses to talk', async (t) => {
    const server = await start(t);
    const failure = await new Promise<NodeJS.ErrnoException>((resolve) => {
      get(`${server.url}/version`, { agent: false }).on('error', resolve);
    });
    assert.match(String(failure.code), /CERT|SIGNATURE|ISSUER/);
  });

  test("a service account's token, as a pod carries it, is that account", async (t) => {
    const server = await start(t);
    const authorization = `Bearer ${server.serviceAccountToken('default', 'scaler')}`;
    const { status, body } = await call(server, PODS, { headers: { authorization } });
    assert.equal(status, 403);
    assert.match(body.message, /User "system:serviceaccount:default:scaler" cannot list resource "pods"/);
  });
});

describe('RBAC is felt', () => {
  async function grant(server: ApiServer, rules: object[]): Promise<void> {
    const { api } = server;
    await api.create('clusterroles', { kind: 'ClusterRole', metadata: meta('scaler'), rules });
    await api.create('clusterrolebindings', {
      kind: 'ClusterRoleBinding',
      metadata: meta('scaler'),
      roleRef: { kind: 'ClusterRole', name: 'scaler' },
      subjects: [{ kind: 'ServiceAccount', name: 'scaler', namespace: 'default' }],
    });
    await api.create('deployments', deploymentManifest('web'));
  }

  test('a rule for deployments/scale lets the client library scale, and nothing else', async (t) => {
    const server = await start(t);
    await grant(server, [{ apiGroups: ['apps'], resources: ['deployments/scale'], verbs: ['get', 'patch'] }]);
    const apps = configFor(server, SCALER).makeApiClient(AppsV1Api);
    const at = { name: 'web', namespace: 'default' };
    const scaled = await apps.patchNamespacedDeploymentScale({
      ...at,
      body: [{ op: 'replace', path: '/spec/replicas', value: 3 }],
    });
    assert.equal(scaled.spec?.replicas, 3);
    await assert.rejects(apps.readNamespacedDeployment(at), { code: 403 });
    await assert.rejects(apps.replaceNamespacedDeploymentScale({ ...at, body: scaled }), { code: 403 });
  });

  test('watch, deletecollection and subresources are verbs and resources of their own', async (t) => {
    const server = await start(t);
    await grant(server, [{ apiGroups: [''], resources: ['pods'], verbs: ['get', 'list', 'delete'] }]);
    await server.api.create('pods', podManifest('a'));
    const status = async (path: string, method = 'GET') =>
      (await call(server, path, { method, user: SCALER })).status;
    assert.equal(await status(PODS), 200);
    assert.equal(await status(`${PODS}?watch=true`), 403);
    assert.equal(await status(`${PODS}/a/status`), 403);
    assert.equal(await status(`${PODS}/a/log`), 403);
    assert.equal(await status(PODS, 'DELETE'), 403);
    assert.equal(await status(`${PODS}/a`, 'DELETE'), 200);
  });

  test('a namespace is authorised within itself', async (t) => {
    const server = await start(t);
    await server.api.create('roles', {
      kind: 'Role',
      metadata: meta('r', 'default'),
      rules: [{ apiGroups: [''], resources: ['namespaces'], verbs: ['get'] }],
    });
    await server.api.create('rolebindings', {
      kind: 'RoleBinding',
      metadata: meta('r', 'default'),
      roleRef: { kind: 'Role', name: 'r' },
      subjects: [{ kind: 'ServiceAccount', name: 'scaler' }],
    });
    const core = configFor(server, SCALER).makeApiClient(CoreV1Api);
    assert.equal((await core.readNamespace({ name: 'default' })).metadata?.name, 'default');
    await assert.rejects(core.readNamespace({ name: 'kube-system' }), { code: 403 });
    await assert.rejects(core.listNamespace(), { code: 403 });
  });
});

describe('the client library', () => {
  test('creates, reads, patches and deletes typed objects', async (t) => {
    const server = await start(t);
    const core = configFor(server).makeApiClient(CoreV1Api);
    const namespace = 'default';
    const made = await core.createNamespacedConfigMap({
      namespace,
      body: { metadata: { name: 'c' }, data: { a: '1' } },
    });
    assert.ok(made.metadata?.creationTimestamp instanceof Date);
    const patched = await core.patchNamespacedConfigMap({
      name: 'c',
      namespace,
      body: [{ op: 'add', path: '/data/b', value: '2' }],
    });
    assert.deepEqual(patched.data, { a: '1', b: '2' });
    assert.equal((await core.listConfigMapForAllNamespaces()).items.length, 1);
    await core.deleteNamespacedConfigMap({ name: 'c', namespace });
    await assert.rejects(core.readNamespacedConfigMap({ name: 'c', namespace }), { code: 404 });
  });

  test('evicts, and reads the scale of a StatefulSet', async (t) => {
    const server = await start(t);
    const { api } = server;
    await api.create('statefulsets', { ...deploymentManifest('db'), kind: 'StatefulSet' });
    await api.create('pods', podManifest('a'));
    const config = configFor(server);
    const body = { metadata: { name: 'a', namespace: 'default' } };
    await config
      .makeApiClient(CoreV1Api)
      .createNamespacedPodEviction({ name: 'a', namespace: 'default', body });
    assert.equal(api.get('pods', 'default', 'a'), undefined);
    const scale = await config
      .makeApiClient(AppsV1Api)
      .readNamespacedStatefulSetScale({ name: 'db', namespace: 'default' });
    assert.equal(scale.spec?.replicas, 1);
  });
});

describe('paths', () => {
  const cases: [method: string, path: string, status: number][] = [
    ['GET', '/api/v1/nothing', 404],
    ['GET', '/apis/apps/v2/deployments', 404],
    ['GET', '/api/v1/namespaces/default/nodes', 404],
    ['GET', '/api/v1/pods/a', 404],
    ['GET', '/nothing', 404],
    ['GET', '/api/v1/namespaces/default/pods/%E0%A4%A', 400],
    ['PUT', PODS, 405],
    ['POST', `${PODS}/a`, 405],
    ['OPTIONS', PODS, 405],
    ['POST', `${PODS}/a/status`, 405],
    ['GET', `${PODS}/a/nothing`, 404],
    ['POST', `${PODS}/a/exec`, 501],
    ['GET', '/api/v1/namespaces/default', 200],
    ['GET', '/api/v1/namespaces/default/status', 200],
    ['GET', '/api/v1/namespaces/', 200],
    ['GET', '/apis/apps', 200],
    ['GET', '/apis/apps/v1', 200],
    ['GET', '/api', 200],
    ['GET', '/apis', 200],
  ];
  for (const [method, path, status] of cases) {
    test(`${method} ${path} is ${status}`, async (t) => {
      const answer = await call(await start(t), path, { method });
      assert.equal(answer.status, status, JSON.stringify(answer.body).slice(0, 300));
      if (status >= 400) assert.equal(answer.body.kind, 'Status');
    });
  }
});

describe('faults on request', () => {
  test('away: open and new connections are reset, the rooms inside work on', async (t) => {
    const server = await start(t);
    await call(server, PODS);
    server.failures.setAway(true);
    await assert.rejects(call(server, PODS), /ECONNRESET|socket hang up|disconnected/);
    await server.api.create('pods', podManifest('a'));
    server.failures.setAway(false);
    assert.equal((await call(server, PODS)).body.items.length, 1);
  });

  test('delay: a request takes that long', async (t) => {
    const server = await start(t);
    server.failures.setDelay(300);
    const began = performance.now();
    await call(server, PODS);
    assert.ok(performance.now() - began >= 295);
    server.failures.setDelay(0);
  });
});

test('stopping frees the port, ends open watches, and is harmless twice', async () => {
  const server = await startApiServer({ host: '127.0.0.1', port: 0, log: silentLog });
  const headers = { authorization: `Bearer ${configFor(server).getCurrentUser()?.token}` };
  const ended = new Promise((resolve) => {
    const open = get(`${server.url}${PODS}?watch=true`, { ca: server.caPem, headers, agent: false });
    open
      .on('response', () => void server.stop())
      .on('error', () => {})
      .on('close', resolve);
  });
  await ended;
  await server.stop();
  const port = Number(new URL(server.url).port);
  const failure = await new Promise<NodeJS.ErrnoException>((resolve) =>
    connect(port, '127.0.0.1').on('error', resolve),
  );
  assert.equal(failure.code, 'ECONNREFUSED');
});
