/**
 * Where a URL of somebody else leads. Its name is resolved once and each address is judged. The connection then goes to
 * the very address that was judged, so a second answer of the resolver has no effect.
 */
import { isIP, type LookupFunction } from 'node:net';
import { hostOf, type UrlAllow } from './allow.ts';
import type { Resolve } from './resolve.ts';

export interface Judges {
  readonly allow: UrlAllow;
  readonly resolve: Resolve;
}

/**
 * One address of an allowed URL. All of them must be allowed: a name that is half inside is not trusted at all.
 * @throws when the name does not resolve, or not in time
 */
export async function checkedAddress(
  url: URL,
  { allow, resolve }: Judges,
  signal: AbortSignal,
): Promise<{ address: string } | { why: string }> {
  const host = hostOf(url);
  const addresses = isIP(host) === 0 ? await inTime(resolve(host), signal) : [host];
  for (const address of addresses) {
    const verdict = allow.address(url, address);
    if (!verdict.isAllowed) return { why: verdict.why };
  }
  const [address] = addresses;
  if (address === undefined) throw new Error(`${host} has no address`);
  return { address };
}

function inTime<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true });
    promise.then(resolve, reject);
  });
}

/** The name stays in `Host` and in the TLS check; only where it leads is fixed. */
export function only(address: string): LookupFunction {
  const family = isIP(address);
  return (_host, options, done) => {
    if (options.all) done(null, [{ address, family }]);
    else done(null, address, family);
  };
}
