/** Who may reach whom: NetworkPolicies, where the cluster enforces them, and private functions. */
import assert from 'node:assert/strict';
import { it } from 'node:test';
import { send } from '../helpers/send.ts';
import { openCaller } from './harness/caller.ts';
import { makeNamespace } from './harness/release.ts';
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

it('a private function: callers of the cluster are answered, others are told that there is none', async () => {
  await using fn = await world.deploy({ name: 'hidden', annotations: { DefaultVisibility: 'Private' } });
  const caller = await world.caller();
  const inside = await caller.poll(`${world.insideUrl}/function/${fn.route}/hello`);
  assert.equal(inside.status, 200, inside.body);
  const headers = { 'x-forwarded-for': '192.0.2.1' };
  assert.equal((await send(`${world.proxyUrl}/function/${fn.route}/hello`, { headers })).status, 404);
});
