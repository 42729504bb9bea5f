/** What each part counts and shows of NATS. */
import { Counter, Gauge, type Registry } from '../runtime/metrics.ts';
import type { HearingOptions } from './hearing.ts';
import type { NatsLink } from './nats.ts';

/**
 * For who hears pods and proxies. Counts their messages that were dropped: an operator sees that somebody speaks as another.
 */
export function createBusMetrics(
  registry: Registry,
  link: Pick<NatsLink, 'isUnauthenticated'>,
): HearingOptions['onDropped'] {
  registerUnauthenticated(registry, link);
  const dropped = new Counter({
    name: 'slimfaas_bus_messages_dropped_total',
    help: 'NATS messages that were not understood, or came from a pod that spoke as another',
    labelNames: ['kind'] as const,
    registers: [registry],
  });
  return (kind) => dropped.inc({ kind });
}

/** Shows that NATS asks nobody who one is, so that whoever reaches it can read and write everything. */
export function registerUnauthenticated(registry: Registry, link: Pick<NatsLink, 'isUnauthenticated'>): void {
  new Gauge({
    name: 'slimfaas_nats_unauthenticated',
    help: 'Whether the NATS server of this connection asks nobody who one is: 1; 0 where it asks, and while there is none',
    registers: [registry],
    collect() {
      this.set(link.isUnauthenticated ? 1 : 0);
    },
  });
}
