/**
 * The jobs that were given up, for an operator: listed, shown, put back or dropped. A letter is found by its number
 * among the dead letters. Its large body, if it has one, stays in the store until the letter is replayed and done, or
 * dropped, or too old.
 */
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { DeadHistory } from '../../common/queue/dead.ts';
import type { DeadLetter, Queue } from '../../common/queue/queue.ts';
import { askQueue } from './ask-queue.ts';
import { ReasonError } from '../../common/runtime/errors.ts';
import { decodeJob, elementId, encodeJob, ownBody, type Job } from '../../common/queue/job.ts';
import { firstSecret, newSecret, type AcceptOptions } from './accepting/accept.ts';
import { publishJob } from './accepting/publisher.ts';
import { tryView, type TryView } from './query.ts';

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
  readonly dead: DeadLetter;
  readonly history: DeadHistory;
  /** Undefined: the payload cannot be read. */
  readonly job: Job | undefined;
}

export class DeadLetters {
  readonly #options: AcceptOptions;

  constructor(options: AcceptOptions) {
    this.#options = options;
  }

  /** @param fn undefined: of every function. At most 100, those after the number `after`. */
  async list(fn: FunctionId | undefined, after = 0): Promise<DeadSummary[]> {
    return this.#ask(async (queue) => {
      const found: DeadSummary[] = [];
      for (let seq = after; found.length < LIST_MAX;) {
        const dead = await queue.nextDeadLetter(seq, fn);
        if (!dead) break;
        seq = dead.seq;
        found.push(summaryOf(letterOf(dead)));
      }
      return found;
    });
  }

  /** Whose letter it is; undefined: no such letter. */
  async functionOf(seq: number): Promise<FunctionId | undefined> {
    return (await this.#find(seq))?.dead.id;
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
    const { dead, job, history } = letter;
    const fn = dead.id;
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
    await this.#ask((queue) => queue.dropDeadLetter(seq));
    return { fn, id: elementId(known, accepted.sequence) };
  }

  /** @returns false: no such letter */
  async drop(seq: number): Promise<boolean> {
    const letter = await this.#find(seq);
    if (!letter) return false;
    const object = letter.job && ownBody(letter.job.head);
    if (object) await this.#ask((queue) => queue.removeBody(object.name));
    await this.#ask((queue) => queue.dropDeadLetter(seq));
    return true;
  }

  async #find(seq: number): Promise<Letter | undefined> {
    const dead = await this.#ask((queue) => queue.deadLetter(seq));
    return dead && letterOf(dead);
  }

  /** @throws ReasonError `queue-unavailable` */
  #ask<T>(ask: (queue: Queue) => Promise<T>): Promise<T> {
    return askQueue(this.#options.queue, ask);
  }
}

/** A letter that somebody else put there is shown too: it is in the way of nothing. */
function letterOf(dead: DeadLetter): Letter {
  const unknown = { sequence: dead.seq, tries: [], why: 'no history came with this letter' };
  return { dead, history: dead.history ?? unknown, job: jobOf(dead.data) };
}

function jobOf(data: Uint8Array): Job | undefined {
  try {
    return decodeJob(data);
  } catch {
    return undefined;
  }
}

function summaryOf({ dead, history, job }: Letter): DeadSummary {
  const base = {
    seq: dead.seq,
    namespace: dead.id.namespace,
    function: dead.id.name,
    diedAt: new Date(dead.diedAtMs).toISOString(),
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
