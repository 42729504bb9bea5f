/** `slimfaas status [function]`: what `GET /status-functions` says, as a table or as JSON. */
import { flagValues } from './flag-options.ts';
import { statusFlags } from './people-flags.ts';
import { askProxy, failureText, type FunctionStatus } from './proxy-client.ts';
import { table } from './table.ts';
import type { Parsed } from './commands.ts';

export async function runStatus(argv: Parsed): Promise<void> {
  const flags = flagValues(statusFlags, argv);
  const name = argv['function'];
  const path =
    typeof name === 'string' ? `/status-function/${encodeURIComponent(name)}` : '/status-functions';
  const response = await askProxy(flags['proxy-url'], path);
  if (!response.ok) throw new Error(await failureText(response));
  const body = (await response.json()) as FunctionStatus | FunctionStatus[];
  if (flags.json) return console.log(JSON.stringify(body, undefined, 2));
  console.log(statusTable([body].flat()));
}

/** One line a function under a heading, columns padded to their widest cell. */
export function statusTable(functions: readonly FunctionStatus[]): string {
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
