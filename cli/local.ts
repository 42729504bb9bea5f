/**
 * `slimfaas local`: the cluster on this machine; its parts are this very executable, started as pods. The one file that
 * uses packages/local-cluster, which is loaded when the command runs. The image has no such command: see image.ts.
 */
import type { Argv } from 'yargs';
import { describeError, UsageError } from '../common/runtime/errors.ts';
import { localFlags } from '../packages/local-cluster/flags.ts';
import { flagValues, type Parsed } from './parts/flag-options.ts';
import { part } from './parts/part-command.ts';
import { noteRunningLocal } from './reach/running-local.ts';

export function addLocalCommand(parser: Argv): void {
  part(
    parser,
    'local',
    'everything on this machine: a local cluster, all parts, the demo',
    localFlags,
    runLocal,
  );
}

async function runLocal(argv: Parsed): Promise<void> {
  const config = flagValues(localFlags, argv);
  if (process.platform !== 'linux') {
    throw new UsageError(
      'the local cluster needs Linux: only there does every 127.x.y.z answer without set-up',
    );
  }
  const [{ startLocal }, { createLog }, { runPart }, { DEMO_SERVER, MANIFESTS }] = await Promise.all([
    import('../packages/local-cluster/start.ts'),
    import('./parts/pino-log.ts'),
    import('./parts/run-part.ts'),
    import('../manifests/folder.ts'),
  ]);
  const log = createLog('local', config['system-log'] ? config['log-level'] : 'warn', undefined);
  await runPart(log, async (signal) => {
    const cluster = await startLocal(config, {
      entrypoint: [process.execPath, process.argv[1] as string],
      manifestsDir: MANIFESTS,
      demoServer: DEMO_SERVER,
      log,
      print: (line) => console.log(line),
      signal,
    });
    const forget = await noteRunningLocal(cluster.kubeconfigPath).catch((error: unknown) => {
      log.warn({ error: describeError(error) }, 'commands will need KUBECONFIG: its path could not be noted');
      return async () => undefined;
    });
    return { stop: async () => void (await Promise.all([forget(), cluster.stop()])) };
  });
}
