/** `POST /debug/promql/eval` of a whole scaler, over what it knows itself and what it scrapes. */
import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { compileQuery, createSeriesStore, labelsOf } from '../../../scaler/promql/query.ts';
import { PromqlError } from '../../../scaler/promql/error.ts';
import { bothStores, AdHocQueries } from '../../../scaler/queries/ad-hoc-queries.ts';
import { podManifest } from '../../helpers/local-api.ts';
import { waitFor } from '../../helpers/wait.ts';
import { TestCluster } from '../support/test-cluster.ts';

interface Answer {
  readonly type?: string;
  readonly number?: number | null;
  readonly value?: string;
  readonly series?: { labels: Record<string, string>; value: string; points?: unknown[] }[];
  readonly error?: string;
  readonly message?: string;
  readonly position?: number;
}

async function post(url: string, body: unknown): Promise<[number, Answer]> {
  const text = typeof body === 'string' ? body : JSON.stringify(body);
  const response = await fetch(`${url}/debug/promql/eval`, { method: 'POST', body: text });
  return [response.status, (await response.json()) as Answer];
}

test('a question is answered at once, also over series that no trigger uses', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn', {}, 2);
  const { url } = await cluster.scaler();
  const [status, answer] = await post(url, { query: 'slimfaas_autoscaler_current_replicas{function="fn"}' });
  assert.equal(status, 200);
  assert.deepEqual([answer.type, answer.number], ['vector', 2]);
  const labels = { __name__: 'slimfaas_autoscaler_current_replicas', namespace: 'default', function: 'fn' };
  assert.deepEqual(answer.series, [{ labels, value: '2' }]);
});

test('metrics say what is kept for queries and what had no room', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  const query = { Query: 'slimfaas_function_running_requests', Threshold: 1 };
  await cluster.fn('fn', { 'SlimFaas/Scale': JSON.stringify({ Triggers: [query] }) }, 1);
  const { url } = await cluster.scaler();
  const metrics = async () => (await fetch(`${url}/metrics`)).text();
  const isKept = async () => /slimfaas_scaler_query_series 1\n/.test(await metrics());
  await waitFor(isKept, { what: 'a series is kept' });
  assert.match(await metrics(), /slimfaas_scaler_query_samples_dropped_total 0/);
  assert.match(await metrics(), /slimfaas_scaler_tick_longest_slice_seconds_count [1-9]/);
  assert.match(
    await metrics(),
    /slimfaas_autoscaler_current_replicas\{namespace="default",function="fn"\} 1/,
  );
});

test('a question is answered over what a pod says that asks to be scraped', async (t) => {
  const metrics = createServer((_request, response) => response.end('mine 7\n')).listen(0, '127.0.0.1');
  await once(metrics, 'listening');
  t.after(() => metrics.close());
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn', {}, 1);
  const port = String((metrics.address() as AddressInfo).port);
  const annotations = { 'prometheus.io/scrape': 'true', 'prometheus.io/port': port };
  await cluster.pod('fn', { ip: '127.0.0.1', annotations });
  const { url } = await cluster.scaler();
  const [, answer] = await post(url, { query: 'sum by (function) (mine) * 2' });
  assert.deepEqual(answer.series, [{ labels: { function: 'fn' }, value: '14' }]);
});

test('a question is answered over a pod that is no function’s and asks to be scraped, while it runs', async (t) => {
  const metrics = createServer((_request, response) => response.end('depth 7\n')).listen(0, '127.0.0.1');
  await once(metrics, 'listening');
  t.after(() => metrics.close());
  const cluster = await TestCluster.start((release) => t.after(release));
  const port = String((metrics.address() as AddressInfo).port);
  const annotations = { 'prometheus.io/scrape': 'true', 'prometheus.io/port': port };
  const make = async (name: string, labels: Record<string, string>): Promise<void> => {
    await cluster.api.api.create('pods', podManifest(name, { metadata: { annotations, labels } }));
    await cluster.setPod(name, { podIP: '127.0.0.1', isReady: true });
  };
  await make('exporter', {});
  const { url } = await cluster.scaler();
  const ask = async () => (await post(url, { query: 'depth' }))[1].series;
  const found = await waitFor(
    async () => {
      const series = await ask();
      return series?.length === 1 ? series[0] : undefined;
    },
    { what: 'the exporter is scraped', intervalMs: 50 },
  );
  const { instance, ...labels } = found.labels;
  assert.deepEqual(labels, { __name__: 'depth', namespace: 'default', pod: 'exporter' });
  assert.equal(instance, `127.0.0.1:${port}`);
  await cluster.api.api.delete('pods', 'default', 'exporter', { gracePeriodSeconds: 0 });
  await waitFor(async () => (await ask())?.length === 0, { what: 'it is gone', intervalMs: 50 });
  await make('scaler', { 'app.kubernetes.io/name': 'slimfaas', 'app.kubernetes.io/component': 'scaler' });
  await make('another', {});
  await waitFor(async () => (await ask())?.length === 1, { what: 'another is scraped', intervalMs: 50 });
  assert.equal((await ask())?.[0]?.labels['pod'], 'another', 'what a scaler says is known first-hand');
});

