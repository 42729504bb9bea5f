/** `slimfaas call <function> [path]`: one synchronous call through the proxy, answer on stdout. */
import { flagValues, type Parsed } from './flag-options.ts';
import { callFlags } from './people-flags.ts';
import { askProxy } from './proxy-client.ts';

/** Exit code 0 for an answer below 400, 1 otherwise: usable in a script. */
export async function runCall(argv: Parsed): Promise<void> {
  const flags = flagValues(callFlags, argv);
  const path = `/${String(argv['path'] ?? '').replace(/^\//, '')}`;
  const hasBody = flags.data !== '';
  const response = await askProxy(
    flags['proxy-url'],
    `/function/${encodeURIComponent(String(argv['function']))}${path}`,
    {
      method: hasBody && argv['method'] === undefined ? 'POST' : flags.method,
      ...(hasBody ? { body: flags.data } : {}),
    },
  );
  if (flags.include) {
    console.log(`${response.status} ${response.statusText}`);
    for (const [name, value] of response.headers) console.log(`${name}: ${value}`);
    console.log();
  }
  if (response.body) for await (const chunk of response.body) process.stdout.write(chunk);
  if (response.status >= 400) process.exitCode = 1;
}
