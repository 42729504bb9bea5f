/**
 * Runs one part as a process. It handles signals, logs a crash, and sets the exit code. A part gets everything else as
 * arguments.
 */
import { describeError, UsageError } from '../../common/runtime/errors.ts';
import type { Running } from '../../common/runtime/lifecycle.ts';
import type { Log } from '../../common/runtime/log.ts';

/**
 * Starts a part and stops it on SIGTERM or SIGINT; a second signal ends the process at once. An error that nobody
 * caught is a defect. It is logged and the process ends with 1, because a process in an unknown state is worse than
 * one that Kubernetes restarts.
 */
export async function runPart(log: Log, start: (signal: AbortSignal) => Promise<Running>): Promise<void> {
  const stopping = new AbortController();
  const stopped = onSignal(log, () => stopping.abort());
  process.on('uncaughtException', (error) => crash(log, error));
  process.on('unhandledRejection', (error) => crash(log, error));
  let part: Running;
  try {
    part = await start(stopping.signal);
  } catch (error) {
    if (error instanceof UsageError) {
      process.stderr.write(`slimfaas: ${error.message}\n`);
      process.exit(2);
    }
    log.error({ error: describeError(error) }, 'could not start');
    process.exit(error instanceof UsageError ? 2 : 1);
  }
  await stopped;
  await part.stop();
  log.info('stopped');
  process.exit(0);
}

function onSignal(log: Log, stop: () => void): Promise<void> {
  return new Promise((resolve) => {
    let isStopping = false;
    const handle = (signal: NodeJS.Signals) => {
      if (isStopping) process.exit(signal === 'SIGINT' ? 130 : 143);
      isStopping = true;
      log.info({ signal }, 'stopping');
      stop();
      resolve();
    };
    process.on('SIGTERM', handle);
    process.on('SIGINT', handle);
  });
}

function crash(log: Log, error: unknown): never {
  log.error(
    { error: describeError(error), stack: error instanceof Error ? error.stack : undefined },
    'crashed',
  );
  process.exit(1);
}
