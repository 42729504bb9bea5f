import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { test } from 'node:test';
import { waitFor } from '../../helpers/wait.ts';
import { App } from '../support/app.ts';
import { sidecarFor } from '../support/sidecar.ts';

test('a sidecar takes --max-connections and no more, and counts those that it closes', async () => {
  await using app = await new App((_req, res) => res.end('ok')).listen();
  await using sidecar = await sidecarFor(app.port, { flags: { 'max-connections': '16' } });
  const open: Socket[] = [];
  try {
    let closed = 0;
    for (let i = 0; i < 40; i++) {
      const socket = connect(sidecar.port, '127.0.0.1');
      socket.on('error', () => undefined);
      socket.on('close', () => closed++);
      await once(socket, 'connect');
      open.push(socket);
    }
    await waitFor(() => closed >= 24, { what: 'what is too much is closed' });
    const metric = (): Promise<number> => sidecar.metric('slimfaas_sidecar_refusals_total', 'too-busy');
    await waitFor(async () => (await metric()) >= 24, { what: 'it is counted' });
  } finally {
    for (const socket of open) socket.destroy();
  }
  await waitFor(async () => (await sidecar.call()).status === 200, { what: 'there is room again' });
});

test('its admin port holds few connections that say nothing, and still answers a probe', async () => {
  await using app = await new App((_req, res) => res.end('ok')).listen();
  await using sidecar = await sidecarFor(app.port);
  const open: Socket[] = [];
  try {
    let closed = 0;
    for (let i = 0; i < 400; i++) {
      const socket = connect(sidecar.adminPort, '127.0.0.1');
      socket.on('error', () => undefined).on('close', () => closed++);
      await once(socket, 'connect');
      open.push(socket.resume());
    }
    await waitFor(() => closed >= 120, { what: 'the longest idle are closed' });
    assert.equal((await sidecar.admin('/health')).status, 200);
    assert.ok((await sidecar.metric('slimfaas_sidecar_refusals_total', 'too-busy')) > 0);
  } finally {
    for (const socket of open) socket.destroy();
  }
});
