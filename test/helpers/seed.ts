/**
 * Loaded before every test file. In CI property tests draw from one seed, so that the gate judges a change by what
 * it changed and not by luck; everywhere else each run explores anew, and a failure prints its seed.
 */
import fc from 'fast-check';

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
