/**
 * What is known of one job, for a caller with its id. It is the state document if there is one, else the queued job
 * itself. What no document says ("running") the sidecar knows that holds the job.
 */
import { jobQuestionSubject, type FunctionId } from '../../common/bus/subjects.ts';
import type { QueueLink } from '../../common/queue/queue.ts';
import { askQueue } from './ask-queue.ts';
import {
  decodeAnswer,
  encodeQuestion,
  type JobAnswer,
  type JobQuestion,
} from '../../common/queue/question.ts';
import { decodeJob, ownBody, parseElementId } from '../../common/queue/job.ts';
import { decodeState, type JobState, type Try } from '../../common/queue/state.ts';
import { MessageError } from '../../common/runtime/errors.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import type { StateWriter } from './state-writer.ts';

export interface TryView {
  readonly startedAt: string;
  readonly endedAt: string;
  readonly pod: string;
  readonly status?: number;
  readonly error?: string;
}

/** The JSON of `GET /async-function-job/{fn}/{id}`. Times are ISO 8601. */
export interface JobView {
  readonly id: string;
  readonly state: 'queued' | 'running' | JobState['state'];
  readonly acceptedAt: string;
  readonly tries: readonly TryView[];
  readonly nextTryAt?: string;
  readonly callbackDeadline?: string;
  readonly why?: string;
  /** `body` is base64. */
  readonly result?: { status: number; headers: readonly string[]; body: string; bodyTruncated: boolean };
}

/** A sidecar on the same network answers in a millisecond or two; silence means nobody holds the job. */
const ASK_MS = 300;
/** Callers that wait in one proxy; further callers are answered at once, with what is known. */
const WAITERS_MAX = 1_000;

export interface JobQueryDeps {
  /** For questions to sidecars. */
  readonly nats: Pick<NatsLink, 'request'>;
  readonly queue: QueueLink;
  readonly writer: StateWriter;
  readonly maxWaiters?: number;
}

export class JobQuery {
  readonly #nats: Pick<NatsLink, 'request'>;
  readonly #queue: QueueLink;
  readonly #writer: StateWriter;
  readonly #maxWaiters: number;
  #waiters = 0;

  constructor({ nats, queue, writer, maxWaiters = WAITERS_MAX }: JobQueryDeps) {
    this.#nats = nats;
    this.#queue = queue;
    this.#writer = writer;
    this.#maxWaiters = maxWaiters;
  }

  /** Callers that wait for an end now. */
  get waiters(): number {
    return this.#waiters;
  }

  /** Undefined for an id that names no job of this function. @throws ReasonError `queue-unavailable` */
  async view(id: FunctionId, element: string): Promise<JobView | undefined> {
    const found = await this.#find(id, element);
    if (!found) return undefined;
    const { state } = found;
    if (state && isFinal(state)) return jobView(element, state);
    const where = await this.ask(id, { kind: 'where', elementId: element });
    if (!state) return bareView(element, where === 'running' ? 'running' : 'queued', found.acceptedAtMs);
    if (where === 'running') return { ...jobView(element, state), state: 'running' };
    // Begun and given back; or the pod that has it keeps silent, and then `run` says so.
    const isWaiting = state.state === 'running' && state.run === undefined;
    return { ...jobView(element, state), ...(isWaiting ? { state: 'queued' } : {}) };
  }

