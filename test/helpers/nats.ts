/**
 * A real nats-server with JetStream for a test: its own temp folder and address, a port that it picks itself, and the
 * same again after `restart()`, so that streams outlive a kill as they do in production.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startWatchdog, type Watchdog } from '../../packages/local-cluster/kubelet/pods/watchdog.ts';
import { ownAddress } from './addresses.ts';
import { waitFor } from './wait.ts';

export interface TestNats extends AsyncDisposable {
  readonly url: string;
  readonly host: string;
  readonly port: number;
  /** Of the process that runs now; undefined while it is down. */
  readonly pid: number | undefined;
  /** SIGKILL; data stay. */
  kill(): Promise<void>;
  /** Starts it again on the same port with the same data; ends a running one first. */
  restart(): Promise<void>;
  /** Ends it and removes its folder. */
  stop(): Promise<void>;
}

export interface NatsOptions {
  /** What all streams on disk may take together; none: what the disk has. */
  readonly maxFileStoreBytes?: number;
  /** Default: an address of this test alone. */
  readonly host?: string;
  /** More of its configuration file. */
  readonly config?: string;
}

export async function startNats(options: NatsOptions = {}): Promise<TestNats> {
  const dir = await mkdtemp(join(tmpdir(), 'slimfaas-nats-'));
  const host = options.host ?? ownAddress();
  const { maxFileStoreBytes: limit, config = '' } = options;
  const jetstream = `store_dir: "${join(dir, 'data')}"${limit === undefined ? '' : `, max_file_store: ${limit}`}`;
  await writeFile(join(dir, CONFIG_FILE), `jetstream { ${jetstream} }\n${config}\n`);
  // A test that runs out of time is killed and cleans up nothing: the watchdog does it then.
  const watchdog = startWatchdog(dir);
  // Port -1: the server picks a free one and writes it to a file, so two tests never race for a number.
  let child: ChildProcess | undefined = launch({ dir, host, port: -1, watchdog });
  const port = await portOf(dir, host, child).catch(async (error: unknown) => {
    await end(child);
    await watchdog.stop();
    await rm(dir, { recursive: true, force: true });
    throw error;
  });
  const stop = async () => {
    await end(child);
    child = undefined;
    await watchdog.stop();
    await rm(dir, { recursive: true, force: true });
  };
  return {
    url: `nats://${host}:${port}`,
    host,
    port,
    get pid() {
      return child?.pid;
    },
    async kill() {
      await end(child);
      child = undefined;
    },
    async restart() {
      await end(child);
      child = launch({ dir, host, port, watchdog });
      await waitFor(() => canConnect(host, port), { what: `nats-server answers on ${host}:${port} again` });
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

const CONFIG_FILE = 'nats.conf';

interface Launch {
  readonly dir: string;
  readonly host: string;
  readonly port: number;
  readonly watchdog: Watchdog;
}

function launch({ dir, host, port, watchdog }: Launch): ChildProcess {
  const args = ['-a', host, '-p', String(port), '-c', join(dir, CONFIG_FILE)];
  // Debian keeps it where a user's PATH does not lead.
  const env = { ...process.env, PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/usr/local/sbin` };
  const options = { stdio: 'ignore', detached: true, env } as const;
  const child = spawn('nats-server', [...args, '--ports_file_dir', dir], options);
  const { pid } = child;
  if (pid !== undefined) {
    watchdog.watch(pid);
    child.once('exit', () => watchdog.forget(pid));
  }
  child.once('error', () => undefined); // reported by portOf: the process has no pid
  return child;
}

async function portOf(dir: string, host: string, child: ChildProcess): Promise<number> {
  return waitFor(
    async () => {
      const file = (await readdir(dir)).find((name) => name.endsWith('.ports'));
      if (!file) return undefined;
      const { nats } = JSON.parse(await readFile(join(dir, file), 'utf8')) as { nats: string[] };
      const port = Number(new URL(nats[0] ?? '').port);
      return (await canConnect(host, port)) ? port : undefined;
    },
    { what: `nats-server (pid ${child.pid}) is up; is it installed? apt-get install nats-server` },
  );
}

function canConnect(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = createConnection({ host, port });
    socket.once('data', () => resolve(true)); // INFO: it speaks NATS, it is not just a listening socket
    socket.once('error', () => resolve(false));
    socket.once('close', () => resolve(false));
    socket.once('data', () => socket.destroy());
  });
}

/** SIGKILL: what a test expects of its server it must expect after a crash too. */
async function end(child: ChildProcess | undefined): Promise<void> {
  if (!child?.pid || child.exitCode !== null || child.signalCode !== null) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}
