/** The scaler's routes and who may use them, with tokens and rights of a real API server. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { waitFor } from '../helpers/wait.ts';
import { TestCluster } from './support/test-cluster.ts';

const AUDIENCE = { audiences: ['slimfaas'] };

/** A scaler that asks for identity, and an account with the rights that are named as `verb resource`. */
async function start(atEnd: (release: () => unknown) => void) {
  const cluster = await TestCluster.start(atEnd);
  await cluster.fn('fn');
  const { url } = await cluster.scaler({ 'operator-auth': 'kubernetes' });
  const { api } = cluster.api;
  const grant = async (account: string, rules: readonly (readonly [verb: string, resource: string])[]) => {
    const rights = rules.map(([verb, resource]) => ({
      apiGroups: ['slimfaas.dev'],
      resources: [resource],
      verbs: [verb],
    }));
    const metadata = { name: account } as never;
    await api.create('clusterroles', { kind: 'ClusterRole', metadata, rules: rights });
    await api.create('clusterrolebindings', {
      kind: 'ClusterRoleBinding',
      metadata,
      roleRef: { kind: 'ClusterRole', name: account },
      subjects: [{ kind: 'ServiceAccount', name: account, namespace: 'default' }],
    });
    return cluster.api.serviceAccountToken('default', account, AUDIENCE);
  };
  const ask = async (method: string, path: string, token?: string) => {
    const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
    const body = method === 'POST' ? JSON.stringify({ query: 'vector(1)' }) : null;
    return fetch(`${url}${path}`, { method, headers, body });
  };
  return { cluster, grant, ask };
}

const ROUTES = [
  ['GET', '/functions', 'list', 'functions'],
  ['GET', '/functions?namespace=default', 'list', 'functions'],
  ['GET', '/functions/default/fn', 'get', 'functions'],
  ['POST', '/wake/default/fn', 'create', 'functions/wake'],
  ['POST', '/debug/promql/eval', 'create', 'functions/queries'],
] as const;

test('each route asks for a token, and for the right that is its own', async (t) => {
  const { cluster, grant, ask } = await start((release) => t.after(release));
  const all = ROUTES.map(([, , verb, resource]) => [verb, resource] as const);
  const other = await grant('other', [['delete', 'functions']]);
  const operator = await grant('operator', [...all, ['get', 'functions/metrics']]);
  const forTheServer = cluster.api.serviceAccountToken('default', 'operator');
  for (const [method, path, verb, resource] of ROUTES) {
    const refused = await ask(method, path);
    assert.equal(refused.status, 401, path);
    assert.match(refused.headers.get('www-authenticate') ?? '', /^Bearer/);
    assert.equal(refused.headers.get('slimfaas-reason'), 'unauthenticated');
    assert.equal((await ask(method, path, forTheServer)).status, 401, `${path}: not made for slimfaas`);
    const forbidden = await ask(method, path, other);
    assert.equal(forbidden.status, 403, path);
    assert.match(await forbidden.text(), new RegExp(`may not ${verb} ${resource}\\.slimfaas\\.dev`));
    assert.equal((await ask(method, path, operator)).ok, true, path);
  }
  for (const path of ['/health', '/ready']) assert.equal((await ask('GET', path)).status, 200);
});

test('metrics name functions to those with the right, and tell anybody that the process is up', async (t) => {
  const { grant, ask } = await start((release) => t.after(release));
  const prometheus = await grant('prometheus', [['get', 'functions/metrics']]);
  const other = await grant('other', []);
  const nameless = await (await ask('GET', '/metrics')).text();
  assert.match(nameless, /^slimfaas_build_info\{/m);
  assert.doesNotMatch(nameless, /"fn"|namespace=/);
  assert.match(await (await ask('GET', '/metrics', prometheus)).text(), /function="fn"/);
  assert.equal((await ask('GET', '/metrics', other)).status, 403);
});

test('with open metrics anybody reads them, and the routes stay closed', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn');
  const { url } = await cluster.scaler({ 'operator-auth': 'kubernetes', 'open-metrics': true });
  assert.match(await (await fetch(`${url}/metrics`)).text(), /function="fn"/);
  assert.equal((await fetch(`${url}/functions`)).status, 401);
});

test('a wake at a follower is passed on to the leader with its token', async (t) => {
  const { cluster, grant } = await start((release) => t.after(release));
  const token = await grant('proxy', [['create', 'functions/wake']]);
  const follower = await cluster.scaler(
    { 'operator-auth': 'kubernetes', 'pod-name': 'second' },
    { leads: false },
  );
  const headers = { 'slimfaas-authorization': `Bearer ${token}` };
  const answer = await fetch(`${follower.url}/wake/default/fn?waiting=1`, { method: 'POST', headers });
  assert.equal(answer.status, 204);
  await cluster.hasReplicas('fn', 1);
});

test('while the API server is away a token cannot be looked at, and the answer says so', async (t) => {
  const { cluster, grant, ask } = await start((release) => t.after(release));
  const token = await grant('viewer', [['list', 'functions']]);
  cluster.api.failures.setAway(true);
  const answer = await ask('GET', '/functions', token);
  cluster.api.failures.setAway(false);
  assert.equal(answer.status, 503);
  assert.equal(answer.headers.get('slimfaas-reason'), 'identity-unavailable');
});

test('strangers who open connections and say nothing are bounded, and counted', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  const { url } = await cluster.scaler();
  const { hostname, port } = new URL(url);
  const open: Socket[] = [];
  t.after(() => open.forEach((socket) => socket.destroy()));
  let closed = 0;
  for (let i = 0; i < 400; i++) {
    const socket = connect(Number(port), hostname);
    socket.on('error', () => undefined).on('close', () => closed++);
    await once(socket, 'connect');
    open.push(socket.resume());
  }
  await waitFor(() => closed >= 120, { what: 'the longest idle are closed' });
  assert.equal((await fetch(`${url}/health`)).status, 200);
  const metrics = await (await fetch(`${url}/metrics`)).text();
  assert.match(metrics, /slimfaas_scaler_limited_total\{limit="idle-bytes"\} [1-9]/);
});
