/** `slimfaas local`: the cluster on this machine; its parts are this very executable, started as pods. */
import { fileURLToPath } from 'node:url';
import { UsageError } from '../common/errors.ts';
import { createLog } from '../common/pino-log.ts';
import { localFlags } from '../local/flags.ts';
import { startLocal } from '../local/start.ts';
import { flagValues, type Parsed } from './flag-options.ts';
import { runPart } from './run-part.ts';

export async function runLocal(argv: Parsed): Promise<void> {
  const config = flagValues(localFlags, argv);
  if (process.platform !== 'linux') {
    throw new UsageError(
      'the local cluster needs Linux: only there does every 127.x.y.z answer without set-up',
    );
  }
  const log = createLog('local', config['system-log'] ? config['log-level'] : 'warn', undefined);
  await runPart(log, (signal) =>
    startLocal(config, {
      entrypoint: [process.execPath, process.argv[1] as string],
      // Beside the sources and beside dist/ alike.
      manifestsDir: fileURLToPath(new URL('../manifests', import.meta.url)),
      log,
      print: (line) => console.log(line),
      signal,
    }),
  );
}
