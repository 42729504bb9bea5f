/**
 * `slimfaas nats-reload`: runs beside the NATS server, in its pod. The kubelet puts new certificates and accounts into the
 * server's files, and tells nobody. A server reads them again at SIGHUP, and its connections to clients that it still
 * knows stay open.
 */
import { createHash } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describeError } from '../../common/runtime/errors.ts';
import type { FlagTable } from '../../common/runtime/flags.ts';
import { sleep, type Running } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';
import { flagValues, type Parsed } from './flag-options.ts';
import { createLog } from './pino-log.ts';
import { runPart } from './run-part.ts';

export const natsReloadFlags = {
  watch: { type: 'string', default: '/identity', group: 'Files', describe: 'folder of the files' },
  'pid-file': {
    type: 'string',
    default: '/run/slimfaas/nats.pid',
    group: 'Files',
    describe: '--pid of the server, which is in the same process namespace',
  },
  'check-seconds': {
    type: 'number',
    default: 5,
    min: 0.05,
    max: 3_600,
    group: 'Files',
    describe: 'how often the folder is read',
  },
} as const satisfies FlagTable;

export async function runNatsReload(argv: Parsed): Promise<void> {
  const flags = flagValues(natsReloadFlags, argv);
  const log = createLog('nats-reload', 'info', undefined);
  await runPart(log, async () =>
    startReloads({
      dir: flags.watch,
      pidFile: flags['pid-file'],
      checkMs: flags['check-seconds'] * 1_000,
      log,
    }),
  );
}

export interface ReloadOptions {
  readonly dir: string;
  readonly pidFile: string;
  readonly checkMs: number;
  readonly log: Log;
}

export function startReloads(options: ReloadOptions): Running {
  const stopping = new AbortController();
  const loop = follow(options, stopping.signal);
  return {
    async stop() {
      stopping.abort();
      await loop;
    },
  };
}

async function follow({ dir, pidFile, checkMs, log }: ReloadOptions, signal: AbortSignal): Promise<void> {
  // A digest. What a server has read by itself nobody knows, also of one that starts now; once more harms nothing.
  let told = '';
  while (!signal.aborted) {
    try {
      const found = await digestOf(dir);
      const pid = found === told ? undefined : await serverIn(pidFile);
      if (pid !== undefined) {
        process.kill(pid, 'SIGHUP');
        told = found;
        log.info({ pid }, 'the NATS server reads its files again');
      }
    } catch (error) {
      log.warn({ error: describeError(error) }, 'the NATS server cannot be told of its files; trying again');
    }
    await sleep(checkMs, signal);
  }
}

/** The kubelet's own entries begin with two dots. */
async function digestOf(dir: string): Promise<string> {
  const digest = createHash('sha256');
  for (const name of (await readdir(dir)).filter((each) => !each.startsWith('..')).toSorted())
    digest.update(`${name}\n`).update(await readFile(join(dir, name)));
  return digest.digest('hex');
}

/** @returns its pid; undefined while none runs: the file may be that of a server that has ended */
async function serverIn(pidFile: string): Promise<number | undefined> {
  const text = await readFile(pidFile, 'utf8').catch(() => '');
  const pid = /^\d+$/.test(text.trim()) ? Number(text) : 0;
  if (pid === 0) return undefined;
  const name = await readFile(`/proc/${pid}/comm`, 'utf8').catch(() => '');
  return name.trim() === 'nats-server' ? pid : undefined;
}
