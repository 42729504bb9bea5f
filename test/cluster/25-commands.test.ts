/** The command line finds the cluster that kubectl would, with a kubeconfig alone. */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
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

  it('wake', async () => {
    await using fn = await world.deploy({ name: 'woken' });
    await slimfaas('wake', fn.name);
    await fn.waitForReady(1);
  });
});
