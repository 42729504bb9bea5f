/** How the client library is told to connect, and to connect again. */
import type { ConnectionOptions } from 'nats';
import { withBrackets } from '../runtime/brackets.ts';
import { loginOptions, type NatsLogin } from './login.ts';

export const DIAL_MS = 1_500;
/** Between two tries to reach one server. */
const RECONNECT_WAIT_MS = 250;
const RECONNECT_JITTER_MS = 250;

/**
 * The longest time that a link whose connection broke needs once a server answers again. Each of its servers may be
 * dialled in vain before, and then it pauses.
 */
export function reconnectsWithinMs(servers: number): number {
  return servers * DIAL_MS + RECONNECT_WAIT_MS + RECONNECT_JITTER_MS;
}

interface DialTarget {
  readonly servers: string;
  readonly address?: string;
  readonly name: string;
  readonly inboxPrefix?: string | undefined;
  readonly login?: NatsLogin | undefined;
}

interface Dial {
  readonly timeoutMs: number;
  /** False: the server was found to have none. */
  readonly withTls: boolean;
}

/** @param servers in the order in which they are tried */
export function connectionOptions(
  place: DialTarget,
  servers: readonly string[],
  { timeoutMs, withTls }: Dial,
): ConnectionOptions {
  return {
    servers: servers.map(withBrackets),
    // Without a known address the order is random, so that clients are spread over the servers.
    noRandomize: place.address !== undefined && place.address !== '',
    // By the system's resolver, at each connect: it knows the pod's search domains, which the library's does not.
    resolve: false,
    name: place.name,
    maxReconnectAttempts: -1,
    reconnectTimeWait: RECONNECT_WAIT_MS,
    reconnectJitter: RECONNECT_JITTER_MS,
    pingInterval: 5_000,
    maxPingOut: 2,
    timeout: timeoutMs,
    ignoreClusterUpdates: true,
    // An Error made beforehand for each request, in case it fails: an eighth of a job's CPU in proxy and sidecar.
    noAsyncTraces: true,
    ...(place.inboxPrefix === undefined ? {} : { inboxPrefix: place.inboxPrefix }),
    ...loginOptions(place, withTls),
  };
}
