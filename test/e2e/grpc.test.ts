/** gRPC through the whole system: real processes, the production manifests, the real webhook and scaler. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { echoClient } from '../helpers/grpc.ts';
import { NAMESPACE } from './functions.ts';
import { startWorld, type World } from './world.ts';

let world: World;
before(async () => {
  world = await startWorld();
});
after(() => world[Symbol.asyncDispose]());

test('a gRPC call to a function at zero waits and is answered, and so is a stream beside it', async () => {
  await world.deploy({
    name: 'echo',
    image: 'grpc-echo',
    command: [process.execPath, fileURLToPath(new URL('grpc-function.ts', import.meta.url))],
    annotations: { 'slimfaas.dev/app-protocol': 'grpc' },
    readinessProbe: { tcpSocket: { port: 5000 }, periodSeconds: 1 },
  });
  assert.equal(world.pods('echo').length, 0);
  const { host } = new URL(world.system.proxyUrl);
  using client = echoClient(host, `echo.${NAMESPACE}`);
  const chat = client.bidi();
  chat.write('early');
  const heard = once(chat, 'data');
  const unary = await client.unary('hello', { deadlineMs: 60_000 });
  assert.equal(unary.value, 'echo hello');
  assert.deepEqual(await heard, ['echo early']);
  assert.equal(world.pods('echo').length, 1);
  chat.end();
  await once(chat, 'end');
});
