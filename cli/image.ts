#!/usr/bin/env node
/** The executable of the image: every part and every command, without the local cluster. */
import { run } from './run.ts';

await run(process.argv.slice(2));
