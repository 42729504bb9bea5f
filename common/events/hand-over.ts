/**
 * What a pod could not finish before its end goes to its function's job queue, where another pod finds it, or the
 * next one if there is none. The payload of an event is a job's, so it is only stored a second time. The message id
 * is the event's place: of an event that several pods leave behind one job is made.
 */
import type { AckedPublisher } from '../jobs/acked-publisher.ts';
import { EVENTS_STREAM } from '../jobs/streams.ts';
import { getStored, type JetStreamManager } from '../nats.ts';
import { everyEventOf, functionSubject, type FunctionId } from '../subjects.ts';
import { podConsumer } from './pod-consumer.ts';

export interface HandOver {
  readonly id: FunctionId;
  /** The pod's consumer, removed when everything is handed over. */
  readonly consumer: string;
  /** Knows what of it the pod has finished; without it all behind its last gap counts as unfinished. */
  readonly isDone?: (payload: Uint8Array) => boolean;
  /** On abort the rest stays where it is, and the consumer with it. */
  readonly signal?: AbortSignal;
}

const CONFIRM_MS = 5_000;

/**
 * @returns how many events were handed over
 * @throws NatsError, or the reason for which the queue did not take one; the consumer is there still then
 */
export async function handOver(jetstream: JetStream, what: HandOver): Promise<number> {
  const { jsm } = jetstream;
  const info = await podConsumer(jsm, what.consumer);
  if (!info) return 0;
  const isEmpty = info.num_pending === 0 && info.num_ack_pending === 0;
  const floor = isEmpty ? info.delivered.stream_seq : info.ack_floor.stream_seq;
  const first = await walk(jetstream, what, floor + 1);
  if (what.signal?.aborted) return first.count;
  await jsm.consumers.delete(EVENTS_STREAM, what.consumer);
  // What was stored while the consumer was still there, and came too late for the walk.
  const last = await walk(jetstream, what, first.next);
  return first.count + last.count;
}

interface JetStream {
  readonly jsm: JetStreamManager;
  readonly publisher: AckedPublisher;
}

/** Hands over everything unfinished from a sequence on. @returns where it ended */
async function walk(
  { jsm, publisher }: JetStream,
  { id, isDone = () => false, signal }: HandOver,
  from: number,
): Promise<{ count: number; next: number }> {
  let count = 0;
  for (let next = from; ;) {
    const stored = await getStored(jsm, EVENTS_STREAM, { seq: next, next_by_subj: everyEventOf(id) });
    if (!stored || signal?.aborted) return { count, next };
    next = stored.seq + 1;
    if (isDone(stored.data)) continue;
    const messageId = `event-${EVENTS_STREAM}-${stored.seq}`;
    const subject = functionSubject('job', id);
    const outcome = await publisher.publish({ subject, payload: stored.data, messageId }, CONFIRM_MS);
    if (outcome.kind !== 'accepted') throw outcome.error;
    count += 1;
  }
}
