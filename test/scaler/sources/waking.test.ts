/** Workers without callers, in a whole scaler: they sleep, sources wake them, and faults are told. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { connect } from 'nats';
import { serve } from '../../helpers/serve.ts';
import { waitFor } from '../../helpers/wait.ts';
import { ExternalServer } from '../support/external-server.ts';
import { TestCluster } from '../support/test-cluster.ts';

const HERE = { 'source-allow': ['127.0.0.0/8'] };
const SHORT = { 'SlimFaas/TimeoutSecondBeforeSetReplicasMin': '2' };

function scaleOf(source: object, trigger: object, more: object = {}): Record<string, string> {
  const scale = {
    ReplicaMax: 9,
    ScaleFromZero: true,
    Sources: [{ Name: 'src', IntervalMilliseconds: 1_000, ...source }],
    Triggers: [{ Source: 'src', ...trigger }],
    ...more,
  };
  return { ...SHORT, 'SlimFaas/Scale': JSON.stringify(scale) };
}

async function statusOf(url: string, fn: string) {
  const answer = await fetch(`${url}/functions/default/${fn}`);
  return (await answer.json()) as { faults: string[] };
}

test('an exporter’s page wakes a sleeping worker, keeps it up, and lets it sleep', async (t) => {
  let jobs = 0;
  const host = await serve(t, (_req, res) => res.end(`jobs_pending{queue="emails"} ${jobs}\n`));
  const cluster = await TestCluster.start((release) => t.after(release));
  const trigger = { Query: 'sum(jobs_pending{queue="emails"})', Threshold: 10 };
  await cluster.fn('worker', scaleOf({ Url: `http://${host}/metrics` }, trigger));
  const { url } = await cluster.scaler(HERE);
  jobs = 25;
  await cluster.hasReplicas('worker', 3);
  jobs = 0;
  const pods = await Promise.all([1, 2, 3].map(() => cluster.pod('worker')));
  await waitFor(
    () => {
      for (const pod of pods) cluster.report('worker', { pod });
      return cluster.replicasOf('worker') === 0;
    },
    { what: 'the worker sleeps' },
  );
  const metrics = await (await fetch(`${url}/metrics`)).text();
  for (const name of ['polls', 'polls_in_line', 'names_in_line'])
    assert.match(metrics, new RegExp(`^slimfaas_scaler_source_${name}(?:\\{.*\\})? \\d+$`, 'm'));
  assert.match(metrics, /slimfaas_scaler_source_up\{.*function="worker",source="src".*\} 1/);
  assert.match(metrics, /slimfaas_scaler_source_polls_total\{type="metrics",outcome="answered".*\} \d+/);
});

test('the lag of a JetStream consumer wakes a sleeping worker', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  const connection = await connect({ servers: cluster.nats.url });
  t.after(() => connection.close());
  const manager = await connection.jetstreamManager();
  await manager.streams.add({ name: 'WORK', subjects: ['work'] });
  await manager.consumers.add('WORK', { durable_name: 'worker', ack_policy: 'explicit' as never });
  const source = { Type: 'nats-jetstream', Url: cluster.nats.url, Stream: 'WORK', Consumer: 'worker' };
  await cluster.fn('worker', scaleOf(source, { Threshold: 2 }));
  await cluster.scaler(HERE);
  for (let i = 0; i < 5; i++) await connection.jetstream().publish('work');
  await cluster.hasReplicas('worker', 3);
});

test('an external scaler that pushes is acted upon without waiting for a tick or an interval', async (t) => {
  const server = new ExternalServer();
  const host = await server.start(t);
  const cluster = await TestCluster.start((release) => t.after(release));
  const source = { Type: 'external', Url: `grpc://${host}`, IntervalMilliseconds: 300_000 };
  await cluster.fn('worker', scaleOf(source, {}));
  const { scaler } = await cluster.scaler({ ...HERE, tick: 1 });
  assert.ok(scaler.isLeader());
  await waitFor(() => server.streams === 1, { what: 'it is followed' });
  server.values = { backlog: { metricValue: 10 } };
  const sinceMs = performance.now();
  server.push(true);
  await cluster.hasReplicas('worker', 2);
  t.diagnostic(`pushed → patched: ${(performance.now() - sinceMs).toFixed(1)} ms`);
});

test('credentials come from a Secret that the namespace lets the scaler read; faults of a source are told', async (t) => {
  const seen: unknown[] = [];
  const host = await serve(t, (req, res) => {
    seen.push(req.headers.authorization);
    res.end('jobs 3\n');
  });
  const cluster = await TestCluster.start((release) => t.after(release));
  const source = { Url: `http://${host}/`, Secret: 'exporter' };
  await cluster.fn('worker', scaleOf(source, { Query: 'jobs', Threshold: 1 }));
  await cluster.fn(
    'lost',
    scaleOf({ Url: 'http://169.254.169.254/latest' }, { Query: 'jobs', Threshold: 1 }),
  );
  const { url } = await cluster.scaler(HERE);
  const faultsOf = async (fn: string) => (await statusOf(url, fn)).faults.join();
  await waitFor(async () => /there is no Secret exporter/.test(await faultsOf('worker')), {
    what: 'a fault',
    timeoutMs: 60_000,
  });
  assert.match(
    await faultsOf('lost'),
    /source "src", query "jobs": 169.254.169.254 is not in --source-allow/,
  );
  assert.deepEqual(seen, [], 'nothing is asked without its credentials');
  cluster.api.api.create('secrets', {
    apiVersion: 'v1',
    kind: 'Secret',
    metadata: { name: 'exporter', namespace: 'default' },
    data: { token: Buffer.from('s3cret\n').toString('base64') },
  } as never);
  await cluster.hasReplicas('worker', 3, 60_000);
  assert.equal(seen[0], 'Bearer s3cret');
});
