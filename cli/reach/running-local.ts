/**
 * Where a running `slimfaas local` says which kubeconfig leads to it, so that the commands find it without a flag. The
 * file is the user's own. A process that was killed leaves its file behind, so its id is looked at before it counts.
 */
import { mkdir, readFile, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';

interface RunningLocal {
  readonly pid: number;
  readonly kubeconfig: string;
}

/** Where several run, the one that was started last is found. @returns forgets it again */
export async function noteRunningLocal(
  kubeconfig: string,
  path = runningLocalPath(),
): Promise<() => Promise<void>> {
  const note = { pid: process.pid, kubeconfig } satisfies RunningLocal;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, JSON.stringify(note), { mode: 0o600 });
  return async () => {
    if ((await readNote(path))?.pid === process.pid) await rm(path, { force: true });
  };
}

/** @returns the path of its kubeconfig; undefined where none runs */
export async function findRunningLocal(path = runningLocalPath()): Promise<string | undefined> {
  const note = await readNote(path);
  return note && isAlive(note.pid) ? note.kubeconfig : undefined;
}

function runningLocalPath(): string {
  const state = process.env['XDG_STATE_HOME'] || join(homedir(), '.local/state');
  return join(state, 'slimfaas', 'running-local.json');
}

async function readNote(path: string): Promise<RunningLocal | undefined> {
  try {
    const { pid, kubeconfig } = JSON.parse(await readFile(path, 'utf8')) as Partial<RunningLocal>;
    return Number.isSafeInteger(pid) && typeof kubeconfig === 'string'
      ? { pid: pid as number, kubeconfig }
      : undefined;
  } catch {
    return undefined; // none, or one that is half written
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}
