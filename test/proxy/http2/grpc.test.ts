/** gRPC through both hops, with grpc-js at either end: a client and a server that are not ours. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { test } from 'node:test';
import grpc from '@grpc/grpc-js';
import { echoClient, startGrpcApp, type EchoClient, type EchoHandlers } from '../../helpers/grpc.ts';
import { waitFor } from '../../helpers/wait.ts';
import { ownAddress } from '../../helpers/addresses.ts';
import { startSidecarBeside } from '../support/real-sidecar.ts';
import { startTestProxy, type TestProxy } from '../support/test-proxy.ts';
import { statusOf } from '../support/wakes.ts';
import { h2Client } from './h2-client.ts';

interface GrpcWorld extends AsyncDisposable {
  readonly t: TestProxy;
  readonly client: EchoClient;
}

async function startWorld(
  handlers: Partial<EchoHandlers> = {},
  { proxy = [], sidecar = [] }: { proxy?: string[]; sidecar?: string[] } = {},
): Promise<GrpcWorld> {
  const t = await startTestProxy(proxy);
  const ip = ownAddress();
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

test('an error’s status, message and details are the function’s own', async () => {
  await using world = await startWorld({
    unary(_call, answer) {
      const metadata = new grpc.Metadata();
      metadata.set('x-detail', 'why');
      answer({ code: grpc.status.FAILED_PRECONDITION, details: 'not yet: 100 % grün', metadata });
    },
    // Trailers only: nothing was sent before.
    serverStream: (call) => void call.emit('error', { code: grpc.status.NOT_FOUND, details: 'gone' }),
  });
  await assert.rejects(world.client.unary('x'), (error: grpc.ServiceError) => {
    assert.deepEqual(
      [error.code, error.details, error.metadata.get('x-detail')],
      [grpc.status.FAILED_PRECONDITION, 'not yet: 100 % grün', ['why']],
    );
    return true;
  });
  const stream = world.client.serverStream('x');
  stream.on('data', () => undefined);
  const [error] = (await once(stream, 'error')) as [grpc.ServiceError];
  assert.equal(error.code, grpc.status.NOT_FOUND);
});

test('a caller who cancels, and one whose deadline passes, ends the call in the function', async () => {
  let cancelled = 0;
  await using world = await startWorld({
    unary: (call) => void call.once('cancelled', () => cancelled++),
    bidi: (call) => void call.once('cancelled', () => cancelled++),
  });
  const leaving = new AbortController();
  const call = world.client.unary('x', { signal: leaving.signal });
  const chat = world.client.bidi();
  chat.on('error', () => undefined);
  chat.write('x');
  await waitFor(async () => (await statusOf(world.t, 'fib')).Running === 2, { what: 'both run' });
  leaving.abort();
  chat.cancel();
  await assert.rejects(call, { code: grpc.status.CANCELLED });
  await waitFor(() => cancelled === 2, { what: 'the function hears of both' });
  await assert.rejects(world.client.unary('x', { deadlineMs: 300 }), { code: grpc.status.DEADLINE_EXCEEDED });
  await waitFor(() => cancelled === 3, { what: 'and of the deadline' });
  await waitFor(async () => (await statusOf(world.t, 'fib')).Running === 0, { what: 'no place is taken' });
});

test('the deadline reaches the function as it was said', async () => {
  await using world = await startWorld({
    unary: (call, answer) => answer(null, String(Number(call.getDeadline()) - Date.now() > 50_000)),
  });
  assert.equal((await world.client.unary('x', { deadlineMs: 60_000 })).value, 'true');
});

test('what the system itself answers is told in gRPC’s words, with the reason', async () => {
  const policy = JSON.stringify({
    httpTimeoutSeconds: 0.2,
    timeoutRetriesSeconds: [],
    httpStatusRetries: [],
    retriesSetByUser: false,
  });
  await using world = await startWorld({ unary: () => undefined }, { sidecar: [`--sync-policy=${policy}`] });
  const late = world.client.unary('x');
  await assert.rejects(late, (error: grpc.ServiceError) => {
    assert.equal(error.code, grpc.status.DEADLINE_EXCEEDED);
    assert.match(error.details, /^function-timeout: .*HttpTimeout/);
    assert.deepEqual(error.metadata.get('slimfaas-reason'), ['function-timeout']);
    return true;
  });
  world.t.addFunction('secret', { 'SlimFaas/DefaultVisibility': 'Private' });
  for (const fn of ['nope', 'secret', undefined]) {
    using stranger = echoClient(`127.0.0.1:${world.t.port}`, fn);
    await assert.rejects(stranger.unary('x'), (error: grpc.ServiceError) => {
      assert.equal(error.code, grpc.status.UNIMPLEMENTED);
      assert.match(error.details, /^unknown-function: /);
      return true;
    });
  }
});

test('limits hold: one place, and the next call waits for it', async () => {
  const answers: ((error: null, value: string) => void)[] = [];
  await using world = await startWorld(
    { unary: (_call, answer) => void answers.push(answer) },
    { sidecar: ['--parallel-per-pod=1'] },
  );
  const calls = [world.client.unary('1'), world.client.unary('2')];
  await waitFor(async () => (await statusOf(world.t, 'fib')).Waiting === 1, { what: 'the second waits' });
  assert.equal(answers.length, 1);
  answers[0]?.(null, 'first');
  await waitFor(() => answers.length === 2, { what: 'the second runs' });
  answers[1]?.(null, 'second');
  const values = (await Promise.all(calls)).map(({ value }) => value);
  assert.deepEqual(values, ['first', 'second']);
});

test('a stream that is silent for longer than a slow client may be goes on', async () => {
  await using world = await startWorld(
    { bidi: (call) => void call.on('data', (part: string) => call.write(`echo ${part}`)) },
    { proxy: ['--body-idle-timeout=1'] },
  );
  const chat = world.client.bidi();
  chat.on('error', () => undefined);
  for (const part of ['before', 'after']) {
    chat.write(part);
    const [reply] = (await once(chat, 'data', { signal: AbortSignal.timeout(20_000) })) as [string];
    assert.equal(reply, `echo ${part}`);
    // Two and a half times the timeout, during which it is the client's turn and nothing moves.
    if (part === 'before') await new Promise((resolve) => setTimeout(resolve, 2_500));
  }
  chat.cancel();
});

test('a message larger than every window on the way, both ways', async () => {
  await using world = await startWorld({ unary: (call, answer) => answer(null, call.request) });
  const large = 'ab'.repeat(1_500_000);
  assert.equal((await world.client.unary(large)).value, large);
});

test('a gRPC path under /function/ needs no metadata', async () => {
  await using world = await startWorld();
  using client = h2Client(world.t.url);
  const message = Buffer.from([0, 0, 0, 0, 2, 0x68, 0x69]);
  const headers = { 'content-type': 'application/grpc', te: 'trailers' };
  const answer = await client.call('/function/fib/test.Echo/Unary', { headers, body: message });
  assert.deepEqual([answer.status, answer.trailers['grpc-status']], [200, '0']);
  assert.equal(answer.text.slice(5), 'echo hi');
});
