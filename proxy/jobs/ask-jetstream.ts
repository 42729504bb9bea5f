/** Questions to JetStream on behalf of a caller: who cannot be answered for want of it is told so, with 503 and not 500. */
import { describeError, ReasonError } from '../../common/runtime/errors.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import { NatsError } from '../../common/bus/nats-library.ts';
import type { JetStreamManager } from '../../common/queue/jetstream/library.ts';

const RETRY_AFTER_SECONDS = 2;

/** @throws ReasonError `queue-unavailable` when NATS is away, JetStream does not answer, or refuses */
export async function askJetStream<T>(
  { connection }: Pick<NatsLink, 'connection'>,
  ask: (jsm: JetStreamManager) => Promise<T>,
): Promise<T> {
  if (!connection) throw unavailable('NATS is not connected; try again');
  try {
    return await ask(await connection.jetstreamManager({ checkAPI: false }));
  } catch (error) {
    if (!(error instanceof NatsError)) throw error;
    throw unavailable(`JetStream did not answer (${describeError(error)}); try again`, error);
  }
}

function unavailable(message: string, cause?: unknown): ReasonError {
  return new ReasonError('queue-unavailable', message, { cause, retryAfterSeconds: RETRY_AFTER_SECONDS });
}