  /** As `view`, but waits up to `waitMs` for the end of the job. */
  async viewAtEnd(
    id: FunctionId,
    element: string,
    waitMs: number,
    signal: AbortSignal,
  ): Promise<JobView | undefined> {
    const parsed = parseElementId(element);
    if (!parsed) return undefined;
    if (this.#waiters >= this.#maxWaiters) return this.view(id, element); // a preference, and each costs a subscription
    this.#waiters += 1;
    const ended = Promise.withResolvers<void>();
    // Listening before looking: an end between the two is not missed.
    const release = this.#queue.watch({ id, sequence: parsed.sequence }, (_, state) => {
      if (isFinalData(state)) ended.resolve();
    });
    const timer = setTimeout(ended.resolve, waitMs);
    signal.addEventListener('abort', () => ended.resolve(), { once: true });
    try {
      const now = await this.view(id, element);
      if (!now || isFinal(now)) return now;
      await ended.promise;
      return await this.view(id, element);
    } finally {
      this.#waiters -= 1;
      clearTimeout(timer);
      release();
    }
  }

  /** Undefined: nobody holds that job. */
  async ask(id: FunctionId, question: JobQuestion): Promise<JobAnswer | undefined> {
    const data = await this.#nats.request(jobQuestionSubject(id), encodeQuestion(question), ASK_MS);
    return data && decodeAnswer(data);
  }

  /**
   * Cancels a job that does not run. The job leaves the queue first and then its state says so, because a full store
   * has room for the state only when the job is gone.
   * @returns what stood in the way; undefined for an id that names no job
   */
  async cancel(id: FunctionId, element: string): Promise<'cancelled' | 'running' | 'ended' | undefined> {
    const found = await this.#find(id, element);
    if (!found) return undefined;
    if (found.state && isFinal(found.state)) return 'ended';
    if ((await this.ask(id, { kind: 'where', elementId: element })) !== undefined) return 'running';
    // False: a sidecar finished it in this moment.
    if (!(await askQueue(this.#queue, (queue) => queue.cancel(found.sequence)))) return 'ended';
    const { sequence, secret, acceptedAtMs, object } = found;
    if (object !== undefined)
      await askQueue(this.#queue, (queue) => queue.removeBody(object)).catch(() => undefined);
    const tries = found.state?.tries ?? [];
    await this.#writer.write(id, sequence, element, { state: 'cancelled', secret, acceptedAtMs, tries });
    return 'cancelled';
  }

  async #find(id: FunctionId, element: string): Promise<Found | undefined> {
    const parsed = parseElementId(element);
    if (!parsed) return undefined;
    const unwritten = this.#writer.stateOf(element);
    if (unwritten)
      return { ...parsed, state: unwritten, acceptedAtMs: unwritten.acceptedAtMs, object: undefined };
    const ref = { id, sequence: parsed.sequence };
    const [record, payload] = await askQueue(this.#queue, (queue) =>
      Promise.all([queue.result(ref), queue.job(ref)]),
    );
    const recorded = record && readable(() => decodeState(record));
    // Another secret: the record of an earlier stream's job, whose numbers began at 1 too.
    const state = recorded?.secret === parsed.secret ? recorded : undefined;
    const job = payload && readable(() => decodeJob(payload).head);
    const known = state ?? job;
    if (known?.secret !== parsed.secret) return undefined;
    return { ...parsed, state, acceptedAtMs: known.acceptedAtMs, object: job && ownBody(job)?.name };
  }
}

/** What somebody else put there, and nobody can read, is as good as not there. */
function readable<T>(read: () => T): T | undefined {
  try {
    return read();
  } catch (error) {
    if (error instanceof MessageError) return undefined;
    throw error;
  }
}

interface Found {
  readonly secret: string;
  readonly sequence: number;
  readonly state: JobState | undefined;
  readonly acceptedAtMs: number;
  readonly object: string | undefined;
}

export function isFinal({ state }: { readonly state: JobView['state'] }): boolean {
  return state === 'done' || state === 'dead' || state === 'cancelled';
}

function isFinalData(data: Uint8Array): boolean {
  try {
    return isFinal(decodeState(data));
  } catch {
    return false;
  }
}

function bareView(id: string, state: 'queued' | 'running', acceptedAtMs: number): JobView {
  return { id, state, acceptedAt: iso(acceptedAtMs), tries: [] };
}

export function jobView(id: string, state: JobState): JobView {
  return {
    id,
    state: state.state,
    acceptedAt: iso(state.acceptedAtMs),
    tries: state.tries.map(tryView),
    ...(state.state === 'retrying' ? { nextTryAt: iso(state.nextTryAtMs) } : {}),
    ...(state.state === 'waiting-for-callback' ? { callbackDeadline: iso(state.deadlineMs) } : {}),
    ...(state.state === 'dead' ? { why: state.why } : {}),
    ...(state.state === 'done' && state.result ? { result: state.result } : {}),
  };
}

export function tryView({ startedAtMs, endedAtMs, ...rest }: Try): TryView {
  return { startedAt: iso(startedAtMs), endedAt: iso(endedAtMs), ...rest };
}

function iso(ms: number): string {
  return new Date(ms).toISOString();
}
