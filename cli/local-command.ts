/** `slimfaas local` on the command line. The image has no such command: see cli/image.ts. */
import type { Argv } from 'yargs';
import { localFlags } from '../packages/local-cluster/flags.ts';
import { part } from './parts/part-command.ts';

export function addLocalCommand(parser: Argv): void {
  part(
    parser,
    'local',
    'everything on this machine: a local cluster, all parts, the demo',
    localFlags,
    async (argv) => (await import('./local.ts')).runLocal(argv),
  );
}
