/**
 * What does the whole path add to a call's latency at a fixed rate? A function of 100 ms in five pods, 200 and
 * 1,000 calls per second, through proxy and sidecars and straight to the function's processes, alternating. Calls leave
 * when they are due and are timed from then. Knative's service level is 10 ms at p95 and 1,000 per second.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { StopStack } from '../common/runtime/lifecycle.ts';
import { silentLog } from '../common/runtime/log.ts';
import { median, type Bench, type BenchOptions, type Row } from './lib/bench.ts';
import { podAddresses, POD_PORT, startProxyHop, startSidecarHop } from './lib/hops.ts';
import type { OpenLoadResult } from './lib/open-load.ts';
import { nodeCommand, startSubject } from './lib/subject.ts';

const run = promisify(execFile);
const PODS = 5;
const APP_PORT = 8_080;
const FUNCTION_MS = 100;
const RATES = [200, 1_000];
const SIDES = ['direct', 'slimfaas'] as const;
type SideName = (typeof SIDES)[number];

/** `HOST:PORT/PATH` lists for the generator. */
type World = Readonly<Record<SideName, string>>;

export const bench: Bench = {
  name: 'latency',
  describe: 'what the whole path adds at 200 and 1,000 calls a second, a 100 ms function in five pods',
  async run(options) {
    const stops = new StopStack(silentLog);
    try {
      return await measureAll(await start(stops), options);
    } finally {
      await stops.stop();
    }
  },
};

async function start(stops: StopStack): Promise<World> {
  const pods = podAddresses(PODS);
  for (const host of pods) {
    const slow = join(import.meta.dirname, 'lib', 'subjects', 'slow.ts');
    const command = { ...nodeCommand(slow, [APP_PORT, host, FUNCTION_MS]), host };
    const app = await startSubject('function', APP_PORT, command);
    stops.add('function', () => app.stop());
    const hop = { host, port: POD_PORT, appHost: host, appPort: APP_PORT };
    const sidecar = await startSidecarHop('sidecar', hop);
    stops.add('sidecar', () => sidecar.stop());
  }
  const proxy = await startProxyHop('proxy', pods);
  stops.add('proxy', () => proxy.stop());
  return {
    direct: pods.map((host) => `${host}:${APP_PORT}/`).join(','),
    slimfaas: `127.0.0.1:${proxy.port}${proxy.prefix}/`,
  };
}

async function measureAll(world: World, { quick, say }: BenchOptions): Promise<Row[]> {
  const [rounds, seconds] = quick ? [3, 4] : [7, 10];
  const rows: Row[] = [];
  for (const side of SIDES) await measure(world[side], 200, 2); // connected and compiled before anything counts
  for (const rate of RATES) {
    const results: Record<SideName, OpenLoadResult[]> = { direct: [], slimfaas: [] };
    for (let round = 0; round < rounds; round++) {
      for (const side of SIDES) results[side].push(await measure(world[side], rate, seconds));
      say(`${rate}/s: round ${round + 1} of ${rounds}`);
    }
    rows.push(...rowsOf(`${rate}/s`, results));
  }
  return rows;
}

async function measure(targets: string, rate: number, seconds: number): Promise<OpenLoadResult> {
  const args = [join(import.meta.dirname, 'lib', 'open-load.ts'), String(rate), String(seconds), targets];
  const result = JSON.parse((await run(process.execPath, args)).stdout) as OpenLoadResult;
  if (result.errors > 0) throw new Error(`${result.errors} of ${result.requests} calls to ${targets} failed`);
  return result;
}

/** Medians over the rounds: what else the machine did in one of them does not count. */
function rowsOf(name: string, results: Record<SideName, readonly OpenLoadResult[]>): Row[] {
  const rows: Row[] = [];
  for (const [metric, pick] of [
    ['p50', 'p50Ms'],
    ['p95', 'p95Ms'],
    ['p99', 'p99Ms'],
  ] as const) {
    const of = (side: SideName) => median(results[side].map((result) => result[pick]));
    for (const side of SIDES)
      rows.push({ case: name, metric: `${side} ${metric}`, value: of(side), unit: 'ms' });
    rows.push({ case: name, metric: `added ${metric}`, value: of('slimfaas') - of('direct'), unit: 'ms' });
  }
  return rows;
}
