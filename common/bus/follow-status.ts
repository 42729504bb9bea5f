/**
 * What the client library tells about a connection: whether it is up, and what the server does not permit. A refusal is a
 * fault of ours, or of permissions.ts, and neither the library nor the server tells whoever asked. So it is logged: each
 * subject once for each connection, and so many of them at most.
 */
import type { Events, NatsConnection } from 'nats';
import type { Log } from '../runtime/log.ts';

/** Values of the library's `Events`, which an import would load. */
const DISCONNECTED = 'disconnect' as Events;
const RECONNECTED = 'reconnect' as Events;
const LOGGED_MAX = 50;

/** Ends with the connection. @param onConnected told of each change */
export async function followStatus(
  connection: NatsConnection,
  log: Log,
  onConnected: (isConnected: boolean) => void,
): Promise<void> {
  const logged = new Set<string>();
  for await (const { type, permissionContext: refusal } of connection.status()) {
    if (type === DISCONNECTED) onConnected(false);
    if (type === RECONNECTED) onConnected(true);
    const key = refusal && `${refusal.operation} ${refusal.subject}`;
    if (!refusal || !key || logged.has(key) || logged.size === LOGGED_MAX) continue;
    logged.add(key);
    log.warn({ operation: refusal.operation, subject: refusal.subject }, 'NATS does not permit it');
  }
}

/** The server takes and tells everything, whoever asks. False without a connection. */
export function asksNobody(connection: Pick<NatsConnection, 'info'> | undefined): boolean {
  return connection !== undefined && connection.info?.auth_required !== true;
}

interface WatchedLink {
  readonly isUnauthenticated: boolean;
  onStatus(listener: () => void): () => void;
}

/** Once, when it has connected to such a server. */
export function warnIfOpen(
  link: WatchedLink,
  { log, servers }: { readonly log: Log; readonly servers: string },
): void {
  const release = link.onStatus(() => {
    if (!link.isUnauthenticated) return;
    release();
    log.warn({ servers }, 'NATS asks nobody who one is: whoever reaches it can read and write all jobs');
  });
}
