/**
 * Moves what an ended or ending pod has not acknowledged to the queue of its function. JetStream knows best what that is, so it is
 * asked as the pod would have; what waits for a next try comes when that is due.
 */
import type { NatsConnection } from '../../../bus/nats.ts';
import type { EventReader, MoveOptions } from '../../upkeep.ts';
import { AckedPublisher } from '../acked-publisher.ts';
import type { JetStreamManager } from '../library.ts';
import { eventConsumerName } from '../names.ts';
import { podConsumer } from './pod-consumer.ts';
import { EVENTS_STREAM } from '../streams.ts';
import { eventToQueue } from '../to-queue.ts';

/** What is there comes at once; what waits for a next try costs this each round. */
const EVENTS_FETCH_MS = 1_000;

export async function moveEvents(
  connection: NatsConnection,
  jsm: JetStreamManager,
  { id, pod }: Pick<EventReader, 'id' | 'pod'>,
  { most, stays }: MoveOptions,
): Promise<number> {
  const name = eventConsumerName(id.namespace, pod);
  const info = await podConsumer(jsm, name);
  if (!info) return 0;
  let count = 0;
  const left = info.num_pending + info.num_ack_pending;
  if (left > 0) {
    const source = await connection.jetstream().consumers.get(EVENTS_STREAM, name);
    const messages = await source.fetch({ max_messages: Math.min(most, left), expires: EVENTS_FETCH_MS });
    for await (const message of messages) {
      await eventToQueue(AckedPublisher.of(connection), id, message);
      message.ack();
      count += 1;
    }
  }
  if (stays) return count;
  const after = await podConsumer(jsm, name);
  if (after?.num_pending === 0 && after.num_ack_pending === 0)
    await jsm.consumers.delete(EVENTS_STREAM, name);
  return count;
}
