/**
 * `npm run test:cluster [-- PATTERN]`: the tests of this folder against the cluster that kubectl points at, one file
 * after the other in the order of their names; what a file does at the same time it says itself. Whatever happens,
 * what the run has made is taken away; `-- --clean` does that for runs that were killed.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { buildApps } from './harness/build-apps.ts';
import { createClients, mustRun } from './harness/clients.ts';
import { openApi } from './harness/kubectl-proxy.ts';
import { removeRuns } from './harness/release.ts';
import { readSettings, type RunContext } from './harness/settings.ts';

const FOLDER = import.meta.dirname;
const FILE_TIMEOUT_MS = 600_000;

interface Outcome {
  readonly code: number;
  /** Files with a case that failed. */
  readonly failed: readonly string[];
}

/** @param pattern part of a file's name, or else a pattern of cases' names */
async function chosen(pattern: string | undefined): Promise<{ files: string[]; flags: string[] }> {
  const all = (await readdir(FOLDER)).filter((name) => name.endsWith('.test.ts')).toSorted();
  const named = all.filter((name) => pattern === undefined || basename(name).includes(pattern));
  const files = (named.length > 0 ? named : all).map((name) => join(FOLDER, name));
  return { files, flags: named.length > 0 || !pattern ? [] : [`--test-name-pattern=${pattern}`] };
}

/**
 * A cluster is shared with others, and a machine of two cores is slow now and then. With CLUSTER_REPEATS=2 the files of
 * which a case failed run once more, and those that failed again a third time. The run fails if a file never passes. All
 * tables are printed.
 */
async function runAll(context: RunContext, pattern: string | undefined): Promise<number> {
  const { files, flags } = await chosen(pattern);
  let { code, failed } = await runFiles(context, files, flags);
  for (let left = context.settings.repeats; left > 0 && code !== 0 && failed.length > 0; left -= 1) {
    console.log(`\nFAILED, run once more: ${failed.map((file) => basename(file)).join(', ')}\n`);
    ({ code, failed } = await runFiles(context, failed, flags));
  }
  return code;
}

async function runFiles(
  context: RunContext,
  files: readonly string[],
  flags: readonly string[],
): Promise<Outcome> {
  const table = join(context.folder, 'table.md');
  const reporters = [
    '--test-reporter=spec',
    '--test-reporter-destination=stdout',
    `--test-reporter=${join(FOLDER, 'harness/table.ts')}`,
    `--test-reporter-destination=${table}`,
  ];
  const limits = ['--test-concurrency=1', `--test-timeout=${FILE_TIMEOUT_MS}`];
  const env = { ...process.env, CLUSTER_RUN_CONTEXT: JSON.stringify(context) };
  const child = spawn(process.execPath, ['--test', ...limits, ...reporters, ...flags, ...files], {
    stdio: 'inherit',
    env,
  });
  const code = await new Promise<number>((resolve) => child.once('exit', (status) => resolve(status ?? 1)));
  const text = await readFile(table, 'utf8');
  console.log(`\n${text}`);
  const isFailed = (file: string): boolean =>
    text
      .split('\n')
      .some((row) => row.startsWith(`| ${basename(file, '.test.ts')} |`) && row.includes('| FAILED |'));
  return { code, failed: files.filter(isFailed) };
}

async function main(): Promise<number> {
  const settings = readSettings();
  const pattern = process.argv[2];
  // Ctrl-C reaches the test files by themselves; here it only must not cut the cleaning short.
  process.on('SIGINT', () => undefined);
  process.on('SIGTERM', () => undefined);
  const folder = await mkdtemp(join(tmpdir(), 'slimfaas-cluster-'));
  await using api = await openApi(settings.kubectl);
  const clients = createClients(settings, api.url);
  try {
    if (pattern === '--clean') {
      await removeRuns(clients);
      return 0;
    }
    console.log(`cluster tests: ${await mustRun(settings.kubectl, ['version'])}`);
    console.log(`image ${settings.image}, namespaces ${settings.prefix}…\n`);
    await buildApps(join(folder, 'apps'));
    return await runAll({ settings, apiUrl: api.url, folder }, pattern);
  } finally {
    if (!settings.isKept) await removeRuns(clients, settings.prefix);
    await rm(folder, { recursive: true, force: true });
  }
}

process.exitCode = await main();
