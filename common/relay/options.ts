/** What a relay may be told: bounds of its connections and how their sockets are made. */
import type { Transport } from './target/transport.ts';

export interface RelayOptions {
  /** Connections to one target, busy and idle; more exchanges wait their turn. Default 4096. */
  readonly maxConnections?: number;
  /** Idle connections kept a target. Default 256. */
  readonly maxIdle?: number;
  /** A connection idle for so long is closed. Default 30,000. `Keep-Alive: timeout` of the upstream shortens it. */
  readonly idleMs?: number;
  /** Largest answer head, and largest trailer section. Default 65,536. */
  readonly maxHeadBytes?: number;
  /** Default: plain TCP. */
  readonly transport?: Transport;
}
