/** `slimfaas query '<promql>'`: the value that a trigger with this query would get, and the series behind it. */
import { PARTS } from '../reach/door.ts';
import { openDoor } from '../reach/open-door.ts';
import { flagValues, type Parsed } from '../parts/flag-options.ts';
import { queryCommandFlags } from '../people-flags.ts';
import { failureText } from './proxy-client.ts';
import { askScaler } from './scaler-client.ts';
import { table } from './table.ts';

interface Series {
  readonly labels: Readonly<Record<string, string>>;
  readonly value?: string;
  readonly points?: readonly (readonly [seconds: number, value: string])[];
}

export interface QueryAnswer {
  readonly type: 'scalar' | 'string' | 'vector' | 'matrix';
  /** What a trigger gets; null: no data. */
  readonly number: number | null;
  readonly value?: string;
  readonly series?: readonly Series[];
}

export async function queryCommand(argv: Parsed): Promise<void> {
  const flags = flagValues(queryCommandFlags, argv);
  const query = String(argv['promql']);
  const time = /^\d+(\.\d+)?$/.test(flags.time) ? Number(flags.time) : flags.time;
  const asked = {
    query,
    ...(time === '' ? {} : { time }),
    ...(flags.function === '' ? {} : { function: flags.function }),
  };
  const body = JSON.stringify(asked);
  const scaler = await openDoor(PARTS.scaler, flags['scaler-url'], flags);
  const response = await askScaler(scaler, '/debug/promql/eval', { method: 'POST', body });
  if (!response.ok) throw new Error(await faultText(response, query));
  const answer = (await response.json()) as QueryAnswer;
  console.log(flags.json ? JSON.stringify(answer, undefined, 2) : answerText(answer));
}

/** An error with a place shows it under the query. */
async function faultText(response: Response, query: string): Promise<string> {
  const { position } = (await response
    .clone()
    .json()
    .catch(() => ({}))) as { position?: number };
  const message = await failureText(response);
  if (position === undefined || query.includes('\n')) return message;
  return `${message}\n  ${query}\n  ${' '.repeat(position - 1)}^`;
}

export function answerText({ type, number, value, series = [] }: QueryAnswer): string {
  if (type === 'scalar' || type === 'string') return value ?? '';
  if (series.length === 0) return 'no data';
  const rows = series.flatMap((one) => seriesRows(one));
  const heading = type === 'matrix' ? ['SERIES', 'TIME', 'VALUE'] : ['SERIES', 'VALUE'];
  const lines = table([heading, ...rows]);
  return type === 'matrix' ? lines : `${lines}\n\na trigger gets ${number ?? 'no data'}`;
}

function seriesRows({ labels, value, points }: Series): string[][] {
  const name = seriesName(labels);
  if (!points) return [[name, value ?? '']];
  return points.map(([seconds, at], i) => [i === 0 ? name : '', new Date(seconds * 1_000).toISOString(), at]);
}

/** `slimfaas_function_running_requests{function="fib"}`, as it is written in a query. */
function seriesName({ __name__: name = '', ...labels }: Readonly<Record<string, string>>): string {
  const pairs = Object.entries(labels).map(([key, value]) => `${key}=${JSON.stringify(value)}`);
  return `${name}{${pairs.join(', ')}}`;
}
