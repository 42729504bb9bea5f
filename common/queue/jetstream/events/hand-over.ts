/**
 * At the pod's end: what it has not finished goes to its function's queue, and its consumer goes away. It reads the
 * stream itself, because what waits for a next try is not delivered before its time. What is not done in time is left
 * to the scaler.
 */
import type { HandOver } from '../../queue.ts';
import { podConsumer } from './pod-consumer.ts';
import { eventToQueue } from '../to-queue.ts';
import type { AckedPublisher } from '../acked-publisher.ts';
import { EVENTS_STREAM } from '../streams.ts';
import { everyEventOf } from '../../../bus/subjects.ts';
import { getStored, type JetStreamManager } from '../library.ts';
import { eventConsumerName } from '../names.ts';

export interface HandOverDeps {
  readonly jsm: JetStreamManager;
  readonly publisher: AckedPublisher;
}

/**
 * @returns how many events were handed over
 * @throws NatsError, or the reason for which the queue did not take one; the consumer is there still then
 */
export async function handOver(deps: HandOverDeps, what: HandOver): Promise<number> {
  const { jsm } = deps;
  const consumer = eventConsumerName(what.id.namespace, what.pod);
  const info = await podConsumer(jsm, consumer);
  // Not made yet, although the pod was ready: events since its start may have been published for it.
  if (!info) return (await walk(deps, what, 1)).count;
  const isEmpty = info.num_pending === 0 && info.num_ack_pending === 0;
  const floor = isEmpty ? info.delivered.stream_seq : info.ack_floor.stream_seq;
  // Before its first ack the floor is 0, wherever the consumer has begun: its time tells.
  const sinceMs = Date.parse(info.config.opt_start_time ?? '') || what.sinceMs;
  const own = { ...what, sinceMs };
  const first = await walk(deps, own, floor + 1);
  if (what.signal.aborted) return first.count;
  await jsm.consumers.delete(EVENTS_STREAM, consumer);
  // What was stored while the consumer was still there, and came too late for the walk. Nobody else can find it now.
  const last = await walk(deps, { ...own, signal: NEVER }, first.next);
  return first.count + last.count;
}

const NEVER = new AbortController().signal;

/** Hands over everything unfinished from a sequence on. @returns where it ended */
async function walk(
  { jsm, publisher }: HandOverDeps,
  { id, isDone, signal, sinceMs }: HandOver,
  from: number,
): Promise<{ count: number; next: number }> {
  let count = 0;
  for (let next = from; ;) {
    const stored = await getStored(jsm, EVENTS_STREAM, { seq: next, next_by_subj: everyEventOf(id) });
    if (!stored || signal.aborted) return { count, next };
    next = stored.seq + 1;
    if (stored.time.getTime() < sinceMs || isDone(stored.data)) continue;
    await eventToQueue(publisher, id, stored);
    count += 1;
  }
}
