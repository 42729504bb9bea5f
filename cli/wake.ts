/** `slimfaas wake <function>`: asks the proxy to wake it; returns when the wake is on its way. */
import { flagValues, type Parsed } from './flag-options.ts';
import { proxyUrlFlags } from './people-flags.ts';
import { askProxy, failureText } from './proxy-client.ts';

export async function runWake(argv: Parsed): Promise<void> {
  const flags = flagValues(proxyUrlFlags, argv);
  const name = String(argv['function']);
  const response = await askProxy(flags['proxy-url'], `/wake-function/${encodeURIComponent(name)}`, {
    method: 'POST',
  });
  if (!response.ok) throw new Error(await failureText(response));
  console.log(`${name}: waking`);
}
