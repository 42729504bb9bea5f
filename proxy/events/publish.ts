/**
 * Publishing an event so that 204 is true: by then JetStream has it for every function that subscribes to it, each by
 * its own way (subscribers.ts). One message per function, because each may go another way, and because a function then
 * reads its own events and nothing else. The price: when JetStream takes one message and refuses another, the answer
 * is an error although some functions have the event. The same Idempotency-Key makes repeating it harmless to them.
 */
import { ReasonError } from '../../common/runtime/errors.ts';
import { decodeJob, encodeJob, INLINE_BODY_MAX_BYTES, type JobHead } from '../../common/queue/job.ts';
import { HeaderNames, headerValue, withoutHeaders, type RequestHead } from '../../common/relay/index.ts';
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import type { EventName } from './subscribers.ts';
import { hash, newSecret } from '../jobs/accepting/accept.ts';
import type { StoreShare } from '../jobs/accepting/store-share.ts';
import type { UploadBudget, UploadMemory } from '../jobs/accepting/upload-budget.ts';
import {
  publishJob,
  UnsettledError,
  type Accepted,
  type PublisherOptions,
} from '../jobs/accepting/publisher.ts';
import {
  announcedLength,
  liveQueue,
  discardBody,
  FRAMING,
  takeBody,
  type Upload,
} from '../jobs/accepting/take-body.ts';

export interface PublishTarget {
  readonly id: FunctionId;
  readonly way: 'pods' | 'queue';
}

export interface PublishOptions extends PublisherOptions {
  readonly namespace: string;
  readonly uploads: UploadBudget;
  readonly share: Pick<StoreShare, 'checkEvent'>;
  readonly maxBodyBytes: number;
  /** See BodyOptions. */
  readonly namesFunction: boolean;
  readonly clock: () => number;
}

/** @throws ReasonError, `queue-unavailable` and `queue-full` among them */
export async function publishEvent(
  { namespace, event }: EventName,
  head: RequestHead,
  { upload, targets }: { readonly upload: Upload; readonly targets: () => readonly PublishTarget[] },
  options: PublishOptions,
): Promise<readonly PublishTarget[]> {
  const announced = announcedLength(upload, { ...options, tooLarge });
  if (announced > INLINE_BODY_MAX_BYTES) options.share.checkEvent(announced, false);
  const memory = options.uploads.open(`the event ${event}`);
  try {
    return await publishWith({ namespace, event }, head, { upload, targets, memory }, options);
  } finally {
    memory.release();
  }
}

async function publishWith(
  { namespace, event }: EventName,
  head: RequestHead,
  {
    upload,
    targets,
    memory,
  }: {
    readonly upload: Upload;
    readonly targets: () => readonly PublishTarget[];
    readonly memory: UploadMemory;
  },
  options: PublishOptions,
): Promise<readonly PublishTarget[]> {
  const secret = newSecret();
  const body = await takeBody({ namespace, secret }, upload, { ...options, memory, tooLarge });
  const { stored } = body;
  try {
    if (stored) options.share.checkEvent(stored.size, true);
  } catch (error) {
    if (stored) await discardBody(options, stored);
    throw error;
  }
  memory.add(body.inline.length); // the message is a copy
  const job: JobHead = {
    secret,
    method: head.method,
    path: head.path,
    headers: withoutHeaders(head.headers, NOT_KEPT),
    acceptedAtMs: options.clock(),
    event,
    ...(body.stored ? { object: body.stored } : {}),
  };
  const key = headerValue(head.headers, 'idempotency-key') ?? secret;
  // Only now: pods may have come or gone while the body did.
  const chosen = targets();
  const store = { event, key, payload: encodeJob(job, body.inline) };
  const results = await Promise.allSettled(chosen.map((target) => storeFor(target, store, options)));
  if (body.stored) {
    const uses = results.map((result, i) =>
      usesBody(result, chosen[i] as PublishTarget, { secret, key, options }),
    );
    if (!(await Promise.all(uses)).includes(true)) await discardBody(options, body.stored);
  }
  throwFirst(results);
  return chosen;
}

const NOT_KEPT = new HeaderNames(FRAMING);

interface Stored {
  readonly secret: string;
  readonly key: string;
  readonly options: PublishOptions;
}

/**
 * Whether JetStream has, or may have, a message that refers to our body. A duplicate may be one of our own first try,
 * whose confirmation was lost. Only what is stored can tell. What cannot be told is left to its age.
 */
async function usesBody(
  result: PromiseSettledResult<Accepted>,
  { id, way }: PublishTarget,
  { secret, key, options }: Stored,
): Promise<boolean> {
  if (result.status === 'rejected') return result.reason instanceof UnsettledError;
  if (!result.value.isDuplicate || key === secret) return true;
  try {
    const queue = liveQueue(options);
    const { sequence } = result.value;
    const stored = await (way === 'pods' ? queue.event(sequence) : queue.job({ id, sequence }));
    return stored !== undefined && decodeJob(stored).head.secret === secret;
  } catch {
    return true;
  }
}

function storeFor(
  { id, way }: PublishTarget,
  { event, key, payload }: { readonly event: string; readonly key: string; readonly payload: Uint8Array },
  options: PublishOptions,
): Promise<Accepted> {
  const toPods = way === 'pods' ? { event } : {};
  const messageId = hash(`event\n${event}\n${functionKey(id)}\n${key}`);
  // Shared: what may have been stored is not undone, because pods may be running it.
  return publishJob({ id, ...toPods, messageId, payload, noun: 'event', isShared: true }, options);
}

/** @throws the first failure, and how many functions have the event nevertheless */
function throwFirst(results: readonly PromiseSettledResult<Accepted>[]): void {
  const failure = results.find((result) => result.status === 'rejected');
  if (!failure) return;
  const done = results.filter((result) => result.status === 'fulfilled').length;
  const error: unknown = failure.reason;
  if (done === 0 || !(error instanceof ReasonError)) throw error;
  const partly = `${done} of ${results.length} functions have the event, and will not get it twice with the same Idempotency-Key`;
  const { code, retryAfterSeconds } = error;
  throw new ReasonError(code, `${error.message}; ${partly}`, {
    cause: error,
    ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }),
  });
}

function tooLarge(maxBytes: number): ReasonError {
  const message = `an event's body may have ${maxBytes} bytes at most (--max-event-body); publish where it can be fetched`;
  return new ReasonError('body-too-large', message);
}
