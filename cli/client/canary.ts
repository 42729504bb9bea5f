/**
 * `slimfaas canary`: lists canaries and their functions. The numbers are sums over all proxies. They
 * are of the window that was judged last and of the calls since then.
 */
import { describeError } from '../../common/runtime/errors.ts';
import { flagValues, type Parsed } from '../parts/flag-options.ts';
import { canaryFlags } from '../people-flags.ts';
import { PARTS } from '../reach/door.ts';
import { openDoor } from '../reach/open-door.ts';
import { failureText } from './proxy-client.ts';
import { askScaler } from './scaler-client.ts';
import { table } from './table.ts';

interface PartNumbers {
  readonly calls: number;
  readonly errorPercent: number;
  readonly p95Ms?: number;
}

/** What `GET /functions` of the scaler says of a canary. */
export interface ShownCanary {
  readonly namespace: string;
  readonly name: string;
  readonly canary: {
    readonly of: string;
    readonly weight: number;
    readonly canary: PartNumbers;
    readonly stable: PartNumbers;
    readonly ended?: { readonly at: string; readonly why: string; readonly isPromoted: boolean };
  };
}

export async function runCanaries(argv: Parsed): Promise<void> {
  const flags = flagValues(canaryFlags, argv);
  const scaler = await openDoor(PARTS.scaler, flags['scaler-url'], flags);
  const query = flags.namespace === '' ? '' : `?namespace=${encodeURIComponent(flags.namespace)}`;
  const response = await askScaler(scaler, `/functions${query}`);
  if (!response.ok) throw new Error(`canaries are not shown: ${await failureText(response)}`);
  const canaries = readCanaries(await response.text());
  console.log(flags.json ? JSON.stringify(canaries, undefined, 2) : canaryTable(canaries));
}

function readCanaries(text: string): ShownCanary[] {
  try {
    return (JSON.parse(text) as Partial<ShownCanary>[]).filter((each): each is ShownCanary =>
      Boolean(each.canary),
    );
  } catch (cause) {
    throw new Error(`the scaler’s answer is not JSON: ${describeError(cause)}`, { cause });
  }
}

/** A line for each part of each split, under a heading. */
export function canaryTable(canaries: readonly ShownCanary[]): string {
  if (canaries.length === 0) return 'no canaries';
  const rows = canaries.flatMap(({ namespace, name, canary: { of, weight, canary, stable, ended } }) => [
    [namespace, of, name, `${ended ? 0 : weight} %`, ...numbers(canary), stateOf(weight, ended)],
    [namespace, of, of, '', ...numbers(stable), ''],
  ]);
  const heading = ['NAMESPACE', 'FUNCTION', 'PART', 'WEIGHT', 'CALLS', 'ERRORS', 'P95', 'STATE'];
  return table([heading, ...rows]);
}

function numbers({ calls, errorPercent, p95Ms }: PartNumbers): string[] {
  const errors = calls === 0 ? '' : `${Math.round(errorPercent * 10) / 10} %`;
  return [String(calls), errors, p95Ms === undefined ? '' : `${Math.round(p95Ms)} ms`];
}

function stateOf(weight: number, ended: ShownCanary['canary']['ended']): string {
  if (!ended) return weight === 0 ? 'off' : 'takes its part';
  const at = ended.at === '' ? '' : ` at ${ended.at}`;
  return ended.isPromoted ? `promoted${at}` : `rolled back${at}: ${ended.why}`;
}
