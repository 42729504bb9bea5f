#!/usr/bin/env node
/**
 * The one executable. The sidecar is dispatched before anything else is loaded: it starts with every pod of
 * every function, and yargs alone would cost it more than 100 ms.
 */
import './v8-flags.ts';
import { describeError, UsageError } from '../common/errors.ts';

try {
  const args = process.argv.slice(2);
  if (args[0] === 'sidecar' && !args.includes('--help')) {
    const { runSidecar } = await import('./sidecar.ts');
    await runSidecar(args.slice(1));
  } else {
    const { runCommand } = await import('./commands.ts');
    await runCommand(args);
  }
} catch (error) {
  process.stderr.write(`slimfaas: ${describeError(error)}\n`);
  process.exitCode = error instanceof UsageError ? 2 : 1;
}
