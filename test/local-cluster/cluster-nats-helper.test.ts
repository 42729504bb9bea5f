import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { connect } from 'nats';
import { startNats } from '../helpers/nats.ts';
import { waitFor } from '../helpers/wait.ts';

test('the nats helper keeps port and stream over a kill and a restart', async () => {
  await using nats = await startNats();
  const connection = await connect({ servers: nats.url });
  const manager = await connection.jetstreamManager();
  await manager.streams.add({ name: 'S', subjects: ['s.>'] });
  await connection.jetstream().publish('s.a', 'x');
  await connection.close();
  const before = nats.pid;
  await nats.kill();
  assert.equal(nats.pid, undefined);
  await assert.rejects(connect({ servers: nats.url, maxReconnectAttempts: 0 }));
  await nats.restart();
  assert.notEqual(nats.pid, before);
  const again = await connect({ servers: nats.url });
  const info = await (await again.jetstreamManager()).streams.info('S');
  assert.equal(info.state.messages, 1);
  await again.close();
});

test('a test that is killed leaves neither its nats-server nor the folder', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'slimfaas-killed-'));
  const script = `
    const { startNats } = await import(${JSON.stringify(import.meta.resolve('../helpers/nats.ts'))});
    const nats = await startNats();
    console.log(nats.pid);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, TMPDIR: folder },
  });
  const [line] = (await once(child.stdout, 'data')) as [Buffer];
  const pid = Number(line.toString());
  assert.ok(pid > 0);
  child.kill('SIGKILL');
  await waitFor(() => !isAlive(pid), { what: 'its nats-server is gone' });
  await waitFor(async () => (await readdir(folder)).length === 0, { what: 'its folder is removed' });
  await rm(folder, { recursive: true });
});

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
