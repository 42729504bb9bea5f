/** The gauges of what the proxy holds at a time. */
import type { Server } from 'node:net';
import type { Registry } from '../common/runtime/metrics.ts';
import { registerGauges } from './metrics/proxy-gauges.ts';
import type { ProxyState } from './proxy-state.ts';
import type { Servers } from './servers.ts';
import type { StatusBoard } from './status/board.ts';
import type { StatusStream } from './status/stream.ts';

interface Accepting {
  readonly board: StatusBoard;
  readonly stream: StatusStream;
  /** The servers of all ports except that of the metrics. */
  readonly accepting: readonly Server[];
  readonly http2: Servers['http2'];
}

export function registerStateGauges(registry: Registry, state: ProxyState, serving: Accepting): void {
  const { accepting, http2, board, stream } = serving;
  registerGauges(registry, {
    *functions() {
      for (const { id, waiting, account } of state.table.all)
        yield { id, waiting, inFlight: account.inFlight };
    },
    connections: async () => {
      const counts = await Promise.all(accepting.map(connectionsOf));
      return counts.reduce((sum, count) => sum + count, 0);
    },
    earlyReady: () => state.endpoints.earlyCount,
    tokenBytes: () => state.gates.credentials.tokens?.bytes ?? 0,
    callerRates: () => state.gates.rates.size,
    placeLines: () => state.lines.open,
    waitingBytes: () => state.budget.bytes,
    relayConnections: () => state.relay.stats,
    slowClients: () => state.active.slowClients,
    status: () => ({ readers: stream.readers, bytes: board.heldBytes }),
    http2: () => ({
      connections: http2.sessions.size,
      running: http2.sessions.running,
      streams: http2.sessions.streams,
      errors: http2.errors,
    }),
  });
}

function connectionsOf(server: Server): Promise<number> {
  return new Promise((resolve) => server.getConnections((error, count) => resolve(error ? 0 : count)));
}
