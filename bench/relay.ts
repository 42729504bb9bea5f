/**
 * What does carrying one request cost? CPU per request (user and system of the subject's process), rate, latency
 * and memory, of our relay and of what others would use, in one run and alternating, because absolute times
 * drift on a shared machine and ratios do not.
 *
 * `sidecar` and `proxy` are our two hops as they run, `path` is one behind the other: its CPU is that of both, and its
 * latency less that of `node` is what the system adds to a call.
 *
 * Switches: `--subjects=relay,nginx` `--sizes=64,4096` `--connections=16` `--rounds=5` `--ms=1000` `--post`. Two more
 * may be given several times:
 *
 * - `--extra=NAME,PORT,PID,PREFIX` names a process that runs already and answers `PREFIX/bytes/N`. For the proxy of a
 *   local cluster it shows the proxy's CPU and the whole path's latency.
 * - `--peer=NAME,COMMAND ARGUMENTS` names one that is to be started. `{port}` is where it listens, `{origin}` where it
 *   sends requests to.
 */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { median, type Bench, type BenchOptions, type Row } from './lib/bench.ts';
import type { LoadResult } from './lib/load-result.ts';
import { findNginx, startNginx } from './lib/nginx.ts';
import { joined, podAddresses, POD_PORT, startProxyHop, startSidecarHop } from './lib/hops.ts';
import { freePort, nodeCommand, runningSubject, startSubject, type Subject } from './lib/subject.ts';

const run = promisify(execFile);
const SUBJECTS = join(import.meta.dirname, 'lib', 'subjects');
const LOAD = join(import.meta.dirname, 'lib', 'load.ts');

interface Plan {
  readonly subjects: readonly string[];
  readonly sizes: readonly number[];
  readonly connections: readonly number[];
  readonly rounds: number;
  readonly milliseconds: number;
  /** Requests carry the bytes instead of answers. */
  readonly isPost: boolean;
  readonly extras: readonly string[];
  readonly peers: readonly string[];
}

/** The order is that of the table; the first is direct. */
const ALL = ['node', 'nginx', 'http-proxy', 'undici', 'relay', 'relay+koa', 'sidecar', 'proxy', 'path'];

function planOf({ quick, args }: BenchOptions): Plan {
  const given = (name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1];
  const allGiven = (name: string) =>
    args.filter((arg) => arg.startsWith(`--${name}=`)).map((arg) => arg.slice(name.length + 3));
  const list = (name: string, otherwise: readonly number[]) =>
    given(name)?.split(',').map(Number) ?? otherwise;
  return {
    subjects: given('subjects')?.split(',') ?? ALL,
    sizes: list('sizes', quick ? [64, 262_144] : [64, 4_096, 262_144, 2_097_152]),
    connections: list('connections', quick ? [16] : [1, 16, 64]),
    rounds: Number(given('rounds') ?? (quick ? 2 : 3)),
    milliseconds: Number(given('ms') ?? (quick ? 800 : 1_000)),
    isPost: args.includes('--post'),
    extras: allGiven('extra'),
    peers: allGiven('peer'),
  };
}

interface Sample extends LoadResult {
  readonly cpuMicros: number;
  readonly rssBytes: number;
}

async function measure(subject: Subject, size: number, connections: number, plan: Plan): Promise<Sample> {
  const before = subject.cpuMicros();
  const path = `${subject.prefix ?? ''}${plan.isPost ? '/post' : `/bytes/${size}`}`;
  const body = plan.isPost ? [size] : [];
  const args = [LOAD, subject.port, path, connections, plan.milliseconds, 1_000_000, ...body];
  const { stdout } = await run(process.execPath, args.map(String));
  const result = JSON.parse(stdout) as LoadResult;
  if (result.errors > 0 || result.requests === 0)
    throw new Error(`${subject.name}: ${result.errors} errors in ${result.requests} requests`);
  return {
    ...result,
    cpuMicros: (subject.cpuMicros() - before) / result.requests,
    rssBytes: subject.rssBytes(),
  };
}

async function startAll(plan: Plan, say: (line: string) => void): Promise<Subject[]> {
  const origin = await freePort();
  const started = [await startSubject('node', origin, nodeCommand(join(SUBJECTS, 'origin.ts'), [origin]))];
  for (const name of plan.subjects) {
    const port = await freePort();
    const nginx = name === 'nginx' ? findNginx(say) : undefined;
    if (nginx) started.push(await startNginx(nginx, port, origin));
    else if (name !== 'node' && name !== 'nginx') started.push(await startOne(name, port, origin));
  }
  for (const peer of plan.peers) started.push(await startPeer(peer, await freePort(), origin));
  for (const extra of plan.extras) started.push(await runningSubject(extra));
  return started;
}

