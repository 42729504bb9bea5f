/**
 * Do two proxies carry twice the calls of one? A proxy uses one core; more are had by more replicas behind the
 * Service. Each proxy is held to a fifth of a core here, so that load and function never are what limits, and callers
 * are spread over the proxies as a Service spreads connections.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { StopStack } from '../common/runtime/lifecycle.ts';
import { silentLog } from '../common/runtime/log.ts';
import { median, type Bench, type BenchOptions, type Row } from './lib/bench.ts';
import { limitCpu } from './lib/cpu-quota.ts';
import { podAddresses, POD_PORT, startProxyHop } from './lib/hops.ts';
import type { LoadResult } from './lib/load-result.ts';
import { nodeCommand, startSubject, type Subject } from './lib/subject.ts';

const run = promisify(execFile);
const LIB = join(import.meta.dirname, 'lib');
const SHARE = 0.2;
const CONNECTIONS = 16;

export const bench: Bench = {
  name: 'scale-out',
  describe: 'calls a second through one proxy and through two, each held to a fifth of a core',
  async run(options) {
    const stops = new StopStack(silentLog);
    try {
      return await measureAll(await start(stops), options);
    } finally {
      await stops.stop();
    }
  },
};

async function start(stops: StopStack): Promise<Subject[]> {
  const [pod = ''] = podAddresses(1);
  const origin = nodeCommand(join(LIB, 'subjects', 'origin.ts'), [POD_PORT, pod]);
  const behind = await startSubject('function', POD_PORT, { ...origin, host: pod });
  stops.add('function', () => behind.stop());
  const proxies: Subject[] = [];
  for (const name of ['proxy 1', 'proxy 2']) {
    const proxy = await startProxyHop(name, [pod]);
    proxies.push(proxy);
    await load(proxy, CONNECTIONS, 2_000); // compiled before it is held back
    const release = limitCpu(proxy.pid, SHARE);
    stops.add(name, async () => {
      await proxy.stop();
      release?.();
    });
    if (!release) throw new Error('needs control groups of the processor, as root');
  }
  return proxies;
}

async function measureAll(proxies: readonly Subject[], { quick, say }: BenchOptions): Promise<Row[]> {
  const rounds = quick ? 3 : 7;
  const rates: { one: number[]; two: number[] } = { one: [], two: [] };
  for (let round = 0; round < rounds; round++) {
    rates.one.push(await rateOf([proxies[round % 2] as Subject]));
    rates.two.push(await rateOf(proxies));
    say(`round ${round + 1} of ${rounds}`);
  }
  const [one, two] = [median(rates.one), median(rates.two)];
  return [
    { case: 'one proxy', metric: 'rate', value: one, unit: '/s' },
    { case: 'two proxies', metric: 'rate', value: two, unit: '/s' },
    { case: 'two proxies', metric: 'to one', value: two / one, unit: '×' },
  ];
}

/** Calls a second over all of them, at the same time. */
async function rateOf(proxies: readonly Subject[]): Promise<number> {
  const results = await Promise.all(proxies.map((proxy) => load(proxy, CONNECTIONS / proxies.length, 4_000)));
  return results.reduce((sum, { requests, seconds }) => sum + requests / seconds, 0);
}

async function load({ name, port, prefix }: Subject, connections: number, milliseconds: number) {
  const args = [join(LIB, 'load.ts'), port, `${prefix}/bytes/64`, connections, milliseconds, 1_000_000];
  const result = JSON.parse((await run(process.execPath, args.map(String))).stdout) as LoadResult;
  if (result.errors > 0) throw new Error(`${name}: ${result.errors} errors in ${result.requests} requests`);
  return result;
}