test('a follower passes the question on to the leader', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  await cluster.fn('fn', {}, 1);
  await cluster.scaler();
  const { url, scaler } = await cluster.scaler({}, { leads: false });
  assert.equal(scaler.isLeader(), false);
  assert.equal((await post(url, { query: 'slimfaas_autoscaler_current_replicas' }))[1].number, 1);
});

const refusals: [what: string, body: unknown, status: number, expected: Partial<Answer>][] = [
  ['a query that ends too early', { query: 'sum(' }, 400, { error: 'syntax', position: 5 }],
  ['what is not supported', { query: '1 + info(x)' }, 400, { error: 'unsupported', position: 5 }],
  ['a wrong type', { query: 'rate(x)' }, 400, { error: 'type' }],
  ['no JSON', 'x', 400, { error: 'bad-request' }],
  ['no query', { text: 'x' }, 400, { error: 'bad-request' }],
  ['null', 'null', 400, { error: 'bad-request' }],
  ['a function without a namespace', { query: 'x', function: 'fn' }, 400, { error: 'bad-request' }],
  ['a time that is none', { query: 'x', time: 'noon' }, 400, { error: 'bad-request' }],
  ['a body that is too long', { query: ' '.repeat(70_000) }, 400, { error: 'bad-request' }],
];
test('errors carry code and position', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  const { url } = await cluster.scaler();
  for (const [what, body, status, expected] of refusals) {
    const [seen, answer] = await post(url, body);
    assert.equal(seen, status, what);
    assert.notEqual(answer.message, undefined, what);
    for (const [key, value] of Object.entries(expected))
      assert.equal(answer[key as keyof Answer], value, `${what}: ${key}`);
  }
});

test('values of every type; numbers are text, as JSON has no NaN', async (t) => {
  const cluster = await TestCluster.start((release) => t.after(release));
  const { url } = await cluster.scaler();
  const ask = async (query: string, time?: unknown) => (await post(url, { query, time }))[1];
  assert.deepEqual(await ask('1 / 0'), { query: '1 / 0', type: 'scalar', number: null, value: '+Inf' });
  assert.equal((await ask('"text"')).value, 'text');
  assert.deepEqual((await ask('nothing')).series, []);
  assert.equal((await ask('nothing')).number, null);
  assert.equal((await ask('time()', 1_700_000_000)).number, 1_700_000_000);
  assert.equal((await ask('time()', '2023-11-14T22:13:20Z')).number, 1_700_000_000);
  assert.equal((await ask('vector(1)[1m:30s]')).type, 'matrix');
});

function adHocOver({ nowMs = 0 } = {}) {
  const clock = { nowMs };
  const store = createSeriesStore();
  let scrapes = 0;
  const adHoc: AdHocQueries = new AdHocQueries({
    store,
    remote: undefined,
    now: () => clock.nowMs,
    async scrape() {
      scrapes += 1;
      const sample = { labels: labelsOf({ __name__: 'x' }), value: scrapes };
      const intake = bothStores(store, adHoc.adHocSeries).begin('pod', clock.nowMs);
      intake.add(sample.labels, sample.value);
      intake.end();
    },
  });
  return { clock, store, adHoc, scrapes: () => scrapes };
}

test('a question is remembered for five minutes: scraped at once the first time, and then as triggers are', async () => {
  const { clock, adHoc, scrapes } = adHocOver();
  await adHoc.ask({ text: 'x' });
  await adHoc.ask({ text: 'x' });
  assert.equal(scrapes(), 1);
  assert.deepEqual(adHoc.texts(), ['x']);
  clock.nowMs = 299_999;
  assert.deepEqual(adHoc.texts(), ['x']);
  clock.nowMs = 300_000;
  assert.deepEqual(adHoc.texts(), []);
  assert.equal(adHoc.adHocSeries.wantsName('x'), false);
});

test('at most twenty questions are remembered; the oldest goes', async () => {
  const { adHoc } = adHocOver();
  for (let n = 0; n < 25; n++) await adHoc.ask({ text: `x${n}` });
  assert.deepEqual([adHoc.texts().length, adHoc.texts()[0]], [20, 'x5']);
});

test('a question sees a trigger’s series with all its past, once', async () => {
  const { clock, adHoc, store } = adHocOver({ nowMs: 60_000 });
  store.setWanted(compileQuery('x').selectors);
  for (const atMs of [10_000, 20_000]) store.append(labelsOf({ __name__: 'x' }), 5, atMs);
  const value = await adHoc.ask({ text: 'count_over_time(x[5m])' });
  assert.deepEqual(value.type === 'vector' && value.samples.map((s) => s.value), [3]);
  assert.equal(clock.nowMs, 60_000);
});

test('with --prometheus-url the question goes there, and its errors come back', async () => {
  const remote = {
    query: async (text: string, atMs: number) => {
      if (text === 'bad') throw new PromqlError('remote', 'status 400: parse error');
      return { type: 'scalar', value: atMs } as const;
    },
  };
  const scrape = () => assert.fail('nothing is scraped');
  const adHoc = new AdHocQueries({ store: createSeriesStore(), remote, scrape, now: () => 42 });
  assert.deepEqual(await adHoc.ask({ text: 'anything' }), { type: 'scalar', value: 42 });
  await assert.rejects(adHoc.ask({ text: 'bad' }), { code: 'remote' });
});
