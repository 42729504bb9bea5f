/** What an operator asks of an installation: does it work, and are its sidecars of today? */
import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { mustRun } from './harness/clients.ts';
import { openWorld } from './harness/world.ts';

const world = await openWorld();
const MAIN = join(import.meta.dirname, '../../cli/main.ts');

describe('an installation is asked', () => {
  it('helm test: every part works', async () => {
    const { system } = world.release;
    const text = await world.helm(['test', 'slimfaas', '--namespace', system, '--timeout', '90s'], {
      timeoutMs: 100_000,
    });
    assert.match(text, /Phase: +Succeeded/);
  });

  it('status --outdated: no pod has another sidecar than the webhook injects', async () => {
    await using fn = await world.deploy({ name: 'current' });
    await world.call(fn.name);
    const where = ['--system-namespace', world.release.system, '--namespace', world.namespace];
    const answer = await mustRun([process.execPath, MAIN], ['status', '--outdated', '--json', ...where]);
    const { pods } = JSON.parse(answer) as { pods: { pod: string }[] };
    assert.deepEqual(
      pods.filter(({ pod }) => pod.startsWith(fn.name)),
      [],
    );
  });
});
