/**
 * `slimfaas status [function]`: what `GET /status-functions` answers, as a table or as JSON. With a name it also asks
 * the scaler why: its last ten decisions and the numbers they came from. A scaler that cannot be reached costs one
 * line, not the rest.
 *
 * Room `cli/client`: Commands that read and change an installation.
 * Comes in: argv.
 * Goes out: text or JSON.
 */
import { describeError, UsageError } from '../../common/runtime/errors.ts';
import type { FlagValues } from '../../common/runtime/flags.ts';
import { PARTS, type Door } from '../reach/door.ts';
import { openDoor } from '../reach/open-door.ts';
import { functionName } from './function-name.ts';
import { flagValues, type Parsed } from '../parts/flag-options.ts';
import { statusFlags } from '../people-flags.ts';
import { failureText, type ShownFunction } from './proxy-client.ts';
import { askScaler, type ScalerView } from './scaler-client.ts';
import { table } from './table.ts';

export async function runStatus(argv: Parsed): Promise<void> {
  const flags = flagValues(statusFlags, argv);
  if (flags.restart && !flags.outdated) throw new UsageError('--restart goes with --outdated');
  if (flags.outdated) return (await import('./outdated.ts')).runOutdated(argv, flags);
  const isOne = typeof argv['function'] === 'string';
  const proxy = await openDoor(PARTS.proxy, flags['proxy-url'], flags);
  const functions = await functionsOf(proxy, argv, flags.namespace);
  const why = isOne && functions[0] ? await decisionsOf(functions[0], flags) : undefined;
  if (flags.json) {
    const shown = why ? functions.map((f) => ({ ...f, Scaler: why })) : functions;
    return console.log(JSON.stringify(shown, undefined, 2));
  }
  console.log(statusTable(functions));
  if (why) console.log(`\n${'error' in why ? why.error : decisionText(why)}`);
}

/** The one that is named, or all, of the namespace that is named. */
async function functionsOf(proxy: Door, argv: Parsed, namespace: string): Promise<ShownFunction[]> {
  const isOne = typeof argv['function'] === 'string';
  const path = isOne
    ? `/status-function/${encodeURIComponent(functionName(argv, namespace))}`
    : '/status-functions';
  const response = await proxy.fetch(path);
  if (!response.ok) throw new Error(await failureText(response));
  const all = [(await response.json()) as ShownFunction | ShownFunction[]].flat();
  return isOne || namespace === '' ? all : all.filter((each) => each.Namespace === namespace);
}

/** One line per function under a heading, columns padded to their widest cell. */
export function statusTable(functions: readonly ShownFunction[]): string {
  return table([
    ['NAMESPACE', 'NAME', 'READY', 'WANTED', 'KIND', 'VISIBILITY'],
    ...functions.map((f) => [
      f.Namespace ?? '',
      f.Name,
      String(f.NumberReady),
      String(f.NumberRequested),
      f.PodType,
      f.Visibility,
    ]),
  ]);
}

async function decisionsOf(
  { Namespace: namespace = 'default', Name: name }: ShownFunction,
  flags: FlagValues<typeof statusFlags>,
): Promise<ScalerView | { error: string }> {
  const path = `/functions/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}`;
  try {
    const scaler = await openDoor(PARTS.scaler, flags['scaler-url'], flags);
    const response = await askScaler(scaler, path);
    if (!response.ok) return { error: `decisions are not shown: ${await failureText(response)}` };
    return (await response.json()) as ScalerView;
  } catch (error) {
    if (error instanceof UsageError) throw error;
    // Only the first line: causes are for those who ask the scaler itself.
    return { error: `decisions are not shown: ${describeError(error).split('\n')[0]}` };
  }
}

/** Newest first, as one reads it; then what is wrong, if anything is. */
export function decisionText({ decisions, faults, troubles }: ScalerView): string {
  const rows = decisions.toReversed().map(({ at, from, to, kind, reason, numbers }) => {
    const { ready, running, waiting, jobs, idleForSeconds } = numbers;
    const counts = `${ready} ready, ${running} running, ${waiting} waiting, ${jobs} jobs, idle ${idleForSeconds} s`;
    return [at, from === to ? String(to) : `${from} → ${to}`, kind, reason, counts];
  });
  const wrong = [
    ...troubles.map(({ kind, message }) => `pods do not come up: ${kind}: ${message}`),
    ...faults.map((fault) => `fault: ${fault}`),
  ];
  const shown = rows.length > 0 ? table([['AT', 'REPLICAS', 'DECISION', 'WHY', 'FROM'], ...rows]) : '';
  return [shown || 'nothing decided yet', ...new Set(wrong)].join('\n');
}
