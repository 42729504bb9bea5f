/** Where servers listen. */
import type { ListenOptions } from 'node:net';

/** Every address of the machine, IPv6 and IPv4. */
export const EVERY_ADDRESS = '::';

/**
 * What `server.listen` takes. Node chooses when it is given no host: `::`, which takes IPv4 too, or 0.0.0.0 where the
 * kernel has no IPv6 and `::` would be an error.
 */
export function listenOn(host: string, port: number): ListenOptions {
  return host === EVERY_ADDRESS ? { port } : { host, port };
}
