/**
 * Publishing a job so that the answer is true: 201 means JetStream has it, 503 means it has not and will not get it.
 * Between the two lies a publish whose ack did not come. It is settled by its message id: publishing the same id
 * again either stores the job, or is told `duplicate` with the place of the first. What cannot be settled before the
 * caller must be answered is handed to the settler (settler.ts). Ids that others share are an exception: whoever
 * repeats the post learns what became of the first.
 */
import { describeError, ReasonError } from '../../../common/runtime/errors.ts';
import { AckedPublisher, type PublishOutcome } from '../../../common/queue/jetstream/acked-publisher.ts';
import { JOBS_STREAM, VOID_HEADER } from '../../../common/queue/jetstream/streams.ts';
import { sleep } from '../../../common/runtime/lifecycle.ts';
import type { NatsConnection, NatsLink } from '../../../common/bus/nats.ts';
import { natsHeaders } from '../../../common/bus/nats-library.ts';
import { functionSubject, type FunctionId } from '../../../common/bus/subjects.ts';

export interface JobPublish {
  readonly id: FunctionId;
  /** Where it goes; absent: to the jobs of the function. */
  readonly subject?: string;
  /** What callers know it as; absent: a job. */
  readonly noun?: string;
  readonly payload: Uint8Array;
  /** Unique to the job, or to the caller's Idempotency-Key. */
  readonly messageId: string;
  /**
   * Others may publish under this id too (a caller that repeats its key, perhaps through another proxy). Then
   * what is stored under it may have been accepted there, and must never be undone from here.
   */
  readonly isShared?: boolean;
}

export interface Accepted {
  readonly sequence: number;
  /** The message id was known: this sequence is the first one's. */
  readonly isDuplicate: boolean;
}

export interface PublisherOptions {
  readonly nats: NatsLink;
  /** Takes what cannot be settled before the caller must be answered (settler.ts). */
  readonly settler: { add(job: JobPublish): void };
  /** How long a caller may wait for JetStream in all. */
  readonly ackTimeoutMs: number;
  readonly now?: () => number;
}

/** JSStreamStoreFailed: the stream is full, or this subject has its maximum. */
const STORE_FAILED = 10_077;
/** One try; a second one follows if there is time. */
const TRY_TIMEOUT_MS = 2_000;
const RETRY_AFTER_SECONDS = 2;

/** `queue-unavailable`, and JetStream may have stored it all the same. */
export class UnsettledError extends ReasonError {
  constructor(cause: unknown, noun = 'job') {
    const message = `JetStream did not confirm the ${noun} (${describeError(cause)}); try again`;
    super('queue-unavailable', message, { cause, retryAfterSeconds: RETRY_AFTER_SECONDS });
    this.name = 'UnsettledError';
  }
}

/** @throws ReasonError `queue-unavailable` when nothing was accepted, `queue-full` at the function's bound */
export async function publishJob(job: JobPublish, options: PublisherOptions): Promise<Accepted> {
  const { now = () => performance.now() } = options;
  const deadline = now() + options.ackTimeoutMs;
  let isUnsettled = false;
  let lastError: unknown;
  for (;;) {
    const outcome = await tryPublish(job, options.nats, Math.min(TRY_TIMEOUT_MS, deadline - now()));
    if (outcome.kind === 'accepted') return outcome;
    lastError = outcome.error;
    if (outcome.kind === 'refused' && !isUnsettled) throw await refusal(job, outcome, options);
    isUnsettled ||= outcome.kind === 'unknown';
    if (!isUnsettled || now() >= deadline) break;
    await sleep(100);
  }
  if (!isUnsettled) throw unavailable(lastError, job.noun);
  if (!job.isShared) options.settler.add(job);
  throw new UnsettledError(lastError, job.noun);
}

async function tryPublish(job: JobPublish, nats: NatsLink, timeoutMs: number): Promise<PublishOutcome> {
  const { connection } = nats;
  if (!connection) return { kind: 'not-sent', error: new Error('not connected to NATS') };
  if (timeoutMs <= 0) return { kind: 'not-sent', error: new Error('no time left') };
  const { id, payload, messageId, subject = functionSubject('job', id) } = job;
  return AckedPublisher.of(connection).publish({ subject, payload, messageId }, timeoutMs);
}

async function refusal(
  { id, subject, noun }: JobPublish,
  { error, apiCode }: { error: unknown; apiCode: number | undefined },
  { nats }: PublisherOptions,
): Promise<ReasonError> {
  // One code for both bounds: only a count tells the function's from the stream's.
  const mayBeFull = apiCode === STORE_FAILED && subject === undefined;
  const full = mayBeFull ? await fullnessOf(nats, id).catch(() => undefined) : undefined;
  if (!full || full.jobs < full.bound) return unavailable(error, noun);
  const message = `${id.name} has ${full.jobs} jobs, which is all that it may have; try again when some are done`;
  return new ReasonError('queue-full', message, { cause: error, retryAfterSeconds: RETRY_AFTER_SECONDS });
}

/** The bound is the stream's own setting, which the scaler made of its `--max-jobs`. */
async function fullnessOf(
  nats: NatsLink,
  id: FunctionId,
): Promise<{ jobs: number; bound: number } | undefined> {
  const subject = functionSubject('job', id);
  const jsm = await nats.connection?.jetstreamManager({ checkAPI: false });
  const info = await jsm?.streams.info(JOBS_STREAM, { subjects_filter: subject });
  return info && { jobs: info.state.subjects?.[subject] ?? 0, bound: info.config.max_msgs_per_subject };
}

function unavailable(cause: unknown, noun = 'job'): ReasonError {
  const message = `JetStream did not confirm the ${noun}, nothing was accepted (${describeError(cause)}); try again`;
  return new ReasonError('queue-unavailable', message, { cause, retryAfterSeconds: RETRY_AFTER_SECONDS });
}

/** The void publish of the settler: same message id, nothing to run. @throws the reason when it is not confirmed */
export async function publishVoid(
  connection: NatsConnection,
  { id, messageId }: JobPublish,
): Promise<Accepted> {
  const headers = natsHeaders();
  headers.set(VOID_HEADER, '1');
  const message = { subject: functionSubject('job', id), payload: NOTHING, messageId, headers };
  const outcome = await AckedPublisher.of(connection).publish(message, TRY_TIMEOUT_MS);
  if (outcome.kind !== 'accepted') throw outcome.error;
  return outcome;
}

const NOTHING = new Uint8Array(0);
