/** Questions to the queue on behalf of a caller: when the queue is away the answer is 503 and not 500. */
import { ReasonError } from '../../common/runtime/errors.ts';
import { QueueError, type Queue, type QueueLink } from '../../common/queue/queue.ts';

const RETRY_AFTER_SECONDS = 2;

/** @throws ReasonError `queue-unavailable` when NATS is away, JetStream does not answer, or refuses */
export async function askQueue<T>(
  { live }: Pick<QueueLink, 'live'>,
  ask: (queue: Queue) => Promise<T>,
): Promise<T> {
  if (!live) throw unavailable('NATS is not connected; try again');
  try {
    return await ask(live);
  } catch (error) {
    if (!(error instanceof QueueError)) throw error;
    throw unavailable(`JetStream did not answer (${error.message}); try again`, error);
  }
}

function unavailable(message: string, cause?: unknown): ReasonError {
  return new ReasonError('queue-unavailable', message, { cause, retryAfterSeconds: RETRY_AFTER_SECONDS });
}
