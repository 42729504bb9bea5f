/** How an entry of the command line ends when something throws. */
import { describeError, UsageError } from '../common/runtime/errors.ts';

/** An error goes to stderr; the exit code is 2 for a wrong command line, else 1. */
export async function reportingErrors(command: () => Promise<void>): Promise<void> {
  try {
    await command();
  } catch (error) {
    process.stderr.write(`slimfaas: ${describeError(error)}\n`);
    process.exitCode = error instanceof UsageError ? 2 : 1;
  }
}
