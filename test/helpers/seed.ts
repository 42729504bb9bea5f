/**
 * Loaded before every test file. In CI property tests draw from one seed, so that the gate judges a change by what
 * it changed and not by luck; everywhere else each run explores other values, and a failure prints its seed. It also chooses the
 * nats-server of the run.
 */
import { existsSync } from 'node:fs';
import { basename, dirname } from 'node:path';
import fc from 'fast-check';

/**
 * NATS_SERVER names the nats-server that tests run, as a file; without it the one on the PATH. Both the tests' own
 * servers and those of local clusters find it by the PATH, so its folder goes first there.
 */
const { NATS_SERVER } = process.env;
if (NATS_SERVER) {
  if (basename(NATS_SERVER) !== 'nats-server' || !existsSync(NATS_SERVER))
    throw new Error(`NATS_SERVER is ${NATS_SERVER}; it must be a file that is called nats-server`);
  process.env['PATH'] = `${dirname(NATS_SERVER)}:${process.env['PATH'] ?? ''}`;
}

if (process.env['CI']) fc.configureGlobal({ seed: 20_261_123 });

/**
 * When a test file is done and nothing is open any more, its process ends here, behind everybody else's last words. Node
 * 24's own tearing down came, once in some thousand ends, to wait for ever for a handle that had gone (in
 * `Environment::CleanupHandles`, with a full core), and the whole run with it. What a test leaves open still
 * keeps its process alive, and is found by that.
 */
process.once('beforeExit', () => {
  process.on('exit', (code) => {
    (process as unknown as { reallyExit(code: number | string): never }).reallyExit(process.exitCode ?? code);
  });
});
