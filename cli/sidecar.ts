/**
 * The sidecar's bundle begins here. It is built by itself (cli/build.ts): it starts with every pod of every function,
 * and in fewer and larger files it needs 13 ms less of CPU and time. So it shares no class with the rest of the
 * command line, and reports its own errors.
 */
import { runSidecar } from './parts/sidecar.ts';
import { reportingErrors } from './errors.ts';

/** @param args what follows `slimfaas sidecar` */
export async function sidecar(args: readonly string[]): Promise<void> {
  await reportingErrors(() => runSidecar(args));
}
