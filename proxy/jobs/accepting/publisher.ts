/**
 * Publishing a job so that the answer is true: 201 means JetStream has it, 503 means it has not and will not get it.
 * Between the two lies a publish whose ack did not come. It is settled by its message id: publishing the same id
 * again either stores the job, or is told `duplicate` with the place of the first. What cannot be settled before the
 * caller must be answered is handed to the settler (settler.ts). Ids that others share are an exception: whoever
 * repeats the post learns what became of the first.
 */
import type { FunctionId } from '../../../common/bus/subjects.ts';
import type { QueueLink, StoreOutcome } from '../../../common/queue/queue.ts';
import { describeError, ReasonError } from '../../../common/runtime/errors.ts';
import { sleep } from '../../../common/runtime/lifecycle.ts';

export interface JobPublish {
  readonly id: FunctionId;
  /** The event that it is for the pods that are there; absent: it goes to the jobs of the function. */
  readonly event?: string;
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
  readonly queue: QueueLink;
  /** Takes what cannot be settled before the caller must be answered (settler.ts). */
  readonly settler: { add(job: JobPublish): void };
  /** How long a caller may wait for JetStream in all. */
  readonly ackTimeoutMs: number;
  readonly now?: () => number;
}

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
    const outcome = await tryPublish(job, options.queue, Math.min(TRY_TIMEOUT_MS, deadline - now()));
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

async function tryPublish(job: JobPublish, { live }: QueueLink, timeoutMs: number): Promise<StoreOutcome> {
  if (!live) return { kind: 'not-sent', error: new Error('not connected to NATS') };
  if (timeoutMs <= 0) return { kind: 'not-sent', error: new Error('no time left') };
  const { id, payload, messageId, event } = job;
  const entry = { id, payload, messageId };
  return live.enqueue(
    event === undefined ? { kind: 'job', ...entry } : { kind: 'event', event, ...entry },
    timeoutMs,
  );
}

async function refusal(
  { id, event, noun }: JobPublish,
  { error, isFull }: { error: unknown; isFull: boolean },
  { queue }: PublisherOptions,
): Promise<ReasonError> {
  // One answer for both bounds: only a count tells the function's own from that of all jobs.
  const mayBeFull = isFull && event === undefined;
  const full = mayBeFull ? await queue.live?.depth(id).catch(() => undefined) : undefined;
  if (!full || full.jobs < full.bound) return unavailable(error, noun);
  const message = `${id.name} has ${full.jobs} jobs, which is all that it may have; try again when some are done`;
  return new ReasonError('queue-full', message, { cause: error, retryAfterSeconds: RETRY_AFTER_SECONDS });
}

function unavailable(cause: unknown, noun = 'job'): ReasonError {
  const message = `JetStream did not confirm the ${noun}, nothing was accepted (${describeError(cause)}); try again`;
  return new ReasonError('queue-unavailable', message, { cause, retryAfterSeconds: RETRY_AFTER_SECONDS });
}
