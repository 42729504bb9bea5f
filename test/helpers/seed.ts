/**
 * Loaded before every test file. In CI property tests draw from one seed, so that the gate judges a change by what
 * it changed and not by luck; everywhere else each run explores anew, and a failure prints its seed.
 */
import fc from 'fast-check';

if (process.env['CI']) fc.configureGlobal({ seed: 20_261_123 });
