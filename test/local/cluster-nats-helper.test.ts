import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from 'nats';
import { startNats } from '../helpers/nats.ts';

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
