/** What anybody who asks for the functions' status may cost. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect } from 'node:net';
import { test } from 'node:test';
import type { FunctionEntry } from '../../proxy/functions/function-entry.ts';
import { functionStatus } from '../../proxy/status/function-status.ts';
import { waitFor } from '../helpers/wait.ts';
import { callUrl } from './support/calls.ts';
import { startTestProxy, type TestProxy } from './support/test-proxy.ts';

const GET = (path: string): string => `GET ${path} HTTP/1.1\r\nHost: h\r\n\r\n`;

test('as many readers follow the status as may; the next is told so, and comes in when one has left', async () => {
  await using t = await startTestProxy(['--status-readers=3']);
  const readers = await Promise.all(Array.from({ length: 3 }, () => follow(t)));
  const refused = await callUrl(`${t.url}/status-functions-stream`);
  assert.deepEqual([refused.status, refused.headers['slimfaas-reason']], [503, 'too-busy']);
  assert.match(refused.text, /3 readers/);
  assert.equal(refused.headers['retry-after'], '5');
  assert.match(await metricsOf(t), /^slimfaas_proxy_limited_total\{limit="status-readers"\} 1$/m);
  assert.match(await metricsOf(t), /^slimfaas_proxy_status_readers 3$/m);
  readers[0]?.destroy();
  await waitFor(async () => /^slimfaas_proxy_status_readers 2$/m.test(await metricsOf(t)), {
    what: 'one has left',
  });
  readers.push(await follow(t));
  for (const reader of readers) reader.destroy();
});

test('many requests in one packet are as many readers', async () => {
  await using t = await startTestProxy(['--status-readers=3']);
  const socket = connect(t.port, '127.0.0.1');
  socket.write(GET('/status-functions-stream').repeat(500));
  const refused = /^slimfaas_proxy_limited_total\{limit="status-readers"\} 497$/m;
  await waitFor(async () => refused.test(await metricsOf(t)), { what: 'all but three are refused' });
  assert.match(await metricsOf(t), /^slimfaas_proxy_status_readers 3$/m);
  socket.destroy();
  await waitFor(async () => /^slimfaas_proxy_status_readers 0$/m.test(await metricsOf(t)), {
    what: 'all have left',
  });
});

test('who does not read his answer is cut after --body-idle-timeout, a reader of events too', async () => {
  await using t = await startTestProxy(['--body-idle-timeout=1', '--status-bytes=100000']);
  const long = 'x'.repeat(300);
  const faults = JSON.stringify(Object.fromEntries(Array.from({ length: 20 }, (_, i) => [`${long}${i}`, 1])));
  for (let i = 0; i < 300; i++) t.addFunction(`f${i}`, { 'SlimFaas/Scale': faults });
  await waitFor(async () => (await callUrl(`${t.url}/status-functions`)).text.length > 1_000_000, {
    what: 'the status is large',
  });
  const sockets = ['/status-functions', '/status-functions-stream'].map((path) => {
    const socket = connect(t.port, '127.0.0.1').pause();
    socket.on('error', () => undefined);
    socket.write(GET(path).repeat(12));
    return socket;
  });
  await waitFor(async () => heldBytes(await metricsOf(t)) > 0, { what: 'answers are not read' });
  await waitFor(async () => heldBytes(await metricsOf(t)) === 0, {
    what: 'they were cut',
    timeoutMs: 20_000,
  });
  for (const socket of sockets) socket.destroy();
});

test('an answer lists at most 1,000 pods of a function and says how many more there are', () => {
  const pod = (i: number) => ({ state: { kind: 'ready' }, suspicion: undefined, view: { name: `p${i}` } });
  const all = Array.from({ length: 1_003 }, (_, i) => pod(i));
  const pods = { all: new Set(all), size: all.length, ready: all };
  const view = {
    id: { name: 'f', namespace: 'n' },
    spec: { defaultVisibility: 'Public' },
    replicas: 1,
    faults: [],
  };
  const entry = { view, pods, everywhere: { waiting: 0, running: 0 } };
  const status = functionStatus(entry as unknown as FunctionEntry);
  assert.deepEqual([status.Pods.length, status.PodsLeftOut], [1_000, 3]);
});

async function follow(t: TestProxy) {
  const socket = connect(t.port, '127.0.0.1');
  socket.write(GET('/status-functions-stream'));
  const [data] = (await once(socket, 'data')) as [Buffer];
  assert.match(data.toString(), /^HTTP\/1.1 200/);
  return socket;
}

async function metricsOf(t: TestProxy): Promise<string> {
  return (await callUrl(`${t.metricsUrl}/metrics`)).text;
}

function heldBytes(metrics: string): number {
  return Number(/^slimfaas_proxy_status_bytes (\S+)$/m.exec(metrics)?.[1]);
}
