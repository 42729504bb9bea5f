/** A canary beside its function: rolled back for its errors, let in again with another version, and promoted. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { it } from 'node:test';
import { CANARY_END_ANNOTATION } from '../../common/function/canary-end.ts';
import { mustRun } from './harness/clients.ts';
import { openWorld, until } from './harness/world.ts';

const world = await openWorld();
const MAIN = join(import.meta.dirname, '../../cli/main.ts');
const system = ['--system-namespace', world.release.system];
const slimfaas = (...args: string[]): Promise<string> =>
  mustRun([process.execPath, '--disable-warning=ExperimentalWarning', MAIN], ['canary', ...args]);

const SPLIT = {
  'slimfaas.dev/canary-of': 'sale',
  'slimfaas.dev/weight': 50,
  'slimfaas.dev/roll-back': '{"Calls": 20}',
};

/** @returns whose pods answered, and how often */
async function sell(calls: number): Promise<{ stable: number; canary: number; failed: number }> {
  const sold = { stable: 0, canary: 0, failed: 0 };
  for (let i = 0; i < calls; i++) {
    const { status, body } = await world.call('sale', '/sale');
    if (status !== 200) sold.failed++;
    sold[body.startsWith('sale-next') ? 'canary' : 'stable']++;
  }
  return sold;
}

const endOf = async (): Promise<string | undefined> =>
  (await world.get(`/apis/apps/v1/namespaces/${world.namespace}/deployments/sale-next`))?.metadata
    .annotations?.[CANARY_END_ANNOTATION];

it('a canary that fails is rolled back; with another version it takes its part, and then the place', async (t) => {
  await using stable = await world.deploy({ name: 'sale', replicas: 1 });
  await using canary = await world.deploy({
    name: 'sale-next',
    replicas: 1,
    annotations: SPLIT,
    env: { SALE_STATUS: 500 },
  });
  for (const part of [stable, canary]) await part.waitForReady(1);
  let failed = 0;
  await until(async () => {
    failed += (await sell(20)).failed;
    return (await endOf()) !== undefined;
  }, 'the canary is rolled back');
  t.diagnostic(`${failed} calls failed until it was rolled back`);
  await until(async () => (await sell(20)).canary === 0, 'every proxy has seen it');
  assert.deepEqual(await sell(40), { stable: 40, canary: 0, failed: 0 });
  const events = `/api/v1/namespaces/${world.namespace}/events`;
  await until(
    async () => (await world.list(events)).some(({ reason }) => reason === 'CanaryRolledBack'),
    'an Event says it',
  );
  assert.match(
    await slimfaas(...system, '-n', world.namespace),
    /sale-next +0 % .*rolled back at .*calls failed/,
  );

  // It survives the parts that know of it.
  await world.kubectl([
    '-n',
    world.release.system,
    'rollout',
    'restart',
    'deployment/slimfaas-scaler',
    'deployment/slimfaas-proxy',
  ]);
  for (const part of ['slimfaas-scaler', 'slimfaas-proxy'])
    await world.kubectl([
      '-n',
      world.release.system,
      'rollout',
      'status',
      `deployment/${part}`,
      '--timeout=120s',
    ]);
  assert.equal((await sell(20)).canary, 0);

  await world.kubectl(['-n', world.namespace, 'set', 'env', 'deployment/sale-next', 'SALE_STATUS=200']);
  await until(async () => (await sell(20)).canary > 0, 'another version takes its part');
  const rollout = ['-n', world.namespace, 'rollout', 'status', 'deployment/sale-next', '--timeout=60s'];
  await world.kubectl(rollout);
  const promote = ['promote', 'sale-next', '-n', world.namespace];
  assert.match(
    await slimfaas(...promote, '--dry-run'),
    /container \S+: env SALE_STATUS: as the canary has it\n.*dry run/s,
  );
  assert.match(await slimfaas(...promote), /sale-next: gets no more calls of sale/);
  await until(async () => (await sell(20)).canary === 0, 'the function has all of its calls');
  const { spec } = (await stable.read()) as unknown as {
    spec: { template: { spec: { containers: { env: object[] }[] } } };
  };
  assert.ok(JSON.stringify(spec.template.spec.containers[0]?.env).includes('SALE_STATUS'));
});
