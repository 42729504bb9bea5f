/**
 * What every entry does. The sidecar is dispatched before anything else is loaded: it starts with every pod of
 * every function, and yargs alone would cost it more than 100 ms.
 */
import { describeError, UsageError } from '../common/runtime/errors.ts';
import type { AddCommands } from './commands.ts';

/**
 * Runs one command line. An error goes to stderr; the exit code is 2 for a wrong command line, else 1.
 * @param loadMore loads commands that not every build has
 */
export async function run(args: readonly string[], loadMore?: () => Promise<AddCommands>): Promise<void> {
  try {
    if (args[0] === 'sidecar' && !args.includes('--help')) {
      const { runSidecar } = await import('./parts/sidecar.ts');
      await runSidecar(args.slice(1));
    } else {
      const { runCommand } = await import('./commands.ts');
      await runCommand(args, await loadMore?.());
    }
  } catch (error) {
    process.stderr.write(`slimfaas: ${describeError(error)}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
