/**
 * What does an asynchronous job cost over the bare JetStream below it? Acceptance (request to 201) and arrival
 * (request to the function's first sight of it), in SlimFaas's own matrix: 64 B to 2 MiB, 1 and 16 connections, a
 * paced 10 per second and a burst of 1,000 at 64 connections. All parts are processes of their own; the bare side
 * publishes to and pulls from the same server, alternating with ours. A burst's messages a second are counted from
 * the first post sent to the last arrival seen by the function; each figure is the median of several bursts.
 */
import { join } from 'node:path';
import { envName } from '../common/runtime/flags.ts';
import { consumerConfig, JOBS_STREAM, streamConfigs } from '../common/queue/jetstream/streams.ts';
import { sleep, StopStack } from '../common/runtime/lifecycle.ts';
import { silentLog } from '../common/runtime/log.ts';
import { openNatsLink, type NatsLink } from '../common/bus/nats.ts';
import { startNats } from '../test/helpers/nats.ts';
import { waitFor } from '../test/helpers/wait.ts';
import {
  bareSide,
  listenForArrivals,
  now,
  slimfaasSide,
  type ArrivalPort,
  type Sending,
  type Side,
} from './lib/async-sides.ts';
import {
  freePort,
  nodeCommand,
  runningSubject,
  startSubject,
  type Subject,
  type SubjectCommand,
} from './lib/subject.ts';
import { percentile, type Bench, type BenchOptions, type Row } from './lib/bench.ts';
import type { JobSettings } from '../common/queue/settings.ts';

const SUBJECTS = join(import.meta.dirname, 'lib', 'subjects');
const MAIN = join(import.meta.dirname, '..', 'cli', 'main.ts');
const ID = { namespace: 'default', name: 'arrivals' };
const SETTINGS: JobSettings = {
  storage: 'file',
  replicas: 1,
  maxJobsPerFunction: 10_000,
  maxBytes: 0,
  duplicateWindowMs: 120_000,
  resultTtlMs: 3_600_000,
  deadTtlMs: 3_600_000,
  bodyTtlMs: 3_600_000,
  eventTtlMs: 600_000,
  eventMaxBytes: 0,
  volumeBytes: 0,
};
const SIZES = [64, 4_096, 262_144, 2_097_152];
const PACE_MS = 100;
const BURST_CONNECTIONS = 64;
/**
 * Places of the one pod. With the default of 10 a burst would measure how fast the function answers; SlimFaas's
 * matrix asks when jobs arrive, so there are more places than the 64 jobs that can be on their way at once.
 */
const PLACES = 100;
const WARM_UPS = 6;

export const bench: Bench = {
  name: 'async',
  describe: 'asynchronous jobs: acceptance and arrival beside the bare JetStream',
  run,
};

interface World {
  readonly url: string;
  readonly link: NatsLink;
  readonly arrivals: ArrivalPort;
  readonly parts: readonly Subject[];
}

async function run({ quick, say }: BenchOptions): Promise<Row[]> {
  const stops = new StopStack(silentLog);
  try {
    return await measure(await start(stops), quick, say);
  } finally {
    await stops.stop();
  }
}

