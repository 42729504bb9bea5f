/** Triggers with queries in a whole scaler: scraped from real HTTP servers, evaluated in a thread of their own. */
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { scrapeTargets, wantsSidecars } from '../../../scaler/scrape/scrape-targets.ts';
import { scrapeHint } from '../../../common/kube/model/scrape-hint.ts';
import { waitFor } from '../../helpers/wait.ts';
import { TestCluster } from '../support/test-cluster.ts';
import { Sim } from '../support/sim.ts';
import { serve } from '../../helpers/serve.ts';

test('prometheus.io annotations: only "true" counts, port and path have defaults', () => {
  const hint = (annotations: Record<string, string>) => scrapeHint(annotations);
  assert.equal(scrapeHint(undefined), undefined);
  assert.equal(hint({ 'prometheus.io/scrape': 'false' }), undefined);
  assert.deepEqual(hint({ 'prometheus.io/scrape': 'true' }), { port: undefined, path: '/metrics' });
  const written = {
    'prometheus.io/scrape': ' True ',
    'prometheus.io/port': '9100',
    'prometheus.io/path': 'm',
  };
  assert.deepEqual(hint(written), { port: 9100, path: '/m' });
  assert.equal(hint({ ...written, 'prometheus.io/port': 'http' })?.port, undefined);
});

test('sidecars are scraped only where a query names their metrics', () => {
  const sim = new Sim();
  sim.fn('fn', 1);
  sim.pod('fn', 'p');
  assert.equal(wantsSidecars(['sum(x)']), false);
  assert.equal(wantsSidecars(['sum(x)', 'sum(slimfaas_sidecar_requests_total)']), true);
  assert.deepEqual(scrapeTargets(sim.reconciler.observed.world, false), []);
  assert.deepEqual(scrapeTargets(sim.reconciler.observed.world, true), [
    {
      url: 'http://10.0.0.1:15081/metrics',
      labels: { namespace: 'default', function: 'fn', pod: 'p' },
      owner: 'default/fn',
      kind: 'sidecar',
    },
  ]);
});

test('a query over an annotated pod’s own metrics scales the function', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  let depth = 25;
  const host = await serve(t, (request, response) => {
    assert.equal(request.url, '/my-metrics');
    response.end(`my_depth{kind="a"} ${depth}\nunwanted 1\n`);
  });
  const trigger = { MetricName: 'depth', Query: 'sum(my_depth{function="fn"})', Threshold: 10 };
  const annotation = { ReplicaMax: 5, ScrapeIntervalMilliseconds: 1_000, Triggers: [trigger] };
  await cluster.fn('fn', { 'SlimFaas/Scale': JSON.stringify(annotation) }, 1);
  const annotations = {
    'prometheus.io/scrape': 'true',
    'prometheus.io/port': host.split(':')[1] as string,
    'prometheus.io/path': '/my-metrics',
  };
  const pod = await cluster.pod('fn', { annotations, ip: '127.0.0.1' });
  cluster.report('fn', { pod, running: 1, runningNow: 1 });
  await cluster.scaler();
  await cluster.hasReplicas('fn', 3);
  depth = 500;
  await cluster.hasReplicas('fn', 5);
});

test('a query over the scaler’s own metrics works without anybody scraping the scaler', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  const trigger = { Query: 'slimfaas_function_waiting_requests{function="fn"}', Threshold: 10 };
  const annotation = { ReplicaMax: 5, ScrapeIntervalMilliseconds: 1_000, Triggers: [trigger] };
  await cluster.fn('fn', { 'SlimFaas/Scale': JSON.stringify(annotation) }, 1);
  const pod = await cluster.pod('fn');
  await cluster.scaler();
  await waitFor(
    () => {
      cluster.report('fn', { pod, running: 1, runningNow: 1, waiting: 39 });
      return cluster.replicasOf('fn') === 4;
    },
    { what: 'fn has 4 replicas', intervalMs: 200 },
  );
});

test('heavy triggers of one function, and patterns that would blow up, cost neither lease nor the wake of another', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  const heavy = (i: number) => `sum_over_time(max_over_time(vector(${i})[12m:1s])[13m:1s])`;
  const evil = `label_replace(label_replace(vector(1), "x", "${'a'.repeat(46)}", "", ""), "y", "z", "x", "(a|a)*b")`;
  const triggers = [...Array.from({ length: 40 }, (_, i) => heavy(i)), evil].map((Query) => ({
    Query,
    Threshold: 1e9,
  }));
  const scale = { ReplicaMax: 2, ScrapeIntervalMilliseconds: 1_000, Triggers: triggers };
  await cluster.fn('heavy', { 'SlimFaas/Scale': JSON.stringify(scale) }, 1);
  await cluster.fn('good', { 'SlimFaas/ReplicasMin': '0' }, 0);
  const { url, scaler } = await cluster.scaler();
  const faults = await waitFor(
    async () => {
      const view = (await (await fetch(`${url}/functions/default/heavy`)).json()) as { faults?: unknown[] };
      const texts = JSON.stringify(view.faults ?? []);
      return /took more than 200 ms/.test(texts) ? texts : undefined;
    },
    { what: 'the function has a fault', timeoutMs: 60_000 },
  );
  assert.ok(faults.length > 0);
  cluster.wake('good');
  await cluster.hasReplicas('good', 1);
  assert.equal((await fetch(`${url}/health`)).status, 200);
  assert.equal(scaler.isLeader(), true);
});

test('after a change of leader a long query has its past: the follower has scraped too', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  const trigger = { Query: 'max_over_time(slimfaas_function_waiting_requests[10m])', Threshold: 1 };
  const behavior = { ScaleDown: { StabilizationWindowSeconds: 0 } };
  const scale = { ReplicaMax: 5, ScrapeIntervalMilliseconds: 1_000, Triggers: [trigger], Behavior: behavior };
  await cluster.fn('fn', { 'SlimFaas/Scale': JSON.stringify(scale) }, 1);
  const pod = await cluster.pod('fn');
  const first = await cluster.scaler();
  const second = await cluster.scaler({}, { leads: false });
  const ask = async (url: string, query: string): Promise<number | null> => {
    const answer = await fetch(`${url}/debug/promql/eval`, {
      method: 'POST',
      headers: { 'slimfaas-forwarded': '1' }, // answered by the one that is asked
      body: JSON.stringify({ query, function: 'default/fn' }),
    });
    return ((await answer.json()) as { number: number | null }).number;
  };
  const sees = (url: string, waiting: number) =>
    waitFor(
      async () => {
        cluster.report('fn', { pod, running: 1, runningNow: 1, waiting });
        return (await ask(url, 'slimfaas_function_waiting_requests')) === waiting;
      },
      { what: `${waiting} waiting are seen`, intervalMs: 100 },
    );
  await sees(first.url, 4);
  await sees(second.url, 4);
  await cluster.hasReplicas('fn', 4);
  await sees(first.url, 0);
  await sees(second.url, 0);
  await first.scaler.stop();
  await waitFor(() => second.scaler.isLeader(), { what: 'the other leads' });
  assert.equal(await ask(second.url, trigger.Query), 4, 'it remembers what it has seen as a follower');
  const view = async () =>
    (await (await fetch(`${second.url}/functions/default/fn`)).json()) as { wanted: number; reason: string };
  await waitFor(async () => (await view()).reason !== 'not decided yet', { what: 'the new leader decides' });
  assert.equal((await view()).wanted, 4);
  assert.equal(cluster.replicasOf('fn'), 4);
});
