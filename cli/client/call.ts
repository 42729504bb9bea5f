/** `slimfaas call <function> [path]`: one synchronous call through the proxy, answer on stdout; and `slimfaas wake`. */
import { flagValues, type Parsed } from '../parts/flag-options.ts';
import { callFlags, functionFlags } from '../people-flags.ts';
import { PARTS } from '../reach/door.ts';
import { openDoor } from '../reach/open-door.ts';
import { functionName } from './function-name.ts';
import { failureText } from './proxy-client.ts';

/** Exit code 0 for an answer below 400, 1 otherwise: usable in a script. */
export async function runCall(argv: Parsed): Promise<void> {
  const flags = flagValues(callFlags, argv);
  const path = `/${String(argv['path'] ?? '').replace(/^\//, '')}`;
  const hasBody = flags.data !== '';
  const name = functionName(argv, flags.namespace);
  const proxy = await openDoor(PARTS.proxy, flags['proxy-url'], flags);
  const response = await proxy.fetch(`/function/${encodeURIComponent(name)}${path}`, {
    method: hasBody && argv['method'] === undefined ? 'POST' : flags.method,
    ...(hasBody ? { body: flags.data } : {}),
  });
  if (flags.include) {
    console.log(`${response.status} ${response.statusText}`);
    for (const [name, value] of response.headers) console.log(`${name}: ${value}`);
    console.log();
  }
  if (response.body) for await (const chunk of response.body) process.stdout.write(chunk);
  if (response.status >= 400) process.exitCode = 1;
}

/** Asks the proxy to wake a function; returns when the wake is on its way. */
export async function runWake(argv: Parsed): Promise<void> {
  const flags = flagValues(functionFlags, argv);
  const name = functionName(argv, flags.namespace);
  const proxy = await openDoor(PARTS.proxy, flags['proxy-url'], flags);
  const response = await proxy.fetch(`/wake-function/${encodeURIComponent(name)}`, { method: 'POST' });
  if (!response.ok) throw new Error(await failureText(response));
  console.log(`${name}: waking`);
}
