/**
 * What does HTTP/2 cost beside HTTP/1.1? CPU per request of the proxy and of the sidecar, for each way that a
 * request can take: a client of either, a function of either. All in one run and alternating; ratios count.
 *
 * Switches: `--size=64` `--streams=16` `--rounds=5` `--ms=1000`
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { startNats } from '../test/helpers/nats.ts';
import { ownAddress } from '../test/helpers/addresses.ts';
import { median, type Bench, type BenchOptions, type Row } from './lib/bench.ts';
import type { LoadResult } from './lib/load-result.ts';
import { freePort, nodeCommand, startSubject, type Subject, type SubjectCommand } from './lib/subject.ts';

const run = promisify(execFile);
const LIB = join(import.meta.dirname, 'lib');
const SIDECAR_PORT = 15_080;

type Protocol = 'http1' | 'h2c';

interface Plan {
  readonly size: number;
  readonly streams: number;
  readonly rounds: number;
  readonly milliseconds: number;
}

/** One function with its pod's sidecar and a proxy of its own. */
interface Path {
  readonly proxy: Subject;
  readonly sidecar: Subject;
}

interface Sample extends LoadResult {
  readonly proxyMicros: number;
  readonly sidecarMicros: number;
}

export const bench: Bench = {
  name: 'h2',
  describe: 'CPU a request of proxy and sidecar over HTTP/2, beside HTTP/1.1',
  run: runBench,
};

function planOf({ quick, args }: BenchOptions): Plan {
  const given = (name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1];
  return {
    size: Number(given('size') ?? 64),
    streams: Number(given('streams') ?? 16),
    rounds: Number(given('rounds') ?? (quick ? 3 : 7)),
    milliseconds: Number(given('ms') ?? (quick ? 800 : 1_500)),
  };
}

async function runBench(options: BenchOptions): Promise<Row[]> {
  const plan = planOf(options);
  const nats = await startNats();
  const started: Subject[] = [];
  try {
    const http1 = await startPath('http1', nats.url, started);
    const h2c = await startPath('h2c', nats.url, started);
    const cases: [string, Protocol, Path][] = [
      ['HTTP/1.1 → HTTP/1.1', 'http1', http1],
      ['HTTP/2 → HTTP/1.1', 'h2c', http1],
      ['HTTP/1.1 → HTTP/2', 'http1', h2c],
      ['HTTP/2 → HTTP/2', 'h2c', h2c],
    ];
    for (const [, client, path] of cases) await measure(client, path, plan); // compiled before it counts
    const samples = new Map<string, Sample[]>(cases.map(([name]) => [name, []]));
    for (let round = 0; round < plan.rounds; round++) {
      options.say(`round ${round + 1}`);
      for (const [name, client, path] of cases) samples.get(name)?.push(await measure(client, path, plan));
    }
    return [...samples].flatMap(([name, all]) => rowsOf(name, all));
  } finally {
    for (const subject of started.toReversed()) await subject.stop();
    await nats.stop();
  }
}

async function startPath(protocol: Protocol, natsUrl: string, started: Subject[]): Promise<Path> {
  const start = async (name: string, port: number, command: SubjectCommand) => {
    const subject = await startSubject(`${name} ${protocol}`, port, command);
    started.push(subject);
    return subject;
  };
  const origin = await freePort();
  const file = protocol === 'h2c' ? 'origin-h2.ts' : 'origin.ts';
  await start('function', origin, nodeCommand(join(LIB, 'subjects', file), [origin]));
  const ip = ownAddress();
  const admin = await freePort();
  const flags = {
    host: ip,
    port: SIDECAR_PORT,
    'admin-port': admin,
    'app-port': origin,
    'app-protocol': protocol,
    function: 'fn',
    'parallel-per-pod': 1_000,
    nats: natsUrl,
  };
  const sidecarArgs = Object.entries(flags).flatMap(([flag, value]) => [`--${flag}`, value]);
  const main = join(import.meta.dirname, '..', 'cli', 'main.ts');
  const command = { ...nodeCommand(main, ['sidecar', ...sidecarArgs]), host: ip };
  const sidecar = await start('sidecar', SIDECAR_PORT, command);
  const port = await freePort();
  const args = [port, natsUrl, 'fn', ip];
  const proxy = await start('proxy', port, nodeCommand(join(LIB, 'subjects', 'proxy.ts'), args));
  return { proxy, sidecar };
}

async function measure(client: Protocol, { proxy, sidecar }: Path, plan: Plan): Promise<Sample> {
  const before = { proxy: proxy.cpuMicros(), sidecar: sidecar.cpuMicros() };
  const path = `/function/fn/bytes/${plan.size}`;
  const [file, more] = client === 'h2c' ? ['h2-load.ts', []] : ['load.ts', [1_000_000]];
  const args = [join(LIB, file), proxy.port, path, plan.streams, plan.milliseconds, ...more];
  const { stdout } = await run(process.execPath, args.map(String));
  const result = JSON.parse(stdout) as LoadResult;
  if (result.errors > 0 || result.requests === 0)
    throw new Error(`${result.errors} errors in ${result.requests} requests`);
  return {
    ...result,
    proxyMicros: (proxy.cpuMicros() - before.proxy) / result.requests,
    sidecarMicros: (sidecar.cpuMicros() - before.sidecar) / result.requests,
  };
}

function rowsOf(name: string, samples: readonly Sample[]): Row[] {
  const of = (pick: (sample: Sample) => number) => median(samples.map(pick));
  return [
    { case: name, metric: 'proxy cpu/request', value: of((s) => s.proxyMicros), unit: 'µs' },
    { case: name, metric: 'sidecar cpu/request', value: of((s) => s.sidecarMicros), unit: 'µs' },
    { case: name, metric: 'rate', value: of((s) => s.requests / s.seconds), unit: '/s' },
    { case: name, metric: 'p50', value: of((s) => s.p50Micros), unit: 'µs' },
  ];
}