/** nats-server, proxy, sidecar and function, each its own process; streams and consumer as the scaler makes them. */
async function start(stops: StopStack): Promise<World> {
  const nats = await startNats();
  stops.add('NATS', () => nats.stop());
  const link = openNatsLink({ servers: nats.url, name: 'bench', log: silentLog });
  stops.add('link', () => link.stop());
  const connection = await waitFor(() => link.connection, { what: 'connected to NATS' });
  const jsm = await connection.jetstreamManager();
  for (const config of streamConfigs(SETTINGS)) await jsm.streams.add(config);
  await jsm.consumers.add(JOBS_STREAM, consumerConfig(ID, SETTINGS, false));
  const arrivals = await listenForArrivals();
  stops.add('arrivals', () => arrivals.close());
  const parts: Subject[] = [
    await runningSubject(`nats-server,${nats.port},${nats.pid}`, new URL(nats.url).hostname),
  ];
  const startPart = async (name: string, port: number, command: SubjectCommand): Promise<void> => {
    const subject = await startSubject(name, port, command);
    stops.add(name, () => subject.stop());
    parts.push(subject);
  };
  const [appPort, sidecarPort, proxyPort] = [await freePort(), await freePort(), await freePort()];
  const app = nodeCommand(join(SUBJECTS, 'arrivals.ts'), [arrivals.port]);
  await startPart('function', appPort, { ...app, env: { PORT: String(appPort), HOST: '127.0.0.1' } });
  const env = sidecarEnv({ nats: nats.url, 'app-port': appPort, port: sidecarPort });
  await startPart('sidecar', sidecarPort, { ...nodeCommand(MAIN, ['sidecar']), env });
  const args = [proxyPort, nats.url, ID.name, '127.0.0.1'];
  await startPart('proxy', proxyPort, nodeCommand(join(SUBJECTS, 'proxy.ts'), args));
  const url = `http://127.0.0.1:${proxyPort}/async-function/${ID.name}/`;
  const post = () => fetch(url, { method: 'POST', body: 'first' });
  await waitFor(async () => (await post()).status === 201, { what: 'jobs are accepted', timeoutMs: 20_000 });
  return { url, link, arrivals, parts };
}

function sidecarEnv(flags: Record<string, string | number>): Record<string, string> {
  const all = { function: ID.name, namespace: ID.namespace, host: '127.0.0.1', 'admin-port': 0, ...flags };
  const more = { 'pod-name': `${ID.name}-abc-1`, 'parallel-per-pod': PLACES, 'log-level': 'error' };
  return Object.fromEntries(
    Object.entries({ ...all, ...more }).map(([flag, value]) => [envName(flag), String(value)]),
  );
}

async function measure(world: World, quick: boolean, say: (line: string) => void): Promise<Row[]> {
  const connection = await waitFor(() => world.link.connection, { what: 'connected to NATS' });
  const bare = await bareSide(connection);
  const rows: Row[] = [];
  // A proxy of some minutes has compiled its hot code; one that has just started takes twice as long.
  await withBursting(world, async (bursting) => {
    for (let i = 0; i < WARM_UPS; i++) for (const side of [bursting, bare]) await burst(side, 64, 1_000);
  });
  for (const size of SIZES) {
    for (const connections of [1, 16]) {
      const ours = await slimfaasSide(world.url, connections, world.arrivals);
      const samples = await paced([ours, bare], size, quick ? 25 : 150);
      for (const [side, list] of samples)
        rows.push(...latencyRows(`${bytes(size)}, 10/s, ${connections} conn`, side.name, list));
      await ours.close();
      say(`${bytes(size)}, ${connections} connections: paced`);
    }
  }
  await withBursting(world, async (bursting) => {
    for (const size of SIZES) {
      // The same 64 MiB at most: a burst is about messages, not about the disk.
      const count = Math.min(1_000, Math.floor((64 * 1_048_576) / size));
      rows.push(...(await bursts(world.parts, [bursting, bare], size, { count, rounds: quick ? 3 : 9 })));
      say(`${bytes(size)}: burst`);
    }
  });
  await bare.close();
  return rows;
}

/** Connections of its own: the proxy closes those that are idle for 75 s. */
async function withBursting(world: World, run: (side: Side) => Promise<void>): Promise<void> {
  const side = await slimfaasSide(world.url, BURST_CONNECTIONS, world.arrivals);
  await run(side).finally(() => side.close());
}

interface Times {
  readonly accepted: readonly number[];
  readonly arrived: readonly number[];
}

/** Each side has its turn every 100 ms, half of that apart from the other. */
async function paced(sides: readonly Side[], size: number, count: number): Promise<Map<Side, Times>> {
  const body = Buffer.alloc(size, 'x');
  const sendings = new Map<Side, Sending[]>(sides.map((side) => [side, []]));
  for (let i = 0; i < count; i++) {
    for (const side of sides) {
      sendings.get(side)?.push(side.send(body));
      await sleep(PACE_MS / sides.length);
    }
  }
  const times = new Map<Side, Times>();
  for (const [side, list] of sendings) times.set(side, await timesOf(list));
  return times;
}

