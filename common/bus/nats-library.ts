/**
 * The one file that loads the NATS client. A sidecar imports it when it connects (nats.ts), and with its job consumer.
 * What it has for JetStream is for common/queue/jetstream alone.
 */
export {
  AckPolicy,
  connect,
  createInbox,
  DeliverPolicy,
  DiscardPolicy,
  ErrorCode,
  headers as natsHeaders,
  nanos,
  NatsError,
  ReplayPolicy,
  RetentionPolicy,
  StorageType,
} from 'nats';
