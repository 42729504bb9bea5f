/** What runs beside NATS: a server that runs is told once of each change, and nobody else ever. */
import assert from 'node:assert/strict';
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { once } from 'node:events';
import { test } from 'node:test';
import { startReloads } from '../../cli/parts/nats-reload.ts';
import { startNats, type TestNats } from '../helpers/nats.ts';
import { recordingLog } from '../helpers/recording-log.ts';
import { waitFor } from '../helpers/wait.ts';

/** What the server's configuration says of itself to whoever connects. */
async function maxPayload({ host, port }: TestNats): Promise<number> {
  const socket = connect(port, host);
  const [info] = (await once(socket, 'data')) as [Buffer];
  socket.destroy();
  const text = info.toString();
  return (JSON.parse(text.slice('INFO '.length)) as { max_payload: number }).max_payload;
}

test('a running server reads changed files again; a process that is none gets no signal', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'slimfaas-reload-'));
  const pidFile = join(dir, '..', `${dir.split('/').at(-1)}.pid`);
  const write = async (bytes: number): Promise<void> => {
    await writeFile(join(dir, '..part'), `max_payload: ${bytes}\n`);
    await rename(join(dir, '..part'), join(dir, 'part.conf'));
  };
  await write(100_000);
  await using nats = await startNats({ config: `include "../${dir.split('/').at(-1)}/part.conf"` });
  // SIGHUP would end this process.
  await writeFile(pidFile, `${process.pid}\n`);
  const { log, lines } = recordingLog();
  // As when they change between what the server has read and its pid.
  await write(200_000);
  const reloads = startReloads({ dir, pidFile, checkMs: 20, log });
  try {
    assert.equal(await maxPayload(nats), 100_000);
    await writeFile(pidFile, `${nats.pid}\n`);
    await waitFor(async () => (await maxPayload(nats)) === 200_000, { what: 'it has read the files again' });
    await write(300_000);
    await waitFor(async () => (await maxPayload(nats)) === 300_000, { what: 'and again' });
    assert.equal(lines.filter(({ message }) => message.includes('reads its files')).length, 2);
  } finally {
    await reloads.stop();
    await rm(pidFile);
    await rm(dir, { recursive: true });
  }
});
