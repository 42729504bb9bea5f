/** Who may reach whom: NetworkPolicies, where the cluster enforces them, and private functions. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { send } from '../helpers/send.ts';
import { openCaller } from './harness/caller.ts';
import { waitFor } from '../helpers/wait.ts';
import { installRelease, makeNamespace } from './harness/release.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const { prefix } = world.context.settings;

it('a stranger reaches the proxy and not NATS', async (t) => {
  const outside = `${prefix}-outside`;
  await makeNamespace(world, world.context, outside);
  const stranger = await openCaller(world, world.context, outside);
  const proxy = await stranger.call(`${world.insideUrl}/health`);
  assert.equal(proxy.status, 200);
  const nats = `http://slimfaas-nats.${world.release.system}:4222/`;
  const { status, body } = await stranger.call(nats, {}, 3_000);
  assert.equal(status, 0, body);
  // NATS itself answers with its greeting, which is no HTTP.
  const isEnforced = !/Parse Error/.test(body);
  t.diagnostic(isEnforced ? `refused: ${body}` : 'this cluster enforces no NetworkPolicies');
});

it('with networkPolicies a stranger reaches the ports for callers, and no other', async (t) => {
  const outside = `${prefix}-outside`;
  const { system } = world.release;
  await makeNamespace(world, world.context, outside);
  const stranger = await openCaller(world, world.context, outside);
  const nats = await stranger.call(`http://slimfaas-nats.${system}:4222/`, {}, 3_000);
  if (/Parse Error/.test(nats.body)) return t.skip('this cluster enforces no NetworkPolicies');
  await using fn = await world.deploy({ name: 'walled', annotations: { ReplicasMin: 1 } });
  await fn.waitForReady(1);
  const pods = await world.list(`/api/v1/namespaces/${system}/pods`);
  const ipOf = (part: string) =>
    pods.find((pod) => pod.metadata.labels?.['app.kubernetes.io/component'] === part)?.['status']
      .podIP as string;
  const [pod] = await world.list(
    `/api/v1/namespaces/${world.namespace}/pods?labelSelector=slimfaas.dev/function=${fn.name}`,
  );
  const closed = [
    `http://${ipOf('scaler')}:5001/health`,
    `http://${ipOf('proxy')}:5003/health`,
    `http://${ipOf('webhook')}:5002/health`,
    `http://${pod?.['status'].podIP}:15081/health`,
    `http://${pod?.['status'].podIP}:15080/hello`,
  ];
  for (const url of closed) assert.notEqual((await stranger.call(url, {}, 3_000)).status, 0, url);
  // A connection that is open already stays allowed, and the first stranger keeps theirs: so another one asks.
  const second = `${prefix}-outside-2`;
  await makeNamespace(world, world.context, second);
  const other = await openCaller(world, world.context, second);
  const set = (networkPolicies: object) =>
    installRelease(world, world.context, world.release, { verb: 'upgrade', values: { networkPolicies } });
  await set({ parts: true, sidecars: true });
  try {
    for (const url of closed)
      await waitFor(async () => (await other.call(url, {}, 1_000)).status === 0, {
        what: `${url} is closed`,
        timeoutMs: 60_000,
      });
    assert.equal((await other.call(`${world.insideUrl}/health`)).status, 200);
    const called = await other.call(`${world.insideUrl}/function/${fn.route}/hello`);
    assert.equal(called.status, 200, called.body);
    await using asleep = await world.deploy({ name: 'walled-sleeper' });
    const woken = await other.call(`${world.insideUrl}/function/${asleep.route}/hello`);
    assert.equal(woken.status, 200, woken.body);
  } finally {
    await set({});
  }
});

it('a private function: callers of the cluster are answered, others are told that there is none', async () => {
  await using fn = await world.deploy({ name: 'hidden', annotations: { DefaultVisibility: 'Private' } });
  const caller = await world.caller();
  const inside = await caller.poll(`${world.insideUrl}/function/${fn.route}/hello`);
  assert.equal(inside.status, 200, inside.body);
  const headers = { 'x-forwarded-for': '192.0.2.1' };
  assert.equal((await send(`${world.proxyUrl}/function/${fn.route}/hello`, { headers })).status, 404);
});
