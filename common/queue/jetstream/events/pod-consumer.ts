/**
 * The consumer with which one pod reads the events of its function. The scalers make it when the pod's sidecar asks,
 * and remove it when the pod is gone. It gives up nothing that waits: while the sidecar is away it keeps its place.
 */
import { AckPolicy, DeliverPolicy, nanos, ReplayPolicy } from '../../../bus/nats-library.ts';
import { EVENTS_STREAM } from '../streams.ts';
import { everyEventOf } from '../../../bus/subjects.ts';
import { absentIf, CONSUMER_NOT_FOUND, type ConsumerConfig, type JetStreamManager } from '../library.ts';
import { QueueError, type PodReader } from '../../queue.ts';
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

/**
 * Makes it if it is not there.
 * @param ttlMs of events; undefined: the server is asked
 * @throws NatsError, also while there is no stream of events yet
 * @throws QueueError `refused` where a pod of that name reads the events of another function
 */
export async function ensurePodConsumer(
  jsm: JetStreamManager,
  reader: PodReader,
  ttlMs?: number,
): Promise<void> {
  const name = eventConsumerName(reader.id.namespace, reader.pod);
  const info = await podConsumer(jsm, name);
  const own = everyEventOf(reader.id);
  if (info && info.config.filter_subject !== own)
    throw new QueueError(
      'refused',
      `consumer ${name} reads ${info.config.filter_subject ?? 'everything'}, not ${own}`,
    );
  if (info) return;
  const maxAge = ttlMs === undefined ? await maxAgeOf(jsm) : nanos(ttlMs);
  await jsm.consumers.add(EVENTS_STREAM, podConsumerConfig(reader, maxAge));
}

async function maxAgeOf(jsm: JetStreamManager): Promise<number> {
  return (await jsm.streams.info(EVENTS_STREAM)).config.max_age;
}

/** Undefined: it is not there. @throws NatsError */
export async function podConsumer(jsm: JetStreamManager, name: string) {
  return jsm.consumers.info(EVENTS_STREAM, name).catch(absentIf(CONSUMER_NOT_FOUND));
}
