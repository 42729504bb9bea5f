/**
 * What every entry does. The sidecar is dispatched before anything else is loaded: it starts with every pod of
 * every function, and yargs alone would cost it more than 100 ms.
 */
import type { AddCommands } from './commands.ts';

/**
 * Runs one command line.
 * @param loadMore loads commands that not every build has
 */
export async function run(args: readonly string[], loadMore?: () => Promise<AddCommands>): Promise<void> {
  if (args[0] === 'sidecar' && !args.includes('--help')) {
    const { sidecar } = await import('./sidecar.ts');
    return sidecar(args.slice(1));
  }
  const { setV8Flags } = await import('./parts/v8-flags.ts');
  setV8Flags();
  const { reportingErrors } = await import('./errors.ts');
  await reportingErrors(async () => {
    const { runCommand } = await import('./commands.ts');
    await runCommand(args, await loadMore?.());
  });
}
