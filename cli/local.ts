/** `slimfaas local`: the cluster on this machine; its parts are this very executable, started as pods. */
import { UsageError } from '../common/runtime/errors.ts';
import { createLog } from './parts/pino-log.ts';
import { localFlags } from '../packages/local-cluster/flags.ts';
import { startLocal } from '../packages/local-cluster/start.ts';
import { DEMO_SERVER, MANIFESTS } from '../manifests/folder.ts';
import { flagValues, type Parsed } from './parts/flag-options.ts';
import { runPart } from './parts/run-part.ts';

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
      manifestsDir: MANIFESTS,
      demoServer: DEMO_SERVER,
      log,
      print: (line) => console.log(line),
      signal,
    }),
  );
}
