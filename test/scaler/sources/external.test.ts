/** KEDA's external scaler protocol, against a server that knows the protocol by its definition. */
import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { waitFor } from '../../helpers/wait.ts';
import { ExternalServer } from '../support/external-server.ts';
import { SourcesWorld, type SourcesOptions } from '../support/sources-world.ts';

async function scaler(t: TestContext, options: { hasStream?: boolean } & SourcesOptions = {}) {
  const server = new ExternalServer();
  const host = await server.start(t, options);
  const world = new SourcesWorld(t, options);
  const source = { Type: 'external', Url: `grpc://${host}`, Metadata: { queue: 'q1', limit: 5 } };
  return { server, host, world, source };
}

test('value and activity are asked for, in the name of the function and with its metadata', async (t) => {
  const { server, world, source } = await scaler(t, { credentials: { token: 's3cret' } });
  server.isActive = true;
  server.values = { backlog: { metricValue: 12 } };
  const readings = await world.first(source, { Threshold: 3 }, {});
  // Of 12, what one pod can take is 5: 2.4 parts.
  assert.deepEqual(readings, [
    { value: 12, isActive: true },
    { value: 2.4, isActive: true },
  ]);
  assert.deepEqual(server.ref, {
    name: 'fn',
    namespace: 'shop',
    scalerMetadata: { queue: 'q1', limit: '5' },
  });
  assert.equal(server.authorization, 'Bearer s3cret');
});

test('numbers with a fraction come first; of several metrics the largest counts, or the one that is named', async (t) => {
  const { server, world, source } = await scaler(t);
  server.specs = [
    { metricName: 'a', targetSize: 10, targetSizeFloat: 2.5 },
    { metricName: 'b', targetSize: 100 },
  ];
  server.values = { a: { metricValue: 9, metricValueFloat: 7.5 }, b: { metricValue: '5000000000' } };
  const triggers = [{ MetricName: 'a' }, { Threshold: 1 }, { MetricName: 'c' }];
  const [a, all, c] = await world.first(source, ...triggers);
  assert.deepEqual([a?.value, all?.value], [3, 5_000_000_000]);
  assert.equal(c?.fault, 'it has no metric c; it has a, b');
});

test('what is pushed is asked for at once', async (t) => {
  const { server, world, source } = await scaler(t);
  const read = world.ask({ ...source, IntervalMilliseconds: 300_000 }, [{ Threshold: 1 }]);
  await waitFor(() => read()?.[0]?.isActive === false && server.streams === 1, {
    what: 'the stream is open',
  });
  server.values = { backlog: { metricValue: 4 } };
  server.push(true);
  await waitFor(() => read()?.[0]?.isActive === true, { what: 'it is active' });
  assert.equal(read()?.[0]?.value, 4);
  server.values = { backlog: { metricValue: 9 } };
  server.push(true);
  await waitFor(() => read()?.[0]?.value === 9, { what: 'still active, and more to do' });
  server.push(false);
  await waitFor(() => read()?.[0]?.isActive === false, { what: 'it is not active' });
});

test('a flood of pushes is asked for a few times', async (t) => {
  const { server, world, source } = await scaler(t);
  const read = world.ask({ ...source, IntervalMilliseconds: 300_000 }, [{ Threshold: 1 }]);
  await waitFor(() => read() && server.streams === 1, { what: 'the stream is open' });
  const before = server.calls;
  for (let i = 0; i < 1_000; i++) server.push(i % 2 === 0);
  server.values = { backlog: { metricValue: 1 } };
  server.push(true);
  await waitFor(() => read()?.[0]?.value === 1 && read()?.[0]?.isActive === true, { what: 'it is heard' });
  assert.ok(server.calls - before < 100, `${server.calls - before} calls`);
});

test('a scaler without a stream is polled', async (t) => {
  const { server, world, source } = await scaler(t, { hasStream: false });
  const read = world.ask(source, [{ Threshold: 1 }]);
  await waitFor(() => read()?.[0]?.isActive === false, { what: 'an answer' });
  server.isActive = true;
  await waitFor(() => read()?.[0]?.isActive === true, { what: 'the next answer' });
});

test('what cannot be used is a fault that says why', async (t) => {
  const { server, world, source } = await scaler(t);
  server.specs = [];
  const [nothing] = await world.first(source, { Threshold: 1 });
  assert.equal(nothing?.fault, 'GetMetricSpec names no metric');
  server.specs = [{ metricName: 'backlog' }];
  const [noTarget] = await new SourcesWorld(t).first(source, {});
  assert.match(noTarget?.fault ?? '', /gave no number above 0/);
  server.specs = [{ metricName: 'x'.repeat(100_000), targetSize: 1 }];
  const [large] = await new SourcesWorld(t).first(source, { Threshold: 1 });
  assert.match(large?.fault ?? '', /gRPC status 8: .*larger than max/);
  const [away] = await new SourcesWorld(t).first({ Type: 'external', Url: 'grpc://127.0.0.1:1' }, {});
  assert.match(away?.fault ?? '', /gRPC status 14/);
});

test('a call that is not answered ends with its poll, and the server knows how long it may take', async (t) => {
  const { server, world, source } = await scaler(t);
  server.isHanging = true;
  world.ask(source, [{ Threshold: 1 }]);
  await waitFor(() => server.open === 1, { what: 'a call is open' });
  assert.ok(server.timeLeftMs > 0 && server.timeLeftMs <= 4_500, `${server.timeLeftMs} ms`);
  world.stop();
  await waitFor(() => server.open === 0, { what: 'no call is open' });
  assert.ok(server.timeLeftMs > 0, 'its caller has ended it, before its time was over');
});
