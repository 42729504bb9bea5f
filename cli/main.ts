#!/usr/bin/env node
/** The executable for people's machines: every part, every command, and the local cluster. */
import { run } from './run.ts';

await run(process.argv.slice(2), async () => (await import('./local.ts')).addLocalCommand);
