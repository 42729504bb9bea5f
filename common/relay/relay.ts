/** The relay over HTTP/1.1: what both hops use, except for functions that ask for HTTP/2. */
import { RunningExchange } from './exchange/exchange.ts';
import { Pool, type PoolLimits } from './target/pool.ts';
import { TargetRelay } from './target/target-relay.ts';
import { TCP } from './target/transport.ts';
import type { Relay } from './types.ts';
import type { RelayOptions } from './options.ts';

const DEFAULTS = { maxConnections: 4_096, maxIdle: 256, idleMs: 30_000, maxHeadBytes: 65_536 };

/**
 * Owns the connections; one a process.
 * @throws RangeError for an option that is not a whole number of at least 1
 */
export function createRelay({ transport = TCP, ...options }: RelayOptions = {}): Relay {
  const limits: PoolLimits = { ...DEFAULTS, ...options, transport };
  for (const [name, value] of Object.entries({ ...DEFAULTS, ...options }))
    if (!Number.isSafeInteger(value) || value < 1)
      throw new RangeError(`relay: ${name} must be a whole number of at least 1, not ${value}`);
  return new TargetRelay({
    open: (target) => new Pool(target, limits),
    exchange: (request, pool, host, onDone) => new RunningExchange(request, pool, host, onDone),
  });
}
