/** A real sidecar tells the scaler what it sees: real sockets, a real NATS server, the kernel's own tables. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { it } from 'node:test';
import { silentLog } from '../../../common/runtime/log.ts';
import { decodeActivity, type ActivityMessage } from '../../../common/bus/messages.ts';
import { openNatsLink } from '../../../common/bus/nats.ts';
import { functionSubject } from '../../../common/bus/subjects.ts';
import { startNats } from '../../helpers/nats.ts';
import { App, APP_HOST } from '../support/app.ts';
import { sidecarFor } from '../support/sidecar.ts';

const ID = { namespace: 'ns', name: 'fn' };

/** Closed by a reset, so that no table shows it: as one whose other end is elsewhere. */
async function openAndForget(port: number): Promise<void> {
  const socket = connect(port, APP_HOST);
  await once(socket, 'connect');
  socket.resetAndDestroy();
  await once(socket, 'close');
}

it('connections to the app that nothing explains are in its reports and its metrics', async () => {
  await using nats = await startNats();
  await using app = await new App().listen();
  const flags = { nats: nats.url, 'direct-traffic': 'count', 'pod-ip': '10.9.9.9' };
  await using sidecar = await sidecarFor(app.port, { flags });
  const link = openNatsLink({ servers: nats.url, name: 'ear', log: silentLog });
  const told: ActivityMessage[] = [];
  link.subscribe(functionSubject('activity', ID), (_, data) => told.push(decodeActivity(data)));
  try {
    while (!told.some(({ directOpened = 0 }) => directOpened > 0)) {
      await openAndForget(app.port);
      await delay(20);
    }
  } finally {
    await link.stop();
  }
  assert.ok((await sidecar.metric('slimfaas_sidecar_direct_opened_total')) > 0);
  assert.ok(told.every(({ running, started }) => running === 0 && started === 0));
});

it('a sidecar that is not told to count tells nothing of them', async () => {
  await using app = await new App().listen();
  await using sidecar = await sidecarFor(app.port);
  await openAndForget(app.port);
  assert.equal(await sidecar.metric('slimfaas_sidecar_direct_opened_total'), 0);
});
