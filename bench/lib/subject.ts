/**
 * A process under test: started, found listening, its CPU and memory read from /proc, stopped by its own id.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { connect } from 'node:net';

/** Kernel clock ticks a second; 100 on every Linux that Node runs on. */
const TICKS_PER_SECOND = 100;

export interface Subject {
  readonly name: string;
  readonly port: number;
  readonly pid: number;
  /** What stands before the paths it is asked for. */
  readonly prefix?: string;
  /** User and system time since the start, µs, all threads; counted in steps of 10 ms. */
  cpuMicros(): number;
  /** The same to the nanosecond, of the threads that live; for the short life of a start. */
  exactCpuMicros(): number;
  rssBytes(): number;
  stop(): Promise<void>;
}

export interface SubjectCommand {
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Where it listens; 127.0.0.1 unless said otherwise. */
  readonly host?: string;
  /** Between two looks whether it listens. */
  readonly lookMs?: number;
}

/** @param port where it will listen; it is ready when it accepts a connection there */
export async function startSubject(name: string, port: number, run: SubjectCommand): Promise<Subject> {
  const child = spawn(run.command, run.args, {
    env: { ...process.env, ...run.env },
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  let errors = '';
  child.stderr?.on('data', (chunk: Buffer) => (errors = (errors + chunk.toString()).slice(-2_000)));
  const pid = child.pid;
  if (pid === undefined) throw new Error(`${name}: could not start ${run.command}`);
  await untilListening({ name, port, ...run }, child, () => errors);
  return {
    name,
    port,
    pid,
    cpuMicros: () => cpuMicros(pid),
    exactCpuMicros: () => exactCpuMicros(pid),
    rssBytes: () => rssBytes(pid),
    stop: () => stopChild(child),
  };
}

/** A process that somebody else started: `NAME,PORT,PID,PREFIX`. */
export async function runningSubject(text: string, host?: string): Promise<Subject> {
  const [name = '', port, pid, prefix = ''] = text.split(',');
  if (!(await accepts(Number(port), host))) throw new Error(`${name}: nothing listens on port ${port}`);
  return {
    name,
    port: Number(port),
    pid: Number(pid),
    prefix,
    cpuMicros: () => cpuMicros(Number(pid)),
    exactCpuMicros: () => exactCpuMicros(Number(pid)),
    rssBytes: () => rssBytes(Number(pid)),
    stop: async () => undefined,
  };
}

/** A Node program of this repository, on the Node that runs the bench. */
export function nodeCommand(file: string, args: readonly (string | number)[]): SubjectCommand {
  return { command: process.execPath, args: [file, ...args.map(String)] };
}

async function untilListening(
  { name, port, host, lookMs = 20 }: Pick<SubjectCommand, 'host' | 'lookMs'> & { name: string; port: number },
  child: ChildProcess,
  errors: () => string,
): Promise<void> {
  const deadline = performance.now() + 15_000;
  while (performance.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`${name} ended at its start: ${errors()}`);
    if (await accepts(port, host)) return;
    await new Promise((resolve) => setTimeout(resolve, lookMs));
  }
  await stopChild(child);
  throw new Error(`${name} did not listen within 15 s: ${errors()}`);
}

function accepts(port: number, host = '127.0.0.1'): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, host);
    socket.once('connect', () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', () => resolve(false));
  });
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  const timer = setTimeout(() => child.kill('SIGKILL'), 3_000);
  await exited;
  clearTimeout(timer);
}

/** Fields 14 and 15 of /proc/<pid>/stat, counted behind the name, which may hold spaces. */
function cpuMicros(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS_PER_SECOND;
}

function exactCpuMicros(pid: number): number {
  const threads = readdirSync(`/proc/${pid}/task`);
  const ran = threads.map((id) =>
    Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, 'latin1').split(' ')[0]),
  );
  return ran.reduce((sum, nanos) => sum + nanos, 0) / 1_000;
}

function rssBytes(pid: number): number {
  const match = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'));
  return Number(match?.[1] ?? 0) * 1_024;
}

/** A port that was free a moment ago. */
export async function freePort(): Promise<number> {
  const { createServer } = await import('node:net');
  const server = createServer();
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}
