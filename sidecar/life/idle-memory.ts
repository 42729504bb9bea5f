/**
 * Gives memory back when a pod has become idle. After a burst V8 keeps its young generation grown and Node's
 * garbage in place until the next calls come, which may be in an hour. One full collection returns it: 100 MiB
 * resident became 84 after 20,000 calls (docs/decisions/sidecar-weight.md).
 *
 * The collection stops the process for 15 to 50 ms. V8 compiles again what comes next, so the first 20,000 calls
 * after it cost 0.4 s of CPU more. So it runs only when nothing runs or waits, nothing has happened for 30 to 60 s,
 * and at least {@link WORTH_CALLS} calls have left something to collect.
 */
import { setFlagsFromString } from 'node:v8';
import { dropFreeReadBuffers } from '../../common/relay/target/read-buffers.ts';
import type { Log } from '../../common/runtime/log.ts';

const ROUND_MS = 30_000;
/** Below it a collection frees less than 2 MiB. */
const WORTH_CALLS = 1_000;

export interface IdleMemoryOptions {
  /** True while anything runs, waits or holds a connection open. */
  readonly isBusy: () => boolean;
  /** Calls and jobs that have ended since the start. */
  readonly ended: () => number;
  /** @returns when the memory has been given back */
  readonly collect?: () => void | Promise<void>;
  readonly log: Log;
}

/** @returns stops it */
export function giveMemoryBackWhenIdle(options: IdleMemoryOptions): () => void {
  const { isBusy, ended, collect = collectGarbage, log } = options;
  let atLastRound = 0;
  let atLastCollection = 0;
  const timer = setInterval(() => {
    const now = ended();
    const isQuiet = now === atLastRound && !isBusy();
    atLastRound = now;
    if (!isQuiet || now - atLastCollection < WORTH_CALLS) return;
    atLastCollection = now;
    void Promise.resolve(collect()).catch((error: unknown) =>
      log.warn({ error: String(error) }, 'memory was not given back'),
    );
  }, ROUND_MS);
  timer.unref();
  return () => clearInterval(timer);
}

/** V8 has no public call for it, only the function that `--expose-gc` puts into contexts made after it. */
async function collectGarbage(): Promise<void> {
  dropFreeReadBuffers();
  const { runInNewContext } = await import('node:vm');
  setFlagsFromString('--expose-gc');
  const gc = runInNewContext('gc') as (options: object) => void;
  setFlagsFromString('--no-expose-gc');
  gc({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}
