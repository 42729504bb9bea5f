/**
 * Do callers of several proxies share one full pod fairly? One pod with 4 places, a function that takes 100 ms, and 8
 * callers in a loop at each of two and of five proxies. Answers should be within 20 % between the proxies, and the p99
 * of each at most twice its p50. That is so when the call that waits longest is served next, whichever proxy it came to.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SIDECAR_ADMIN_PORT } from '../common/function/names.ts';
import { StopStack } from '../common/runtime/lifecycle.ts';
import { silentLog } from '../common/runtime/log.ts';
import type { Bench, BenchOptions, Row } from './lib/bench.ts';
import { podAddresses, POD_PORT, startProxyHop, startSidecarHop } from './lib/hops.ts';
import type { LoadResult } from './lib/load-result.ts';
import { freePort, nodeCommand, startSubject, type Subject } from './lib/subject.ts';

const run = promisify(execFile);
const LIB = join(import.meta.dirname, 'lib');
const PLACES = 4;
const CALLERS = 8;
const CALL_MS = 100;

export const bench: Bench = {
  name: 'fairness',
  describe: 'callers of two and of five proxies at one full pod: answers of each, p99 to p50, places in use',
  async run(options) {
    const rows: Row[] = [];
    for (const proxies of [2, 5]) rows.push(...(await measure(proxies, options)));
    return rows;
  },
};

async function measure(count: number, { quick, say }: BenchOptions): Promise<Row[]> {
  const stops = new StopStack(silentLog);
  try {
    const proxies = await start(count, stops);
    say(`${count} proxies`);
    const results = await Promise.all(proxies.map((proxy) => load(proxy, quick ? 8_000 : 20_000)));
    return [...rowsOf(`${count} proxies`, results), await unusedGrants(`${count} proxies`)];
  } finally {
    await stops.stop();
  }
}

async function start(count: number, stops: StopStack): Promise<Subject[]> {
  const [pod = ''] = podAddresses(1);
  const appPort = await freePort();
  const slow = nodeCommand(join(LIB, 'subjects', 'slow.ts'), [appPort, '127.0.0.1', CALL_MS]);
  const app = await startSubject('app', appPort, slow);
  stops.add('app', () => app.stop());
  const hop = { host: pod, port: POD_PORT, appPort, parallelPerPod: PLACES, pod: 1 };
  const sidecar = await startSidecarHop('sidecar', hop);
  stops.add('sidecar', () => sidecar.stop());
  const proxies: Subject[] = [];
  for (let i = 1; i <= count; i++) {
    const proxy = await startProxyHop(`proxy ${i}`, [pod], PLACES);
    stops.add(proxy.name, () => proxy.stop());
    proxies.push(proxy);
  }
  return proxies;
}

async function load({ name, port, prefix }: Subject, milliseconds: number): Promise<LoadResult> {
  const args = [join(LIB, 'load.ts'), port, `${prefix}/work`, CALLERS, milliseconds, 1_000_000];
  const result = JSON.parse((await run(process.execPath, args.map(String))).stdout) as LoadResult;
  if (result.errors > 0) throw new Error(`${name}: ${result.errors} errors in ${result.requests} requests`);
  return result;
}

/** Places that were granted and whose call never came: each was idle for half a second. */
async function unusedGrants(name: string): Promise<Row> {
  const text = await (await fetch(`http://${podAddresses(1)[0]}:${SIDECAR_ADMIN_PORT}/metrics`)).text();
  const value = Number(/^slimfaas_sidecar_places_expired_total\{.*\} (\d+)$/m.exec(text)?.[1]);
  return { case: name, metric: 'grants not used', value, unit: '' };
}

function rowsOf(name: string, results: readonly LoadResult[]): Row[] {
  const answers = results.map(({ requests }) => requests);
  const total = answers.reduce((sum, n) => sum + n, 0);
  const seconds = Math.max(...results.map((result) => result.seconds));
  const row = (metric: string, value: number, unit: string): Row => ({ case: name, metric, value, unit });
  return [
    ...answers.map((n, i) => row(`answers of proxy ${i + 1}`, n, '')),
    row('most answers to fewest', Math.max(...answers) / Math.min(...answers), '×'),
    row('p50, of the slowest proxy', Math.max(...results.map((r) => r.p50Micros)) / 1_000, 'ms'),
    row('p99, of the slowest proxy', Math.max(...results.map((r) => r.p99Micros)) / 1_000, 'ms'),
    row('p99 to p50, of the worst proxy', Math.max(...results.map((r) => r.p99Micros / r.p50Micros)), '×'),
    row('places in use', (total * CALL_MS) / 1_000 / seconds / PLACES, 'of 1'),
  ];
}
