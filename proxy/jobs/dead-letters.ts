/**
 * The jobs that were given up, for an operator: listed, shown, put back or dropped. A letter is found by its sequence
 * on SLIMFAAS_DEAD. Its large body, if it has one, stays in the store until the letter is replayed and done, or
 * dropped, or too old.
 */
import { MessageError, ReasonError } from '../../common/runtime/errors.ts';
import { removeBody } from '../../common/queue/jetstream/body-store.ts';
import { readDeadHistory, type DeadHistory } from '../../common/queue/dead.ts';
import { decodeJob, elementId, encodeJob, ownBody, type Job } from '../../common/queue/job.ts';
import { DEAD_STREAM } from '../../common/queue/jetstream/streams.ts';
import {
  everyFunction,
  functionSubject,
  parseFunctionSubject,
  type FunctionId,
} from '../../common/bus/subjects.ts';
import { firstSecret, newSecret, type AcceptOptions } from './accepting/accept.ts';
import { askJetStream } from './ask-jetstream.ts';
import { publishJob } from './accepting/publisher.ts';
import { tryView, type TryView } from './query.ts';
import {
  absentIf,
  getStored,
  type JetStreamManager,
  MESSAGE_NOT_FOUND,
  type StoredMsg,
} from '../../common/queue/jetstream/library.ts';

/** Times are ISO 8601. Absent `method`: the payload could not be read. */
export interface DeadSummary {
  readonly seq: number;
  readonly namespace: string;
  readonly function: string;
  readonly diedAt: string;
  readonly why: string;
  readonly tries: readonly TryView[];
  readonly id?: string;
  readonly acceptedAt?: string;
  readonly method?: string;
  readonly path?: string;
  readonly bodyBytes?: number;
  /** The event that it was. */
  readonly event?: string;
  readonly replayOf?: string;
}

export interface DeadView extends DeadSummary {
  readonly headers?: readonly string[];
  /** Base64, of bodies that travelled with the job; larger ones are in the store. */
  readonly body?: string;
}

/** A list is read letter by letter, at about a millisecond each. */
const LIST_MAX = 100;

interface Letter {
  readonly message: StoredMsg;
  readonly fn: FunctionId;
  readonly history: DeadHistory;
  /** Undefined: the payload cannot be read. */
  readonly job: Job | undefined;
}

export class DeadLetters {
  readonly #options: AcceptOptions;

  constructor(options: AcceptOptions) {
    this.#options = options;
  }

  /** @param fn undefined: of every function. At most 100, those after `after` on the stream. */
  async list(fn: FunctionId | undefined, after = 0): Promise<DeadSummary[]> {
    const subject = fn ? functionSubject('dead', fn) : everyFunction('dead');
    return this.#ask(async (jsm) => {
      const found: DeadSummary[] = [];
      for (let seq = after; found.length < LIST_MAX;) {
        const message = await getStored(jsm, DEAD_STREAM, { seq: seq + 1, next_by_subj: subject });
        if (!message) break;
        seq = message.seq;
        found.push(summaryOf(letterOf(message)));
      }
      return found;
    });
  }

  async show(seq: number): Promise<DeadView | undefined> {
    const letter = await this.#find(seq);
    if (!letter) return undefined;
    const { job } = letter;
    if (!job) return summaryOf(letter);
    const body = job.head.object ? {} : { body: job.body.toString('base64') };
    return { ...summaryOf(letter), headers: job.head.headers, ...body };
  }

  /**
   * Puts the same request back as a new job; the letter is gone then.
   * @returns the new job's function and element id; undefined: no such letter
   * @throws ReasonError `queue-unavailable`, `queue-full`, or `job-conflict` for a letter that cannot be read
   */
  async replay(seq: number): Promise<{ fn: FunctionId; id: string } | undefined> {
    const letter = await this.#find(seq);
    if (!letter) return undefined;
    const { fn, job, history } = letter;
    if (!job) throw new ReasonError('job-conflict', `the job cannot be read: ${history.why}`);
    const secret = newSecret();
    const replayOf = elementId(job.head.secret, history.sequence);
    const payload = encodeJob(
      { ...job.head, secret, acceptedAtMs: this.#options.clock(), replayOf },
      job.body,
    );
    // One letter is one job, also for two operators at once.
    const messageId = `replay-${replayOf}-${seq}`;
    const accepted = await publishJob({ id: fn, messageId, payload, isShared: true }, this.#options);
    const known = accepted.isDuplicate ? await firstSecret(fn, accepted, this.#options) : secret;
    await this.#delete(seq);
    return { fn, id: elementId(known, accepted.sequence) };
  }

  /** @returns false: no such letter */
  async drop(seq: number): Promise<boolean> {
    const letter = await this.#find(seq);
    if (!letter) return false;
    const object = letter.job && ownBody(letter.job.head);
    if (object) await this.#ask((jsm) => removeBody(jsm, object.name));
    await this.#delete(seq);
    return true;
  }

  async #find(seq: number): Promise<Letter | undefined> {
    const message = await this.#ask((jsm) => getStored(jsm, DEAD_STREAM, { seq }));
    return message && letterOf(message);
  }

  async #delete(seq: number): Promise<void> {
    // Absent: somebody else was quicker.
    await this.#ask((jsm) =>
      jsm.streams.deleteMessage(DEAD_STREAM, seq).catch(absentIf(...MESSAGE_NOT_FOUND)),
    );
  }

  /** @throws ReasonError `queue-unavailable` */
  #ask<T>(ask: (jsm: JetStreamManager) => Promise<T>): Promise<T> {
    return askJetStream(this.#options.nats, ask);
  }
}

function letterOf(message: StoredMsg): Letter {
  const parsed = parseFunctionSubject(message.subject);
  if (!parsed) throw new MessageError(`${message.subject} is not the subject of a dead letter`);
  return { message, fn: parsed.id, history: historyOf(message), job: jobOf(message) };
}

/** A letter that somebody else put there is shown too: it is in the way of nothing. */
function historyOf(message: StoredMsg): DeadHistory {
  try {
    return readDeadHistory(message);
  } catch {
    return { sequence: message.seq, tries: [], why: 'no history came with this letter' };
  }
}

function jobOf(message: StoredMsg): Job | undefined {
  try {
    return decodeJob(message.data);
  } catch {
    return undefined;
  }
}

function summaryOf({ message, fn, history, job }: Letter): DeadSummary {
  const base = {
    seq: message.seq,
    namespace: fn.namespace,
    function: fn.name,
    diedAt: message.time.toISOString(),
    why: history.why,
    tries: history.tries.map(tryView),
  };
  if (!job) return base;
  const { head, body } = job;
  return {
    ...base,
    id: elementId(head.secret, history.sequence),
    acceptedAt: new Date(head.acceptedAtMs).toISOString(),
    method: head.method,
    path: head.path,
    bodyBytes: head.object?.size ?? body.length,
    ...(head.event === undefined ? {} : { event: head.event }),
    ...(head.replayOf === undefined ? {} : { replayOf: head.replayOf }),
  };
}
