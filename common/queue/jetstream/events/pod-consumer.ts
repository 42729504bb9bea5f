/**
 * The consumer with which one pod reads the events of its function. Its sidecar makes it, and removes it at the pod's
 * end. If the pod ended without that, the scaler removes it. It gives up nothing that waits: while the sidecar is
 * away it keeps its place.
 */
import { AckPolicy, DeliverPolicy, nanos, ReplayPolicy } from '../../../bus/nats-library.ts';
import { EVENTS_STREAM } from '../streams.ts';
import { everyEventOf } from '../../../bus/subjects.ts';
import { absentIf, CONSUMER_NOT_FOUND, type ConsumerConfig, type JetStreamManager } from '../library.ts';
import type { PodReader } from '../../queue.ts';
import { ACK_WAIT_MS } from '../../settings.ts';
import { eventConsumerName } from '../names.ts';

/** Events of one pod that run, or wait for their next try; more are not delivered to it meanwhile. */
const UNFINISHED_MAX = 1_000;

export function podConsumerConfig(
  { id, pod, sinceMs }: PodReader,
  streamMaxAgeNanos: number,
): Partial<ConsumerConfig> {
  return {
    durable_name: eventConsumerName(id.namespace, pod),
    filter_subject: everyEventOf(id),
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ACK_WAIT_MS),
    deliver_policy: DeliverPolicy.StartTime,
    opt_start_time: new Date(sinceMs).toISOString(),
    replay_policy: ReplayPolicy.Instant,
    // Tries are ours to count: the server also counts refusals and crashes.
    max_deliver: -1,
    max_ack_pending: UNFINISHED_MAX,
    // A reader that asked for nothing for so long has nothing left that has not expired.
    inactive_threshold: streamMaxAgeNanos,
  };
}

/** Makes it if it is not there. @throws NatsError, also while there is no stream of events yet */
export async function ensurePodConsumer(jsm: JetStreamManager, reader: PodReader): Promise<void> {
  const name = eventConsumerName(reader.id.namespace, reader.pod);
  if (await podConsumer(jsm, name)) return;
  const { config } = await jsm.streams.info(EVENTS_STREAM);
  await jsm.consumers.add(EVENTS_STREAM, podConsumerConfig(reader, config.max_age));
}

/** Undefined: it is not there. @throws NatsError */
export async function podConsumer(jsm: JetStreamManager, name: string) {
  return jsm.consumers.info(EVENTS_STREAM, name).catch(absentIf(CONSUMER_NOT_FOUND));
}
