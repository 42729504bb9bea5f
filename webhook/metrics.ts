/** What the webhook counts: reviews by outcome, the time they took, and when its certificate ends. */
import { Counter, Gauge, Histogram, type Registry } from '../common/runtime/metrics.ts';

export type ConnectionLimit = 'review-connections' | 'exchange-connections';

export interface WebhookMetrics {
  review(outcome: string, seconds: number): void;
  certificateExpires(atMs: number): void;
  exchange(outcome: string): void;
  asksOnBus(isRequired: boolean): void;
  /** Whether what is mounted of an external NATS can be used. */
  readonly externalNats: (isUsable: boolean) => void;
  /** A connection was closed for another one. */
  limited(limit: ConnectionLimit): void;
}

export function createWebhookMetrics(registry: Registry): WebhookMetrics {
  const reviews = new Counter({
    name: 'slimfaas_webhook_reviews_total',
    help: 'Admission reviews answered, by what was decided',
    labelNames: ['outcome'],
    registers: [registry],
  });
  const seconds = new Histogram({
    name: 'slimfaas_webhook_review_seconds',
    help: 'Time to answer an admission review',
    // Pure computing on one pod: below a millisecond as a rule; 5 s is when the API server gives up.
    buckets: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1, 5],
    registers: [registry],
  });
  const expiry = new Gauge({
    name: 'slimfaas_webhook_certificate_expiry_timestamp_seconds',
    help: 'When the served certificate ends, in seconds since 1970',
    registers: [registry],
  });
  const exchanges = new Counter({
    name: 'slimfaas_issuer_exchanges_total',
    help: 'Tokens that pods have shown for an identity on NATS, by what came of it',
    labelNames: ['outcome'],
    registers: [registry],
  });
  const asks = new Gauge({
    name: 'slimfaas_webhook_identity_required',
    help: 'Whether NATS is to ask who one is: 1, or 0 where whoever reaches it can read and write all jobs',
    registers: [registry],
  });
  const external = new Gauge({
    name: 'slimfaas_issuer_nats_secret_usable',
    help: 'Whether the mounted signing key or credentials of an external NATS can be used: 1, or 0 where older ones count or none; -1 with the bundled NATS',
    registers: [registry],
  });
  external.set(-1);
  const limited = new Counter({
    name: 'slimfaas_webhook_limited_total',
    help: 'Connections that were closed or refused because there were too many, by the port',
    labelNames: ['limit'],
    registers: [registry],
  });
  return {
    limited: (limit) => limited.inc({ limit }),
    review(outcome, elapsed) {
      reviews.inc({ outcome });
      seconds.observe(elapsed);
    },
    asksOnBus: (isRequired) => asks.set(isRequired ? 1 : 0),
    externalNats: (isUsable) => external.set(isUsable ? 1 : 0),
    exchange: (outcome) => exchanges.inc({ outcome }),
    certificateExpires: (atMs) => expiry.set(atMs / 1_000),
  };
}
