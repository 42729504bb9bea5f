/** What the queue has on record of a job, and what a sidecar notes there while the job is under way. */
import type { FunctionId } from '../../../common/bus/subjects.ts';
import type { Delivery } from '../../../common/queue/queue.ts';
import { MessageError } from '../../../common/runtime/errors.ts';
import type { EndedState } from '../../../common/queue/callback.ts';
import type { JobHead } from '../../../common/queue/job.ts';
import { decodeState, type JobState, type Try } from '../../../common/queue/state.ts';
import { callbackOf, recordOf } from './job-messages.ts';
import type { QueueSession } from '../consumer.ts';

/** Less than the ack wait, so that a job is given back before it is taken away. */
const RECORD_CONFIRM_MS = 5_000;

export class Records {
  readonly #id: FunctionId;
  readonly #session: QueueSession;
  readonly #isOrdered: boolean;

  /** @param isOrdered a job's first delivery is not believed: a server that was killed may have forgotten others */
  constructor(id: FunctionId, session: QueueSession, isOrdered: boolean) {
    this.#id = id;
    this.#session = session;
    this.#isOrdered = isOrdered;
  }

  /** It was delivered before, or may have been. */
  isAgain(message: Delivery): boolean {
    return message.deliveries > 1 || this.#session.suspects.has(message);
  }

  /**
   * Another pod may have it in hand. Either it was delivered more often than is explained: by its failed tries, each of
   * which was recorded before the job went back, and by this pod, which gave it back. Or its deliveries were forgotten.
   */
  mayBeHeld(message: Delivery, before: JobState | undefined): boolean {
    const { suspects } = this.#session;
    const explained = 1 + (before?.tries.length ?? 0) + suspects.timesGivenBack(message);
    return message.deliveries > explained || suspects.mayBeHeld(message);
  }

  /** Unharmed and uncharged. */
  giveBack(message: Delivery, delayMs: number): void {
    this.#session.suspects.gaveBack(message);
    message.retryLater(delayMs);
  }

  /**
   * What earlier deliveries left. A first delivery that can be believed has nothing, and pays nothing for asking. A
   * record with another secret is of a job of an earlier stream, whose numbers began at 1 too. One that cannot be read
   * is as none: it is no fault of the job.
   */
  async before(message: Delivery, { secret }: JobHead): Promise<JobState | undefined> {
    if (!this.#isOrdered && !this.isAgain(message)) return undefined;
    const stored = await this.#session.queue.result({ id: this.#id, sequence: message.seq });
    const state = stored && readable(stored);
    return state?.secret === secret ? state : undefined;
  }

  /**
   * A note on a job that is under way. Want of room is no reason to stop: what it is good for is less than the job.
   * @throws when nobody confirms: nothing that must be noted first can begin then
   */
  async note(message: Delivery, state: JobState): Promise<void> {
    const outcome = await this.#session.queue.record(recordOf(this.#id, message, state), RECORD_CONFIRM_MS);
    if (outcome.kind === 'unknown' || outcome.kind === 'not-sent') throw outcome.error;
  }

  /**
   * Once more to the proxies, who post it to the job's URL if it has one: its end is on record, but the job came again.
   * @throws the reason when it is not stored
   */
  async sendResult(message: Delivery, head: JobHead, state: EndedState): Promise<void> {
    const callback = callbackOf(this.#id, message, head, state);
    if (!callback) return;
    const outcome = await this.#session.queue.offerResult(callback, RECORD_CONFIRM_MS);
    if (outcome.kind !== 'accepted') throw outcome.error;
  }
}

function readable(data: Uint8Array): JobState | undefined {
  try {
    return decodeState(data);
  } catch (error) {
    if (error instanceof MessageError) return undefined;
    throw error;
  }
}

export function tryRecord(
  startedAtMs: number,
  endedAtMs: number,
  pod: string,
  how: Pick<Try, 'status' | 'error'>,
): Try {
  return { startedAtMs, endedAtMs, pod, ...how };
}
