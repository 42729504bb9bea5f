/** An external scaler in Go, on KEDA's own generated package, moves replicas here: by its stream, and by its values. */
import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { TestCluster } from '../support/test-cluster.ts';

const SOURCE = fileURLToPath(new URL('./go-scaler', import.meta.url));
const folder = mkdtempSync(join(tmpdir(), 'slimfaas-go-scaler-'));
const program = join(folder, 'scaler');
const built = spawnSync('go', ['build', '-o', program, '.'], {
  cwd: SOURCE,
  encoding: 'utf8',
  timeout: 240_000,
});
const skip =
  built.status === 0 ? false : `Go cannot build it: ${built.error?.message ?? built.stderr.slice(-200)}`;

process.once('exit', () => rmSync(folder, { recursive: true, force: true }));

test('KEDA’s external scaler protocol, spoken by KEDA’s own code', { skip }, async (t) => {
  const child = spawn(program, { stdio: ['ignore', 'pipe', 'inherit'] });
  t.after(async () => {
    child.kill('SIGKILL');
    await once(child, 'exit');
  });
  const [line] = (await once(createInterface(child.stdout), 'line')) as [string];
  const { grpc, http } = JSON.parse(line) as { grpc: string; http: string };
  const say = async (state: string): Promise<string> =>
    (await fetch(`http://${http}/?${state}`, { method: 'PUT' })).text();
  const cluster = await TestCluster.start((release) => t.after(release));
  const scale = {
    ScaleFromZero: true,
    Sources: [{ Name: 'keda', Type: 'external', Url: `grpc://${grpc}`, Metadata: { queue: 'orders' } }],
    Triggers: [{ Source: 'keda' }],
  };
  await cluster.fn('worker', { 'SlimFaas/Scale': JSON.stringify({ ...scale, ReplicaMax: 9 }) });
  await cluster.scaler({ 'source-allow': ['127.0.0.1'] });
  // Active before it was first asked, or pushed after: one of both wakes it. 7 of 2.5 per pod are 3 pods.
  await say('active=true&value=7');
  await cluster.hasReplicas('worker', 3);
  // Pushed while it is up.
  await say('active=true&value=12');
  await cluster.hasReplicas('worker', 5);
  assert.equal(await say('active=false&value=0'), 'default/worker queue=orders');
});
