/** Names of consumers: one for each function's jobs, and one for each pod that reads its function's events. */
import { escapeToken, unescapeToken, type FunctionId } from '../../bus/subjects.ts';

/**
 * The durable consumer of a function: `shop__cart_2Ev2`. No dots, and no `%` either: nats-server 2.9 puts the
 * name into a format string when it makes the ack subject. Kubernetes names hold no underscore, so two
 * functions never share one.
 */
export function consumerName(id: FunctionId): string {
  return `${escapeToken(id.namespace)}__${escapeToken(id.name)}`.replaceAll('%', '_');
}

/** The consumer with which one pod reads its function's events; see {@link consumerName} for its letters. */
export function eventConsumerName(namespace: string, pod: string): string {
  return `${escapeToken(namespace)}__${escapeToken(pod)}`.replaceAll('%', '_');
}

/** The pod whose consumer that is; undefined for a name that {@link eventConsumerName} cannot have made. */
export function podOfEventConsumer(consumer: string, namespace: string): string | undefined {
  const prefix = eventConsumerName(namespace, '');
  if (!consumer.startsWith(prefix)) return undefined;
  return unescapeToken(consumer.slice(prefix.length).replaceAll('_', '%')) || undefined;
}