interface Burst extends Times {
  readonly acceptedPerSecond: number;
  readonly arrivedPerSecond: number;
}

/** CPU of each part is counted over our own bursts: what the clock of a busy machine cannot blur. */
async function bursts(
  parts: readonly Subject[],
  [ours, bare]: readonly [Side, Side],
  size: number,
  { count, rounds }: { count: number; rounds: number },
): Promise<Row[]> {
  const done = new Map<Side, Burst[]>([
    [ours, []],
    [bare, []],
  ]);
  const cpuMicros = parts.map(() => 0);
  for (let i = 0; i < rounds; i++) {
    const before = parts.map((part) => part.cpuMicros());
    done.get(ours)?.push(await burst(ours, size, count));
    await sleep(100); // the last results are being written
    for (const [n, part] of parts.entries()) cpuMicros[n]! += part.cpuMicros() - before[n]!;
    done.get(bare)?.push(await burst(bare, size, count));
  }
  const name = `${bytes(size)}, burst of ${count} at ${BURST_CONNECTIONS}`;
  const cpuRows = parts.map((part, n): Row => {
    const value = cpuMicros[n]! / (count * rounds);
    return { case: name, metric: `${part.name}: CPU a job`, value, unit: 'µs' };
  });
  return [...[...done].flatMap(([side, list]) => burstRows(name, side.name, list)), ...cpuRows];
}

function burstRows(name: string, side: string, list: readonly Burst[]): Row[] {
  const times: Times = {
    accepted: list.flatMap(({ accepted }) => accepted),
    arrived: list.flatMap(({ arrived }) => arrived),
  };
  const rate = (what: string, values: readonly number[], p: number): Row => {
    const value = percentile(
      values.toSorted((a, b) => a - b),
      p,
    );
    return { case: name, metric: `${side}: ${what}`, value, unit: '/s' };
  };
  const arrived = list.map(({ arrivedPerSecond }) => arrivedPerSecond);
  return [
    ...latencyRows(name, side, times),
    rate(
      'accepted a second',
      list.map(({ acceptedPerSecond }) => acceptedPerSecond),
      0.5,
    ),
    rate('arrived a second', arrived, 0.5),
    rate('arrived a second, slowest burst', arrived, 0),
    rate('arrived a second, fastest burst', arrived, 1),
  ];
}

async function burst(side: Side, size: number, count: number): Promise<Burst> {
  const body = Buffer.alloc(size, 'x');
  const sendings: Sending[] = [];
  const begun = now();
  // Through a bounded number of hands: with 1,000 posts open, the time in our own client's line would count.
  const hands = Array.from({ length: BURST_CONNECTIONS }, async (_, hand) => {
    for (let i = hand; i < count; i += BURST_CONNECTIONS) {
      const sending = side.send(body);
      sendings.push(sending);
      await sending.accepted;
    }
  });
  await Promise.all(hands);
  const acceptedMs = now() - begun;
  const times = await timesOf(sendings);
  const lastAt = Math.max(...sendings.map(({ begunAt }, i) => begunAt + (times.arrived[i] as number)));
  return {
    ...times,
    acceptedPerSecond: (count * 1_000) / acceptedMs,
    arrivedPerSecond: (count * 1_000) / (lastAt - begun),
  };
}

async function timesOf(sendings: readonly Sending[]): Promise<Times> {
  return {
    accepted: await Promise.all(sendings.map((sending) => sending.accepted)),
    arrived: await Promise.all(sendings.map((sending) => sending.arrived)),
  };
}

function latencyRows(name: string, side: string, times: Times): Row[] {
  return (['accepted', 'arrived'] as const).flatMap((what) => {
    const sorted = times[what].toSorted((a, b) => a - b);
    return [0.5, 0.95, 0.99].map((p) => ({
      case: name,
      metric: `${side}: ${what} p${p * 100}`,
      value: percentile(sorted, p),
      unit: 'ms',
    }));
  });
}

function bytes(size: number): string {
  if (size < 1_024) return `${size} B`;
  return size < 1_048_576 ? `${size / 1_024} KiB` : `${size / 1_048_576} MiB`;
}
