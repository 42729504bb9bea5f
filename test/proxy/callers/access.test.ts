/** The proxy's operator routes: what they ask for, and that routes for callers ask for nothing. */
import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { waitFor } from '../../helpers/wait.ts';
import { App, APP_HOST } from '../../sidecar/support/app.ts';
import { policy } from '../../sidecar/support/job-world.ts';
import { callUrl } from '../support/calls.ts';
import { elementIdOf, startJobProxy, type JobProxy } from '../support/job-proxy.ts';
import { startTestProxy } from '../support/test-proxy.ts';

const CLOSED = ['--operator-auth=kubernetes'];
const as = (token: string) => ({ headers: { authorization: `Bearer ${token}` } });

/** A dead letter of `fib`. @returns its number */
async function died(t: JobProxy): Promise<number> {
  const app = await new App((_req, res) => void res.writeHead(500).end()).listen();
  await t.addFunction('fib');
  await t.sidecar('fib', app.port, { 'async-policy': policy([]) });
  const id = elementIdOf(await t.post('fib', '/p', { body: 'secret' }));
  await t.ended('fib', id, 'dead');
  await app.close();
  const letters = JSON.parse((await t.admin('/dead-jobs', as('root'))).text) as { seq: number }[];
  return letters[0]?.seq ?? NaN;
}

test('dead letters: nothing without a token, nothing of other namespaces, all with the right', async () => {
  await using t = await startJobProxy([...CLOSED, '--open-metrics']);
  const { kube } = t.proxy;
  for (const name of ['root', 'shop', 'reader']) kube.tokens.set(name, name);
  kube.may = (user, { namespace, subresource, verb }) =>
    subresource === 'deadletters' &&
    (user === 'root' ||
      (user === 'shop' && namespace === 'shop') ||
      (user === 'reader' && namespace === 'default' && (verb === 'get' || verb === 'list')));
  const seq = await died(t);
  const paths = [
    ['GET', '/dead-jobs'],
    ['GET', `/dead-jobs/${seq}`],
    ['POST', `/dead-jobs/${seq}/replay`],
    ['DELETE', `/dead-jobs/${seq}`],
  ] as const;
  for (const [method, path] of paths) {
    assert.equal((await t.admin(path, { method })).status, 401, `${method} ${path}`);
    assert.equal((await t.admin(path, { method, ...as('nobody') })).status, 401);
    const ofOther = await t.admin(path, { method, ...as('shop') });
    assert.equal(ofOther.status, path === '/dead-jobs' ? 403 : 404, `${method} ${path}`);
    // As for a number that there is not.
    if (ofOther.status === 404) assert.match(ofOther.text, new RegExp(`no dead letter ${seq};`));
  }
  assert.match((await t.admin(`/dead-jobs/${seq}`, as('reader'))).text, /"function":"fib"/);
  assert.equal((await t.admin('/dead-jobs?function=fib', as('reader'))).status, 200);
  assert.equal((await t.admin(`/dead-jobs/${seq}`, { method: 'DELETE', ...as('reader') })).status, 404);
  assert.equal((await t.admin(`/dead-jobs/${seq}`, { method: 'DELETE', ...as('root') })).status, 204);
});

test('waking all functions is an operator’s; waking one is its callers’', async () => {
  await using t = await startTestProxy(CLOSED);
  t.addFunction('fib');
  t.addFunction('far', {}, { namespace: 'shop' });
  const woken: string[] = [];
  t.link.subscribe('slimfaas.wake.>', (subject) => woken.push(subject));
  await waitFor(async () => (await callUrl(`${t.url}/status-function/fib`)).status === 200, { what: 'fib' });
  const all = (token?: string, query = '') =>
    callUrl(`${t.url}/wake-functions${query}`, { method: 'POST', ...(token !== undefined && as(token)) });
  t.kube.tokens.set('shop', 'shop');
  t.kube.may = (_user, { namespace, subresource, verb }) =>
    namespace === 'shop' && subresource === 'wake' && verb === 'create';
  assert.equal((await all()).status, 401);
  assert.equal((await all('shop')).status, 403);
  assert.equal((await all('shop', '?namespace=shop')).status, 204);
  assert.equal((await callUrl(`${t.url}/wake-function/fib`, { method: 'POST' })).status, 204);
  await waitFor(() => woken.some((subject) => subject.includes('fib')), { what: 'the last wake is heard' });
  assert.equal(woken.length, 2, woken.join(' '));
});

test('metrics on the operators’ port name no function without a token', async () => {
  await using t = await startTestProxy(CLOSED);
  t.addFunction('fib');
  await waitFor(async () => (await callUrl(`${t.url}/status-function/fib`)).status === 200, { what: 'fib' });
  t.kube.tokens.set('prometheus', 'prometheus');
  t.kube.may = (user, { subresource }) => user === 'prometheus' && subresource === 'metrics';
  const nameless = await callUrl(`${t.metricsUrl}/metrics`);
  assert.equal(nameless.status, 200);
  assert.match(nameless.text, /^slimfaas_build_info/m);
  assert.doesNotMatch(nameless.text, /fib/);
  assert.match((await callUrl(`${t.metricsUrl}/metrics`, as('prometheus'))).text, /function="fib"/);
  assert.equal((await callUrl(`${t.metricsUrl}/metrics`, as('other'))).status, 401);
});

test('while NATS is down the scaler is shown the token of the proxy', async (t) => {
  const dir = await mkdtemp(join(tmpdir(), 'token-'));
  t.after(() => rm(dir, { recursive: true }));
  await writeFile(join(dir, 'token'), 'of-the-proxy\n');
  const seen: (string | undefined)[] = [];
  const scaler = await new App((req, res) => {
    seen.push(req.headers['slimfaas-authorization'] as string | undefined);
    res.writeHead(204).end();
  }).listen();
  t.after(() => scaler.close());
  const url = `http://${APP_HOST}:${scaler.port}`;
  await using proxy = await startTestProxy([
    `--scaler-url=${url}`,
    `--peer-token-file=${join(dir, 'token')}`,
  ]);
  proxy.addFunction('fib');
  await waitFor(async () => (await callUrl(`${proxy.url}/status-function/fib`)).status === 200, {
    what: 'fib',
  });
  await proxy.nats.stop();
  await waitFor(async () => (await callUrl(`${proxy.url}/ready`)).status === 503, { what: 'NATS is gone' });
  await callUrl(`${proxy.url}/wake-function/fib`, { method: 'POST' });
  await waitFor(() => seen.length > 0, { what: 'the scaler is asked' });
  assert.equal(seen[0], 'Bearer of-the-proxy');
});
