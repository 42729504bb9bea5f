/**
 * What a sidecar writes about jobs, in the order that loses nothing: first the record, confirmed by JetStream,
 * then the ack or nak. A crash between the two runs the job once more; it never forgets one.
 */
import type { AckedMessage, AckedPublisher } from '../../common/jobs/acked-publisher.ts';
import { removeBody } from '../../common/jobs/body-store.ts';
import type { Delivery } from '../../common/jobs/delivery.ts';
import { encodeCallback, type EndedState } from '../../common/jobs/callback.ts';
import { elementId, ownBody, type JobHead } from '../../common/jobs/job.ts';
import { decodeState, encodeState, type JobState, type Try } from '../../common/jobs/state.ts';
import { JOBS_STREAM, RESULTS_STREAM } from '../../common/jobs/streams.ts';
import { deadHeaders, type DeadHistory } from '../../common/jobs/dead.ts';
import { getStored, type JetStreamManager } from '../../common/nats.ts';
import { functionSubject, resultSubject, type FunctionId } from '../../common/subjects.ts';
import type { Suspects } from './suspects.ts';

export interface JetStream {
  readonly publisher: AckedPublisher;
  readonly jsm: JetStreamManager;
  readonly suspects: Suspects;
}

/** Less than the ack wait, so that a job is given back before it is taken away. */
const CONFIRM_MS = 5_000;

export class Records {
  readonly #id: FunctionId;
  readonly #jetstream: JetStream;

  constructor(id: FunctionId, jetstream: JetStream) {
    this.#id = id;
    this.#jetstream = jetstream;
  }

  /**
   * What earlier deliveries left. A first delivery that can be believed has nothing, and pays nothing for asking. A
   * record with another secret is of a job of an earlier stream, whose numbers began at 1 too.
   */
  async before(message: Delivery, { secret }: JobHead): Promise<JobState | undefined> {
    if (message.deliveries <= 1 && message.seq > this.#jetstream.suspects.upTo) return undefined;
    const subject = resultSubject(this.#id, message.seq);
    const stored = await getStored(this.#jetstream.jsm, RESULTS_STREAM, { last_by_subj: subject });
    const state = stored && decodeState(stored.data);
    return state?.secret === secret ? state : undefined;
  }

  /** @throws when JetStream does not confirm: the job is then given back untouched */
  async write(message: Delivery, state: JobState): Promise<void> {
    await this.#publish({ subject: resultSubject(this.#id, message.seq), payload: encodeState(state) });
  }

  async finish(message: Delivery, head: JobHead, state: EndedState): Promise<void> {
    await this.write(message, state);
    await this.sendResult(message, head, state);
    message.ack();
    const body = ownBody(head);
    if (body) await removeBody(this.#jetstream.jsm, body.name).catch(() => undefined);
  }

  async giveBack(message: Delivery, state: JobState, delayMs: number): Promise<void> {
    await this.write(message, state);
    message.nak(Math.ceil(delayMs));
  }

  /** The request goes to SLIMFAAS_DEAD as it is, with its history; a large body stays for the replay. */
  async bury(message: Delivery, head: JobHead, state: EndedState & { state: 'dead' }): Promise<void> {
    await this.#publishDead(message, { sequence: message.seq, tries: state.tries, why: state.why });
    await this.write(message, state);
    await this.sendResult(message, head, state);
    message.ack();
  }

  /**
   * To the proxies, who post it to the job's URL if it has one. After the record: when this fails the job is given
   * back and comes again, but is not run again, and is sent on then.
   */
  async sendResult({ seq }: Delivery, head: JobHead, state: EndedState): Promise<void> {
    const { callbackUrl: url, secret } = head;
    if (url === undefined) return;
    const payload = encodeCallback({ url, elementId: elementId(secret, seq), endedAtMs: Date.now(), state });
    const messageId = `callback-${JOBS_STREAM}-${seq}`;
    await this.#publish({ subject: functionSubject('callback', this.#id), payload, messageId });
  }

  /** A payload that cannot be read: kept as it is, for a person to look at. Its id is not known, so no state. */
  async buryUnread(message: Delivery, why: string): Promise<true> {
    await this.#publishDead(message, { sequence: message.seq, tries: [], why });
    message.ack();
    return true;
  }

  async #publishDead(message: Delivery, history: DeadHistory): Promise<void> {
    await this.#publish({
      subject: functionSubject('dead', this.#id),
      payload: message.data,
      headers: deadHeaders(history),
      // A crash after this line and before the ack buries it again; the id makes that one letter.
      messageId: `dead-${JOBS_STREAM}-${message.seq}`,
    });
  }

  async #publish(message: AckedMessage): Promise<void> {
    const outcome = await this.#jetstream.publisher.publish(message, CONFIRM_MS);
    if (outcome.kind !== 'accepted') throw outcome.error;
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
