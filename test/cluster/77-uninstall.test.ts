/** The end of an installation: with `slimfaas release` no caller notices it; without, nothing of it stays in the way. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { after, it } from 'node:test';
import { createClients, mustRun } from './harness/clients.ts';
import { installRelease, makeEmptyVolumes, removeRelease, type Release } from './harness/release.ts';
import { putToSleep, servicesOf, WAKE } from './services.ts';
import { readContext } from './harness/settings.ts';
import { openWorldOf, until } from './harness/world.ts';

const context = readContext();
const clients = createClients(context.settings, context.apiUrl);
const system = `${context.settings.prefix}-gone`;
const release: Release = { system, functions: [`${system}-fn`] };
const MAIN = join(import.meta.dirname, '../../cli/main.ts');

it('slimfaas release hands Services to their pods; an uninstall without it leaves no slice', async (t) => {
  after(() => removeRelease(clients, release));
  await makeEmptyVolumes(clients, context, release);
  await installRelease(clients, context, release);
  const world = await openWorldOf(clients, context, release);
  const services = servicesOf(world);
  const caller = await world.caller();
  const annotations = { ...WAKE, TimeoutSecondBeforeSetReplicasMin: 600 };
  await using fn = await world.deploy({ name: 'shop', annotations });
  await using _ = await services.add(fn.name);
  await services.leadsToProxies(fn.name);

  const load = await caller.load({ url: services.urlOf(fn.name), callers: 4, paceMs: 100, isFresh: true });
  await fn.waitForReady(1);
  await services.leadsToPods(fn.name);
  await putToSleep(world, fn);
  const slimfaas = [process.execPath, '--disable-warning=ExperimentalWarning', MAIN];
  const said = await mustRun(slimfaas, ['release', '--system-namespace', system]);
  t.diagnostic(said.trim().replaceAll('\n', '; '));
  assert.match(said, /1 EndpointSlices removed\nnow uninstall slimfaas/);
  assert.equal(await services.endpoints(fn.name), undefined);
  assert.equal((await fn.read())['status'].readyReplicas, 1);

  // As it was: the scaler takes it up again.
  const scaler = ['deployment/slimfaas-scaler', '-n', system];
  await world.kubectl(['scale', '--replicas=1', ...scaler]);
  await world.kubectl(['rollout', 'status', ...scaler]);
  await until(async () => (await services.endpoints(fn.name)) !== undefined, 'the slice is back');
  const { calls, failures } = await load.stop();
  assert.deepEqual(failures, [], `${failures.length} of ${calls} calls failed`);
  await world.kubectl(['scale', '--replicas=0', `deployment/${fn.name}`, '-n', world.namespace]);
  await services.leadsToProxies(fn.name);

  await clients.helm(['uninstall', 'slimfaas', '--namespace', system, '--wait']);
  await until(
    async () => (await services.endpoints(fn.name)) === undefined,
    'the slice has gone with its owner',
  );
  await world.kubectl(['scale', '--replicas=1', `deployment/${fn.name}`, '-n', world.namespace]);
  assert.match((await caller.poll(services.urlOf(fn.name))).body, /"pod":"shop-/);
});
