/**
 * An event that its pod could not finish goes to its function's job queue, where another pod finds it, or the next one
 * if there is none. The payload of an event is a job's, so it is only stored a second time. The message id is the
 * event's secret and the function: of an event that several pods leave behind within JetStream's duplicate window one
 * job is made.
 */
import type { AckedPublisher } from './acked-publisher.ts';
import { decodeJob } from '../job.ts';
import { functionKey, functionSubject, type FunctionId } from '../../bus/subjects.ts';

const HAND_OVER_CONFIRM_MS = 5_000;

/** @throws the reason for which the queue did not take it; it is where it was then */
export async function eventToQueue(
  publisher: AckedPublisher,
  id: FunctionId,
  { seq, data }: { readonly seq: number; readonly data: Uint8Array },
): Promise<void> {
  const messageId = `event-${functionKey(id)}-${secretOf(data) ?? seq}`;
  const outcome = await publisher.publish(
    { subject: functionSubject('job', id), payload: data, messageId },
    HAND_OVER_CONFIRM_MS,
  );
  if (outcome.kind !== 'accepted') throw outcome.error;
}

function secretOf(data: Uint8Array): string | undefined {
  try {
    return decodeJob(data).head.secret;
  } catch {
    return undefined; // the queue sets it aside as what nobody can read
  }
}
