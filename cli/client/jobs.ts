/** `slimfaas jobs show|cancel`: one job, by the id that its acceptance answered with. */
import { flagValues, type Parsed } from '../parts/flag-options.ts';
import { PARTS } from '../reach/door.ts';
import { openDoor } from '../reach/open-door.ts';
import { functionName } from './function-name.ts';
import { functionFlags, jobShowFlags } from '../people-flags.ts';
import { failureText } from './proxy-client.ts';

/** Prints the job as the proxy describes it; a result's body that is text is shown as text. */
export async function showJob(argv: Parsed): Promise<void> {
  const flags = flagValues(jobShowFlags, argv);
  const headers: Record<string, string> = flags.wait > 0 ? { Prefer: `wait=${flags.wait}` } : {};
  const proxy = await openDoor(PARTS.proxy, flags['proxy-url'], flags);
  const response = await proxy.fetch(pathOf(argv, flags.namespace), { headers });
  if (!response.ok) throw new Error(await failureText(response));
  console.log(JSON.stringify(readable((await response.json()) as object), undefined, 2));
}

export async function cancelJob(argv: Parsed): Promise<void> {
  const flags = flagValues(functionFlags, argv);
  const proxy = await openDoor(PARTS.proxy, flags['proxy-url'], flags);
  const response = await proxy.fetch(pathOf(argv, flags.namespace), { method: 'DELETE' });
  if (!response.ok) throw new Error(await failureText(response));
  console.log(`${String(argv['id'])}: cancelled`);
}

function pathOf(argv: Parsed, namespace: string): string {
  const [fn, id] = [functionName(argv, namespace), String(argv['id'])];
  return `/async-function-job/${encodeURIComponent(fn)}/${encodeURIComponent(id)}`;
}

/** A person reads text; what is no UTF-8 stays base64. */
function readable(value: object): object {
  const { result } = value as { result?: { body: string } };
  return result ? { ...value, result: withText(result) } : value;
}

export function withText<T extends { body?: string }>(value: T): object {
  if (value.body === undefined) return value;
  const bytes = Buffer.from(value.body, 'base64');
  const text = bytes.toString();
  if (!Buffer.from(text).equals(bytes)) return value;
  const { body: _, ...rest } = value;
  return { ...rest, text };
}
