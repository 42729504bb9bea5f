/** The sidecar as a process of its own, as a kubelet starts it: to be called, ended and killed from outside. */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { envName } from '../../../common/runtime/flags.ts';
import { waitFor } from '../../helpers/wait.ts';
import { APP_HOST } from './app.ts';

const MAIN = fileURLToPath(new URL('../../../cli/main.ts', import.meta.url));

export type SidecarFlags = Readonly<Record<string, string | number>>;

export interface SidecarProcess extends AsyncDisposable {
  readonly child: ChildProcess;
  /** What it logged, such as `listening` and `app ready`. */
  hasLogged(message: string): Promise<void>;
  /** SIGKILL; resolves when it is gone. */
  kill(signal?: NodeJS.Signals): Promise<void>;
}

export function startSidecarProcess(flags: SidecarFlags): SidecarProcess {
  const identity = { function: 'fn', namespace: 'ns' };
  const all = { host: '127.0.0.1', port: 0, 'admin-port': 0, 'app-host': APP_HOST, ...identity, ...flags };
  const env = Object.fromEntries(Object.entries(all).map(([name, value]) => [envName(name), String(value)]));
  const child = spawn(process.execPath, [MAIN, 'sidecar'], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.on('data', (data: Buffer) => (text += data.toString()));
  const gone = once(child, 'exit');
  const kill = async (signal: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    child.kill(signal);
    await gone;
  };
  return {
    child,
    async hasLogged(message) {
      const isThere = () => text.includes(`"msg":"${message}"`) || child.exitCode !== null;
      await waitFor(isThere, { what: `the sidecar logs "${message}"`, timeoutMs: 30_000 });
      if (child.exitCode !== null) throw new Error(`the sidecar ended with ${child.exitCode}:\n${text}`);
    },
    kill,
    [Symbol.asyncDispose]: () => kill(),
  };
}
