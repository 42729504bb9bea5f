/** Triggers with queries: compiled once, asked at their interval, scraped from real HTTP servers, or left to Prometheus. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, type RequestListener } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test, type TestContext } from 'node:test';
import { silentLog } from '../../common/log.ts';
import { createSeriesStore, labelsOf } from '../../scaler/promql/query.ts';
import { PromqlError } from '../../scaler/promql/error.ts';
import type { RemotePrometheus } from '../../scaler/promql/remote.ts';
import { Scraper } from '../../scaler/scraper.ts';
import { scrapeHint, scrapeTargets } from '../../scaler/scrape-targets.ts';
import { TriggerQueries } from '../../scaler/trigger-queries.ts';
import { waitFor } from '../helpers/wait.ts';
import { TestCluster } from './support/test-cluster.ts';
import { Sim } from './support/sim.ts';

async function serve(t: TestContext, listener: RequestListener): Promise<string> {
  const server = createServer(listener);
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function queriesOver(remote?: RemotePrometheus, now = () => 0) {
  const store = createSeriesStore();
  return { store, queries: new TriggerQueries({ store, remote, now, log: silentLog }) };
}

test('a query is asked at most once an interval, and a value is used for three', () => {
  const { store, queries } = queriesOver();
  queries.setTexts(new Set(['sum(x)']));
  const set = (value: number, atMs: number) => store.append(labelsOf({ __name__: 'x' }), value, atMs);
  set(1, 1_000);
  assert.equal(queries.valueOf('sum(x)', 5_000, 1_000), 1);
  set(2, 2_000);
  assert.equal(queries.valueOf('sum(x)', 5_000, 5_999), 1);
  assert.equal(queries.valueOf('sum(x)', 5_000, 6_000), 2);
});

test('a query without data has no value, and neither has one that nobody uses any more', () => {
  const { queries } = queriesOver();
  queries.setTexts(new Set(['sum(x)']));
  assert.equal(queries.valueOf('sum(x)', 0, 0), undefined);
  queries.setTexts(new Set());
  assert.equal(queries.valueOf('sum(x)', 0, 0), undefined);
});

test('a query that cannot be read has a fault that names the place, and no value', () => {
  const { queries } = queriesOver();
  assert.match(queries.faultOf('sum(') ?? '', /position/);
  queries.setTexts(new Set(['sum(', 'up']));
  assert.equal(queries.valueOf('sum(', 0, 0), undefined);
  assert.equal(queries.faultOf('up'), undefined);
});

test('a query that fails on the data is no data', () => {
  const { store, queries } = queriesOver();
  queries.setTexts(new Set(['x + on() y']));
  for (const [name, a] of [
    ['x', '1'],
    ['y', '1'],
    ['y', '2'],
  ] as const)
    store.append(labelsOf({ __name__: name, a }), 1, 0);
  assert.equal(queries.valueOf('x + on() y', 0, 0), undefined);
});

test('with Prometheus: its answer is used when it is there, once asked at a time, and for three intervals', async () => {
  const answers: ((value: number) => void)[] = [];
  let nowMs = 0;
  const remote: RemotePrometheus = {
    query: () => new Promise((resolve) => answers.push((value) => resolve({ type: 'scalar', value }))),
  };
  const { queries } = queriesOver(remote, () => nowMs);
  queries.setTexts(new Set(['anything at all']));
  const ask = () => queries.valueOf('anything at all', 1_000, nowMs);
  assert.equal(queries.faultOf('anything at all'), undefined, 'a server knows more than we do');
  assert.equal(ask(), undefined);
  nowMs = 2_000;
  assert.equal(ask(), undefined);
  assert.equal(answers.length, 1, 'the first question is still open');
  answers[0]?.(7);
  await waitFor(() => ask() === 7, { what: 'the answer is used' });
  nowMs = 5_000;
  assert.equal(ask(), 7);
  nowMs = 5_001;
  assert.equal(ask(), undefined, 'too old');
});

test('with Prometheus: an error leaves the last answer in force until it is too old', async () => {
  let nowMs = 0;
  let isAway = false;
  const remote: RemotePrometheus = {
    query: async () => {
      if (isAway) throw new PromqlError('remote', 'no answer');
      return { type: 'scalar', value: 3 };
    },
  };
  const { queries } = queriesOver(remote, () => nowMs);
  queries.setTexts(new Set(['q']));
  queries.valueOf('q', 1_000, nowMs);
  await waitFor(() => queries.valueOf('q', 1_000, nowMs) === 3, { what: 'answered' });
  isAway = true;
  nowMs = 2_900;
  assert.equal(queries.valueOf('q', 1_000, nowMs), 3);
  nowMs = 3_001;
  assert.equal(queries.valueOf('q', 1_000, nowMs), undefined);
});

test('scraping: series carry the pod’s labels; one that does not answer, or is gone, has no series', async (t) => {
  const store = createSeriesStore();
  store.setWanted([[]]);
  const { queries } = queriesOver();
  const host = await serve(t, (_request, response) => response.end('x 1\ny{a="b"} 2\n'));
  const broken = await serve(t, (_request, response) => {
    response.statusCode = 500;
    response.end('x 9\n');
  });
  const all = createSeriesStore();
  const both = new TriggerQueries({ store: all, remote: undefined, now: () => 0, log: silentLog });
  both.setTexts(new Set(['x', 'y', 'own']));
  let nowMs = 1_000;
  const scraper = new Scraper({ store: all, now: () => nowMs });
  const target = (at: string, pod: string) => ({
    url: `http://${at}/metrics`,
    labels: { pod, namespace: 'n' },
  });
  const own = [{ name: 'own', labels: { function: 'f' }, value: 5 }];
  await scraper.scrape([target(host, 'p'), target(broken, 'q')], own);
  const value = (text: string) => both.valueOf(text, 0, nowMs);
  assert.deepEqual([value('x'), value('y'), value('own')], [1, 2, 5]);
  const labels = all.latest([], 0, nowMs).map((sample) => Object.fromEntries(sample.labels));
  assert.ok(labels.some((l) => l['pod'] === 'p' && l['namespace'] === 'n' && l['instance'] === host));
  nowMs += 1_000;
  await scraper.scrape([target(broken, 'q')], own);
  assert.deepEqual([value('x'), value('own')], [undefined, 5]);
  assert.equal(queries.faultOf('x'), undefined);
});

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
  assert.deepEqual(scrapeTargets(sim.reconciler.world, ['sum(x)']), []);
  const targets = scrapeTargets(sim.reconciler.world, ['sum(slimfaas_sidecar_requests_total)']);
  assert.deepEqual(targets, [
    { url: 'http://10.0.0.1:15081/metrics', labels: { namespace: 'default', function: 'fn', pod: 'p' } },
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
