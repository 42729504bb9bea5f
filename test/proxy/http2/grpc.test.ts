/** gRPC through both hops, with grpc-js at either end: a client and a server that are not ours. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import grpc from '@grpc/grpc-js';
import { echoClient, startGrpcApp, type EchoClient, type EchoHandlers } from '../../helpers/grpc.ts';
import { nextAddress } from '../support/fake-pod.ts';
import { startSidecarBeside } from '../support/real-sidecar.ts';
import { startTestProxy, type TestProxy } from '../support/test-proxy.ts';

interface GrpcWorld extends AsyncDisposable {
  readonly t: TestProxy;
  readonly client: EchoClient;
}

async function startWorld(
  handlers: Partial<EchoHandlers> = {},
  { proxy = [], sidecar = [] }: { proxy?: string[]; sidecar?: string[] } = {},
): Promise<GrpcWorld> {
  const t = await startTestProxy(proxy);
  const ip = nextAddress();
  const app = await startGrpcApp(ip, handlers);
  t.addFunction('fib');
  const flags = ['--app-protocol=h2c', ...sidecar];
  const beside = await startSidecarBeside(t, { name: 'p', ip, port: app.port, flags });
  t.setPod('fib', 'p', ip);
  await t.readyPods('fib', 1);
  const client = echoClient(`127.0.0.1:${t.port}`, 'fib');
  return {
    t,
    client,
    async [Symbol.asyncDispose]() {
      client[Symbol.dispose]();
      await app[Symbol.asyncDispose]();
      await beside.stop();
      await t[Symbol.asyncDispose]();
    },
  };
}

async function textsOf(stream: AsyncIterable<unknown>): Promise<string[]> {
  const all: string[] = [];
  for await (const part of stream) all.push(String(part));
  return all;
}

test('unary: message, metadata and trailers both ways', async () => {
  await using world = await startWorld({
    unary(call, answer) {
      const headers = new grpc.Metadata();
      headers.set('x-head', String(call.metadata.get('x-mine')[0]));
      headers.set('x-bin-bin', Buffer.from([0, 255]));
      call.sendMetadata(headers);
      const trailers = new grpc.Metadata();
      trailers.set('x-tail', 'bye');
      answer(null, `echo ${call.request} ${call.metadata.get('slimfaas-function').length}`, trailers);
    },
  });
  const { value, metadata, trailers } = await world.client.unary('hi', { metadata: { 'x-mine': 'yes' } });
  assert.equal(value, 'echo hi 0', 'the metadata that names the function is not the function’s');
  assert.deepEqual(metadata.get('x-head'), ['yes']);
  assert.deepEqual(metadata.get('x-bin-bin'), [Buffer.from([0, 255])]);
  assert.deepEqual(trailers.get('x-tail'), ['bye']);
});

test('server, client and bidirectional streams', async () => {
  await using world = await startWorld();
  assert.deepEqual(await textsOf(world.client.serverStream('abc')), ['a', 'b', 'c']);
  const { call, answer } = world.client.clientStream();
  for (const part of ['1', '2', '3']) call.write(part);
  call.end();
  assert.equal(await answer, '1+2+3');
  const chat = world.client.bidi();
  for (const part of ['x', 'y']) {
    chat.write(part);
    // Each is answered while the request is still open: both directions flow at once.
    const [reply] = (await once(chat, 'data')) as [string];
    assert.equal(reply, `echo ${part}`);
  }
  chat.end();
  const [status] = (await once(chat, 'status')) as [grpc.StatusObject];
  assert.equal(status.code, grpc.status.OK);
});
