/**
 * What a sidecar weighs, beside bare Node as the floor: from exec to the first call answered, CPU spent until
 * then, and memory idle, after many calls and with many WebSockets open. Runs the bundle (`npm run build`), with the
 * allocator of this machine and with that of the image. A start as in a pod also asks a proxy for callers, proves who it is
 * and has an identity to get.
 *
 * Switches: `--calls=100000` `--sockets=1000`.
 */
import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, get, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { WebSocket, WebSocketServer } from 'ws';
import { HEADER } from '../common/function/names.ts';
import { sidecarMemory } from '../webhook/inject/sidecar-resources.ts';
import { imageAllocator } from './lib/allocator.ts';
import { median, type Bench, type BenchOptions, type Row } from './lib/bench.ts';
import { freePort, nodeCommand, startSubject, type Subject, type SubjectCommand } from './lib/subject.ts';

const BUNDLE = fileURLToPath(new URL('../dist/slimfaas.js', import.meta.url));
const BARE_SERVER = fileURLToPath(new URL('lib/bare-server.mjs', import.meta.url));
const LOAD = fileURLToPath(new URL('lib/load.ts', import.meta.url));
/** Nobody answers there: a sidecar without NATS, which is the same work without one small connection. */
const NO_NATS = 'nats://127.0.0.1:9';
/** A sidecar gives memory back after two quiet rounds of 30 s (sidecar/life/idle-memory.ts). */
const IDLE_MS = 62_000;
const BARE = `require('node:http').createServer((q, s) => s.end('ok')).listen(process.argv[1], '127.0.0.1')`;

export const bench: Bench = {
  name: 'sidecar',
  describe: 'start-up and memory of the sidecar: idle, after many calls, with many WebSockets',
  run,
};

async function run(options: BenchOptions): Promise<Row[]> {
  if (!existsSync(BUNDLE)) throw new Error('dist/slimfaas.js is missing; npm run build makes it');
  const app = await startApp();
  const proxy = createServer((_req, res) => void res.writeHead(204, { [HEADER.callers]: '1' }).end());
  proxy.listen(0, '127.0.0.1');
  await once(proxy, 'listening');
  const { port: proxyPort } = proxy.address() as AddressInfo;
  const cache = await mkdtemp(join(tmpdir(), 'slimfaas-compile-cache-'));
  try {
    const allocator = imageAllocator(options.say);
    const starts = await startUp(options, { appPort: app.port, proxyPort, cache, allocator });
    return [...starts, ...(await underLoad(options, app.port, allocator))];
  } finally {
    await app.stop();
    proxy.close();
    await rm(cache, { recursive: true, force: true });
  }
}

const IN_POD = 'sidecar, as in the image and in a pod';
const KINDS = ['bare Node', 'sidecar', 'sidecar, compile cache', 'sidecar, as in the image', IN_POD] as const;
type Kind = (typeof KINDS)[number];

/** Between two looks whether a process under test listens. */
const LOOK_MS = 2;

interface Start {
  readonly appPort: number;
  /** Where something stands for a proxy with one caller. */
  readonly proxyPort: number;
  /** The folder of the compile cache. */
  readonly cache: string;
  /** The image's variables. */
  readonly allocator: Record<string, string>;
}

/** Alternating, so that what else the machine does meets all alike; the middle of the rounds counts. */
async function startUp({ quick, say }: BenchOptions, how: Start): Promise<Row[]> {
  const samples = new Map<Kind, { readyMs: number[]; cpuMs: number[]; rssMiB: number[] }>();
  const rounds = quick ? 5 : 15;
  for (let round = 0; round < rounds; round++) {
    for (const kind of KINDS) {
      const sample = samples.get(kind) ?? { readyMs: [], cpuMs: [], rssMiB: [] };
      samples.set(kind, sample);
      const measured = await startOnce(kind, how);
      sample.readyMs.push(measured.readyMs);
      sample.cpuMs.push(measured.cpuMs);
      sample.rssMiB.push(measured.rssMiB);
    }
    say(`start ${round + 1} of ${rounds}`);
  }
  return [...samples].flatMap(([kind, { readyMs, cpuMs, rssMiB }]) => [
    { case: kind, metric: 'exec to first answer, median', value: median(readyMs), unit: 'ms' },
    { case: kind, metric: 'exec to first answer, least', value: Math.min(...readyMs), unit: 'ms' },
    { case: kind, metric: 'CPU to first answer', value: median(cpuMs), unit: 'ms' },
    { case: kind, metric: 'memory, idle', value: median(rssMiB), unit: 'MiB' },
  ]);
}

async function startOnce(kind: Kind, how: Start) {
  const port = await freePort();
  const begun = performance.now();
  const running = await startSubject(kind, port, await commandOf(kind, port, how));
  while (!(await answers(port))) await new Promise((resolve) => setTimeout(resolve, 2));
  const cpuMs = running.exactCpuMicros() / 1_000; // at once: the rest of a sidecar begins after its answer
  const readyMs = performance.now() - begun;
  await new Promise((resolve) => setTimeout(resolve, 1_000)); // what is lazy has come by then
  const rssMiB = running.rssBytes() / 1_048_576;
  await running.stop();
  return { readyMs, cpuMs, rssMiB };
}

