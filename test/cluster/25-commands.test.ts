/** The command line finds the cluster that kubectl would, with a kubeconfig alone. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { send } from '../helpers/send.ts';
import { mustRun } from './harness/clients.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const MAIN = join(import.meta.dirname, '../../cli/main.ts');

function slimfaas(command: string, ...args: string[]): Promise<string> {
  const where = ['--system-namespace', world.release.system, '--namespace', world.namespace];
  return mustRun(
    [process.execPath, '--disable-warning=ExperimentalWarning', MAIN],
    [command, ...args, ...where],
  );
}

describe('slimfaas with a kubeconfig', { concurrency: 2 }, () => {
  it('call, from zero, then status', async () => {
    await using fn = await world.deploy({ name: 'called' });
    assert.match(await slimfaas('call', fn.name, '/hello'), /"pod":"called-/);
    const [status] = JSON.parse(await slimfaas('status', fn.name, '--json')) as { Name: string }[];
    assert.equal(status?.Name, fn.name);
  });

  it('query and jobs dead: with a token that was made for slimfaas, and not without the right', async () => {
    const system = ['--system-namespace', world.release.system];
    const ask = (...args: string[]) =>
      mustRun([process.execPath, '--disable-warning=ExperimentalWarning', MAIN], [...args, ...system]);
    assert.match(await ask('query', 'vector(7)'), /a trigger gets 7/);
    assert.match(await ask('jobs', 'dead', 'list'), /no dead jobs|SEQ/);
    const asProxy = ['--as-service-account', 'slimfaas-proxy'];
    await assert.rejects(
      ask('jobs', 'dead', 'list', ...asProxy),
      /403: .* may not list functions\/deadletters/,
    );
  });

  it('operator routes: nobody who only reaches the port', async () => {
    const caller = await world.caller();
    const scaler = `http://slimfaas-scaler.${world.release.system}:5001`;
    assert.equal((await caller.call(`${scaler}/functions`)).status, 401);
    const metrics = await caller.call(`${scaler}/metrics`);
    assert.equal(metrics.status, 200);
    assert.doesNotMatch(metrics.body, /namespace="/);
    const wakeAll = await send(`${world.proxyUrl}/wake-functions`, { method: 'POST' });
    assert.equal(wakeAll.status, 401);
  });

  it('wake', async () => {
    await using fn = await world.deploy({ name: 'woken' });
    await slimfaas('wake', fn.name);
    await fn.waitForReady(1);
  });
});
