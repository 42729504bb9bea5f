/** `npm run docs`: writes the pages that the code knows. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { busPage } from './render-bus.ts';
import { flagsPage } from './render-flags.ts';
import { metricsPage } from './render-metrics.ts';
import { withRooms } from './rooms.ts';

await writeFile(join(import.meta.dirname, 'reference/bus.md'), busPage());
await writeFile(join(import.meta.dirname, 'reference/flags.md'), flagsPage());
await writeFile(join(import.meta.dirname, 'reference/metrics.md'), await metricsPage());

const architecture = join(import.meta.dirname, 'internals/architecture.md');
await writeFile(architecture, withRooms(await readFile(architecture, 'utf8')));
