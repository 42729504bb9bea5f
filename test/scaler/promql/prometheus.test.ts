/**
 * Our evaluator beside Prometheus itself: the same samples in both, random queries to both. It runs where
 * `prometheus` and `promtool` are on the PATH (Debian's package will do) and is skipped elsewhere.
 *
 * Prometheus 2 differs from 3 (and so from us) where a sample lies on the edge of a range; the samples here
 * lie at odd moments, so that none does.
 */
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { labelsKey, labelsOf } from '../../../scaler/promql/labels.ts';
import { compileQuery, runQuery, type SeriesStore, type Value } from '../../../scaler/promql/query.ts';
import { createRemotePrometheus } from '../../../scaler/promql/remote.ts';
import { anyQuery } from './queries.ts';
import { openStore } from './world.ts';

const START = 1_700_000_000;
const isInstalled = ['prometheus', 'promtool'].every((name) => spawnSync(name, ['--version']).status === 0);

/** A small linear congruential generator: the same world each time. */
function randomOf(seed: number): () => number {
  let state = seed;
  return () => (state = (state * 1_103_515_245 + 12_345) % 2_147_483_648) / 2_147_483_648;
}

/** 20 minutes of counters with resets, gauges, gaps, a histogram; as OpenMetrics text and in our store. */
function makeWorld(): { store: SeriesStore; text: string } {
  const store = openStore({ retentionMs: 1e12 });
  const lines = new Map<string, string[]>();
  const random = randomOf(42);
  const add = (name: string, labels: Record<string, string>, seconds: number, value: number) => {
    store.append(labelsOf({ __name__: name, ...labels }), value, Math.round(seconds * 1_000));
    const set = Object.entries(labels).map(([label, text]) => `${label}=${JSON.stringify(text)}`);
    const list = lines.get(name) ?? [];
    lines.set(name, list);
    list.push(`${name}{${set.join(',')}} ${value} ${seconds.toFixed(3)}`);
  };
  for (const pod of ['a', 'b', 'c']) {
    const zone = pod === 'c' ? '2' : '1';
    let [count, seen] = [pod === 'a' ? 100_000 : 7, 0];
    for (let i = 0; i < 80; i++) {
      const at = START + i * 15 + 3.217;
      count = random() < 0.08 ? Math.floor(random() * 40_000) : count + Math.floor(random() * 50);
      if (random() < 0.9) add('c_total', { pod, zone }, at, count);
      if (random() < 0.9) add('g', { pod, zone }, at, Math.round((random() * 20 - 8) * 4) / 4);
      if (i > 60) add('n', { pod }, at, i === 70 && pod === 'b' ? Number.NaN : Math.floor(random() * 5));
      for (const [j, le] of ['0.1', '0.5', '1', '+Inf'].entries())
        add('h_bucket', { pod, le }, at, (seen += j + 1));
    }
  }
  for (const zone of ['1', '2']) {
    for (let i = 0; i < 80; i++)
      add('cost', { zone, tier: `t${zone}` }, START + i * 15 + 5.1, 10 * Number(zone));
  }
  const families = [...lines].map(
    ([name, list]) => `# TYPE ${name.replace(/_total$/, '')} unknown\n${list.join('\n')}`,
  );
  return { store, text: `${families.join('\n').replace('# TYPE c unknown', '# TYPE c counter')}\n# EOF\n` };
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

async function startPrometheus(text: string, t: { after(fn: () => void): void }): Promise<string> {
  const folder = mkdtempSync(join(tmpdir(), 'prometheus-'));
  const data = join(folder, 'data');
  writeFileSync(join(folder, 'samples'), text);
  writeFileSync(join(folder, 'config.yml'), 'global: {}\n');
  execFileSync('promtool', ['tsdb', 'create-blocks-from', 'openmetrics', join(folder, 'samples'), data]);
  const address = `127.0.0.1:${await freePort()}`;
  const flags = [
    `--config.file=${folder}/config.yml`,
    `--storage.tsdb.path=${data}`,
    '--storage.tsdb.retention.time=90y',
  ];
  const child = spawn('prometheus', [...flags, `--web.listen-address=${address}`], { stdio: 'ignore' });
  t.after(() => {
    child.once('exit', () => rmSync(folder, { recursive: true, force: true }));
    child.kill('SIGKILL');
  });
  const isReady = () =>
    fetch(`http://${address}/-/ready`).then(
      (response) => response.ok,
      () => false,
    );
  for (let tries = 0; !(await isReady()); tries++) {
    assert.ok(tries < 300, 'Prometheus is ready within 30 s');
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return `http://${address}`;
}

/** Label set → number; a thrown error is one line of its code. */
function flatten(value: Value): ReadonlyMap<string, number> {
  if (value.type === 'scalar') return new Map([['', value.value]]);
  return new Map(value.type === 'vector' ? value.samples.map((s) => [labelsKey(s.labels), s.value]) : []);
}

function isClose(a: number, b: number): boolean {
  return Object.is(a, b) || a === b || Math.abs(a - b) <= 1e-6 * Math.max(1e-3, Math.abs(b));
}

const skip = isInstalled ? false : 'needs prometheus and promtool on the PATH';

test('a thousand random queries have the answers of Prometheus itself', { skip }, async (t) => {
  const { store, text } = makeWorld();
  const remote = createRemotePrometheus({ url: await startPrometheus(text, t) });
  const random = randomOf(7);
  let answered = 0;
  for (const query of fc.sample(anyQuery, { numRuns: 1_000, seed: 7 })) {
    const atMs = (START + 500.75 + Math.floor(random() * 600)) * 1_000;
    const theirs = await remote.query(query, atMs).then(flatten, () => undefined);
    let ours: ReadonlyMap<string, number> | undefined;
    try {
      ours = flatten(runQuery(compileQuery(query), store, atMs));
    } catch (error) {
      assert.equal(theirs, undefined, `${query}: ${String(error)}`);
    }
    assert.deepEqual(
      [...(ours?.keys() ?? [])].toSorted(),
      [...(theirs?.keys() ?? [])].toSorted(),
      `${query} @ ${atMs}`,
    );
    for (const [key, value] of ours ?? []) {
      const other = theirs?.get(key) as number;
      assert.ok(isClose(value, other), `${query} @ ${atMs}: ${key} is ${value}, Prometheus says ${other}`);
    }
    if (ours && ours.size > 0) answered += 1;
  }
  assert.ok(answered > 400, `${answered} queries with an answer`);
});
