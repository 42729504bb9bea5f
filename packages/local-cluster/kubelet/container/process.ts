/**
 * One container's processes: a process group of their own, whose first member is the container's command. As
 * in a container, SIGTERM goes to that one alone, and when it has ended nothing of the group lives on.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { constants } from 'node:os';
import type { Watchdog } from '../pods/watchdog.ts';

export interface Exit {
  /** 128 + n for signal n, as a runtime reports it. */
  readonly code: number;
  readonly signal: number | undefined;
}

export interface ContainerProcess {
  readonly pid: number;
  readonly exited: Promise<Exit>;
  /** All that it wrote has been read: a moment after it has exited. */
  readonly outputEnded: Promise<void>;
  /** SIGTERM to the first process. */
  terminate(): void;
  /** SIGKILL to all of them. */
  kill(): void;
}

/** The command could not be executed at all. */
export class StartError extends Error {
  readonly code = 'StartError';
}

export interface ProcessOptions {
  readonly argv: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  readonly onLine: (line: string) => void;
  readonly watchdog: Pick<Watchdog, 'watch' | 'forget'>;
}

/** @throws StartError (as a rejection) when there is no such executable */
export async function startProcess(options: ProcessOptions): Promise<ContainerProcess> {
  const [command = '', ...args] = options.argv;
  const child = spawn(command, args, {
    env: { ...options.env },
    cwd: options.cwd,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { pid } = child;
  if (pid === undefined) throw await startError(child, command);
  options.watchdog.watch(pid);
  for (const stream of [child.stdout, child.stderr]) readLines(stream, options.onLine);
  const exited = new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => {
      signalGroup(pid, 'SIGKILL'); // what the command has left behind
      options.watchdog.forget(pid);
      const number = signal === null ? undefined : constants.signals[signal];
      resolve({ code: code ?? 128 + (number ?? 0), signal: number });
    });
  });
  return {
    pid,
    exited,
    outputEnded: new Promise((resolve) => child.once('close', () => resolve())),
    terminate: () => void child.kill('SIGTERM'),
    kill: () => signalGroup(pid, 'SIGKILL'),
  };
}

function startError(child: ChildProcess, command: string): Promise<StartError> {
  return new Promise((resolve) => {
    child.once('error', (cause) => {
      const why =
        (cause as NodeJS.ErrnoException).code === 'ENOENT'
          ? 'executable file not found in $PATH'
          : cause.message;
      resolve(new StartError(`exec: "${command}": ${why}`, { cause }));
    });
  });
}

/** To a process and all that it started and that stayed in its group. */
export function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // nobody is left in it
  }
}

/** A line that never ends is passed on in pieces, so that no container can fill our memory. */
const MAX_LINE_BYTES = 64 * 1024;

function readLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
    if (rest.length < MAX_LINE_BYTES) return;
    onLine(rest);
    rest = '';
  });
  stream.on('end', () => {
    if (rest !== '') onLine(rest);
  });
  stream.on('error', () => undefined);
}
