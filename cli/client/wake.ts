/** `slimfaas wake <function>`: asks the proxy to wake it; returns when the wake is on its way. */
import { flagValues, type Parsed } from '../parts/flag-options.ts';
import { PARTS } from './door.ts';
import { openDoor } from './open-door.ts';
import { functionName } from './function-name.ts';
import { functionFlags } from '../people-flags.ts';
import { failureText } from './proxy-client.ts';

export async function runWake(argv: Parsed): Promise<void> {
  const flags = flagValues(functionFlags, argv);
  const name = functionName(argv, flags.namespace);
  const proxy = await openDoor(PARTS.proxy, flags['proxy-url'], flags);
  const response = await proxy.fetch(`/wake-function/${encodeURIComponent(name)}`, { method: 'POST' });
  if (!response.ok) throw new Error(await failureText(response));
  console.log(`${name}: waking`);
}
