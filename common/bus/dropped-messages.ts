/** Counts the messages of pods and proxies that were dropped: an operator sees that somebody speaks as another. */
import { Counter, type Registry } from '../runtime/metrics.ts';
import type { HearingOptions } from './hearing.ts';

export function createDroppedMessages(registry: Registry): HearingOptions['onDropped'] {
  const dropped = new Counter({
    name: 'slimfaas_bus_messages_dropped_total',
    help: 'NATS messages that were not understood, or came from a pod that spoke as another',
    labelNames: ['kind'] as const,
    registers: [registry],
  });
  return (kind) => dropped.inc({ kind });
}