async function commandOf(kind: Kind, port: number, how: Start): Promise<SubjectCommand> {
  if (kind === 'bare Node')
    return { command: process.execPath, args: ['-e', BARE, String(port)], lookMs: LOOK_MS };
  const cached: Record<string, string> = kind === 'sidecar' ? {} : { NODE_COMPILE_CACHE: how.cache };
  const allocator = kind === 'sidecar, as in the image' || kind === IN_POD ? how.allocator : {};
  const { args, ...command } = await sidecarCommand(port, how.appPort, { ...cached, ...allocator });
  return { ...command, args: kind === IN_POD ? [...args, ...inPod(how)] : args, lookMs: LOOK_MS };
}

/** Woken by a caller, and with an identity to get: the proxy says so, and the token proves it. */
function inPod({ proxyPort }: Start): string[] {
  const identity = ['--auth=required', `--issuer=https://127.0.0.1:9`, `--token-file=${BUNDLE}`];
  return [...identity, '--drain-token=secret', `--proxy=http://127.0.0.1:${proxyPort}`];
}

async function sidecarCommand(
  port: number,
  appPort: number,
  more: Record<string, string>,
): Promise<SubjectCommand> {
  const admin = await freePort();
  const identity = ['--function=bench', '--pod-name=bench-1', '--log-level=silent', `--nats=${NO_NATS}`];
  const ports = ['--host=127.0.0.1', `--port=${port}`, `--admin-port=${admin}`, `--app-port=${appPort}`];
  const limits = ['--parallel-per-pod=2000', '--drain-seconds=1'];
  const env = { ...sidecarMemory(), ...more }; // as the webhook sets it
  return { ...nodeCommand(BUNDLE, ['sidecar', ...identity, ...ports, ...limits]), env };
}

/** The same calls and WebSockets to a Node server without a sidecar and to sidecars, one after the other. */
async function underLoad(
  options: BenchOptions,
  appPort: number,
  allocator: Record<string, string>,
): Promise<Row[]> {
  const port = await freePort();
  const rows = await memoryOf(
    await startSubject('bare Node', port, nodeCommand(BARE_SERVER, [port])),
    options,
  );
  const kinds = { sidecar: {}, 'sidecar, as in the image': allocator };
  for (const [name, more] of Object.entries(kinds)) {
    const own = await freePort();
    const sidecar = await startSubject(name, own, await sidecarCommand(own, appPort, more));
    rows.push(...(await memoryOf(sidecar, options)));
  }
  return rows;
}

/** Memory after each fifth of the calls, with the WebSockets open, when they are gone, and when it has been idle. */
async function memoryOf(subject: Subject, { quick, args, say }: BenchOptions): Promise<Row[]> {
  const given = (name: string) => args.find((arg) => arg.startsWith(`--${name}=`))?.split('=')[1];
  const calls = Number(given('calls') ?? (quick ? 20_000 : 100_000));
  const sockets = Number(given('sockets') ?? (quick ? 200 : 1_000));
  const rows: Row[] = [];
  const note = (metric: string): void => {
    const value = subject.rssBytes() / 1_048_576;
    rows.push({ case: `${subject.name} under load`, metric, value, unit: 'MiB' });
  };
  try {
    await untilAnswers(subject.port);
    note('memory, idle');
    for (let part = 1; part <= 5; part++) {
      await load(subject.port, calls / 5);
      note(`memory, after ${(calls / 5) * part} calls`);
      say(`${subject.name}: ${(calls / 5) * part} calls`);
    }
    for (const round of ['first', 'second', 'third'])
      await withWebSockets(subject, sockets, () => note(`memory, ${sockets} WebSockets open, ${round} time`));
    note('memory, WebSockets closed');
    if (quick) return rows; // it has a minute in all
    await new Promise((resolve) => setTimeout(resolve, IDLE_MS));
    note(`memory, ${IDLE_MS / 1_000} s later`);
  } finally {
    await subject.stop();
  }
  return rows;
}

async function load(port: number, calls: number): Promise<void> {
  // 32 connections; 60 s bound it on a machine that is busy with something else.
  await promisify(execFile)(process.execPath, [LOAD, String(port), '/', '32', '60000', String(calls)]);
}

async function withWebSockets({ port }: Subject, count: number, whileOpen: () => void): Promise<void> {
  const sockets: WebSocket[] = [];
  for (let i = 0; i < count; i++) {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`);
    sockets.push(socket);
    await once(socket, 'open');
  }
  whileOpen();
  const closed = sockets.map((socket) => once(socket, 'close'));
  for (const socket of sockets) socket.close();
  await Promise.all(closed);
}

async function untilAnswers(port: number): Promise<void> {
  while (!(await answers(port))) await new Promise((resolve) => setTimeout(resolve, 10));
}

function answers(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const req = get({ host: '127.0.0.1', port, agent: false }, (res) => {
      res.resume();
      resolve(res.statusCode === 200);
    });
    req.on('error', () => resolve(false));
  });
}

/** The user's container: 64 bytes for a call, an echo for a WebSocket. */
async function startApp(): Promise<{ port: number; stop: () => Promise<void> }> {
  const body = 'x'.repeat(64);
  const server: Server = createServer(
    (_req, res) => void res.writeHead(200, { 'Content-Length': 64 }).end(body),
  );
  const webSockets = new WebSocketServer({ server });
  webSockets.on('connection', (socket) => socket.on('message', (data) => socket.send(data)));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    async stop() {
      webSockets.close();
      const closed = once(server, 'close');
      server.close();
      server.closeAllConnections();
      await closed;
    },
  };
}
