/** The sidecar as a process of its own, as a kubelet starts it: to be killed. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { envName } from '../../../common/flags.ts';

const MAIN = fileURLToPath(new URL('../../../cli/main.ts', import.meta.url));

export interface SidecarProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  /** SIGKILL; resolves when it is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

export function startSidecarProcess(flags: Readonly<Record<string, string | number>>): SidecarProcess {
  const all = { host: '127.0.0.1', port: 0, 'admin-port': 0, function: 'fn', namespace: 'ns', ...flags };
  const env = Object.fromEntries(Object.entries(all).map(([name, value]) => [envName(name), String(value)]));
  const child = spawn(process.execPath, [MAIN, 'sidecar'], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const gone = once(child, 'exit');
  const kill = async (signal: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    child.kill(signal);
    await gone;
  };
  return { child, kill, [Symbol.asyncDispose]: () => kill() };
}
