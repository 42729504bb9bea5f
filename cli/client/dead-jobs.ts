/** `slimfaas jobs dead list|show|replay|drop`: jobs that were given up, over the proxy's metrics port. */
import { UsageError } from '../../common/runtime/errors.ts';
import type { FlagValues } from '../../common/runtime/flags.ts';
import { flagValues, type Parsed } from '../parts/flag-options.ts';
import { withText } from './jobs.ts';
import { PARTS } from '../reach/door.ts';
import { openDoor } from '../reach/open-door.ts';
import { functionName } from './function-name.ts';
import { adminUrlFlags, deadListFlags } from '../people-flags.ts';
import { failureText } from './proxy-client.ts';
import { table } from './table.ts';

interface DeadJob {
  readonly seq: number;
  readonly namespace: string;
  readonly function: string;
  readonly diedAt: string;
  readonly why: string;
  readonly tries: readonly unknown[];
  readonly method?: string;
  readonly path?: string;
}

export async function listDead(argv: Parsed): Promise<void> {
  const flags = flagValues(deadListFlags, argv);
  const query = new URLSearchParams({ after: String(flags.after) });
  if (typeof argv['function'] === 'string') query.set('function', functionName(argv, flags.namespace));
  const response = await ask(flags, `/dead-jobs?${query}`);
  const jobs = (await response.json()) as DeadJob[];
  if (flags.json) return console.log(JSON.stringify(jobs, undefined, 2));
  console.log(deadTable(jobs));
}

export async function showDead(argv: Parsed): Promise<void> {
  const flags = flagValues(adminUrlFlags, argv);
  const response = await ask(flags, `/dead-jobs/${sequenceOf(argv)}`);
  console.log(JSON.stringify(withText((await response.json()) as DeadJob & { body?: string }), undefined, 2));
}

export async function replayDead(argv: Parsed): Promise<void> {
  const flags = flagValues(adminUrlFlags, argv);
  const response = await ask(flags, `/dead-jobs/${sequenceOf(argv)}/replay`, 'POST');
  const { id, function: fn } = (await response.json()) as { id: string; function: string };
  console.log(`${fn}: put back as ${id}`);
}

export async function dropDead(argv: Parsed): Promise<void> {
  const flags = flagValues(adminUrlFlags, argv);
  const seq = sequenceOf(argv);
  await ask(flags, `/dead-jobs/${seq}`, 'DELETE');
  console.log(`${seq}: dropped`);
}

function deadTable(jobs: readonly DeadJob[]): string {
  if (jobs.length === 0) return 'no dead jobs';
  const rows = jobs.map((job) => [
    String(job.seq),
    job.diedAt,
    `${job.namespace}/${job.function}`,
    `${job.method ?? '?'} ${job.path ?? ''}`.trim(),
    String(job.tries.length),
    job.why,
  ]);
  return table([['SEQ', 'DIED', 'FUNCTION', 'REQUEST', 'TRIES', 'WHY'], ...rows]);
}

async function ask(flags: FlagValues<typeof adminUrlFlags>, path: string, method = 'GET'): Promise<Response> {
  const admin = await openDoor(PARTS.admin, flags['admin-url'], flags);
  const response = await admin.fetch(path, { method });
  if (!response.ok) throw new Error(await failureText(response));
  return response;
}

function sequenceOf(argv: Parsed): number {
  const text = String(argv['seq']);
  if (/^[1-9]\d{0,14}$/.test(text)) return Number(text);
  throw new UsageError(
    `${JSON.stringify(text)} is not the number of a dead job; slimfaas jobs dead list shows them`,
  );
}