/** @param text `NAME,COMMAND ARGUMENTS` */
function startPeer(text: string, port: number, origin: number): Promise<Subject> {
  const comma = text.indexOf(',');
  const words = text
    .slice(comma + 1)
    .split(' ')
    .filter(Boolean);
  const [command = '', ...args] = words.map((word) =>
    word.replace('{port}', String(port)).replace('{origin}', String(origin)),
  );
  if (comma <= 0 || command === '') throw new Error(`--peer=${text}: write --peer=NAME,COMMAND ARGUMENTS`);
  return startSubject(text.slice(0, comma), port, { command, args });
}

async function startOne(name: string, port: number, origin: number): Promise<Subject> {
  switch (name) {
    case 'relay+koa':
      return startSubject(name, port, nodeCommand(join(SUBJECTS, 'relay.ts'), [port, origin, 'koa']));
    case 'sidecar':
      return startSidecarHop(name, { host: '127.0.0.1', port, appPort: origin });
    case 'proxy':
      return startProxyAlone();
    case 'path':
      return startPath(origin);
    default:
      return startSubject(name, port, nodeCommand(join(SUBJECTS, `${name}.ts`), [port, origin]));
  }
}

/** The proxy before a pod that has no sidecar, but the function itself where the sidecar would be. */
async function startProxyAlone(): Promise<Subject> {
  const [, , pod = ''] = podAddresses(3);
  const origin = nodeCommand(join(SUBJECTS, 'origin.ts'), [POD_PORT, pod]);
  const behind = await startSubject('origin', POD_PORT, { ...origin, host: pod });
  const proxy = await startProxyHop('proxy', [pod]);
  return { ...proxy, stop: async () => (await proxy.stop(), behind.stop()) };
}

async function startPath(origin: number): Promise<Subject> {
  const [, pod = ''] = podAddresses(2);
  const sidecar = await startSidecarHop('sidecar', { host: pod, port: POD_PORT, appPort: origin });
  return joined('path', [await startProxyHop('proxy', [pod]), sidecar]);
}

function sizeText(bytes: number): string {
  if (bytes < 1_024) return `${bytes} B`;
  return bytes < 1_048_576 ? `${bytes / 1_024} KiB` : `${bytes / 1_048_576} MiB`;
}

async function runCase(subjects: Subject[], size: number, connections: number, plan: Plan): Promise<Row[]> {
  const samples = new Map<string, Sample[]>(subjects.map(({ name }) => [name, []]));
  for (let round = 0; round < plan.rounds; round++)
    for (const subject of subjects)
      samples.get(subject.name)?.push(await measure(subject, size, connections, plan));
  const name = `${plan.isPost ? 'post ' : ''}${sizeText(size)} × ${connections}`;
  return rowsOf(name, samples);
}

function rowsOf(name: string, samples: ReadonlyMap<string, readonly Sample[]>): Row[] {
  const of = (subject: string, pick: (sample: Sample) => number) =>
    median((samples.get(subject) ?? []).map(pick));
  const rows: Row[] = [];
  for (const subject of samples.keys()) {
    const add = (metric: string, value: number, unit: string) =>
      rows.push({ case: name, metric: `${subject} ${metric}`, value, unit });
    const cpu = of(subject, (sample) => sample.cpuMicros);
    add('cpu/request', cpu, 'µs');
    add(
      'rate',
      of(subject, (sample) => sample.requests / sample.seconds),
      '/s',
    );
    add(
      'p50',
      of(subject, (sample) => sample.p50Micros),
      'µs',
    );
    add(
      'p99',
      of(subject, (sample) => sample.p99Micros),
      'µs',
    );
    add('rss', of(subject, (sample) => sample.rssBytes) / 1_048_576, 'MiB');
    if (subject === 'node') continue;
    add(
      'p50 added',
      of(subject, (sample) => sample.p50Micros) - of('node', (sample) => sample.p50Micros),
      'µs',
    );
    add('cpu to http-proxy', cpu / of('http-proxy', (sample) => sample.cpuMicros), '×');
    add('cpu to nginx', cpu / of('nginx', (sample) => sample.cpuMicros), '×');
  }
  return rows.filter(({ value }) => !Number.isNaN(value));
}

/** Compiled and connected before anything counts. */
async function warmUp(subjects: readonly Subject[], plan: Plan): Promise<void> {
  const short = { ...plan, milliseconds: 500 };
  for (const subject of subjects) {
    await measure(subject, plan.sizes[0] ?? 64, 16, short);
    await measure(subject, plan.sizes.at(-1) ?? 64, 16, short);
  }
}

export const bench: Bench = {
  name: 'relay',
  describe: 'CPU, rate, latency and memory of carrying a request, beside http-proxy, undici and nginx',
  async run(options) {
    const plan = planOf(options);
    const subjects = await startAll(plan, options.say);
    const rows: Row[] = [];
    try {
      await warmUp(subjects, plan);
      for (const size of plan.sizes)
        for (const connections of plan.connections) {
          options.say(`${sizeText(size)} × ${connections}`);
          rows.push(...(await runCase(subjects, size, connections, plan)));
        }
    } finally {
      for (const subject of subjects.toReversed()) await subject.stop();
    }
    return rows;
  },
};
