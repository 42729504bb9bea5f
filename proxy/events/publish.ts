/**
 * Publishing an event so that 204 is true: by then JetStream has it for every function that subscribes to it, each by
 * its own way (subscribers.ts). One message a function, because each may go another way, and because a function then
 * reads its own events and nothing else. What it gives up: when JetStream takes one and refuses another, the answer is
 * an error although some functions have the event; the same Idempotency-Key makes repeating it harmless to them.
 */
import { ReasonError } from '../../common/errors.ts';
import { encodeJob, type JobHead } from '../../common/jobs/job.ts';
import { HeaderNames, headerValue, withoutHeaders, type RequestHead } from '../../common/relay/index.ts';
import { eventSubject, functionKey, type FunctionId } from '../../common/subjects.ts';
import { hash, newSecret } from '../jobs/accept.ts';
import { publishJob, UnsettledError, type Accepted, type PublisherOptions } from '../jobs/publisher.ts';
import { announcedLength, discardBody, FRAMING, takeBody, type Upload } from '../jobs/take-body.ts';

export interface EventTarget {
  readonly id: FunctionId;
  readonly way: 'pods' | 'queue';
}

export interface PublishOptions extends PublisherOptions {
  readonly namespace: string;
  readonly maxBodyBytes: number;
  readonly clock: () => number;
}

/** @throws ReasonError, `queue-unavailable` and `queue-full` among them */
export async function publishEvent(
  event: string,
  head: RequestHead,
  { upload, targets }: { readonly upload: Upload; readonly targets: () => readonly EventTarget[] },
  options: PublishOptions,
): Promise<readonly EventTarget[]> {
  announcedLength(upload, { ...options, tooLarge });
  const secret = newSecret();
  const body = await takeBody(secret, upload, { ...options, tooLarge });
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
  const isUsed = results.some(
    (result) =>
      (result.status === 'fulfilled' && !result.value.isDuplicate) ||
      (result.status === 'rejected' && result.reason instanceof UnsettledError),
  );
  if (body.stored && !isUsed) await discardBody(options, body.stored);
  throwFirst(results);
  return chosen;
}

const NOT_KEPT = new HeaderNames(FRAMING);

function storeFor(
  { id, way }: EventTarget,
  { event, key, payload }: { readonly event: string; readonly key: string; readonly payload: Uint8Array },
  options: PublishOptions,
): Promise<Accepted> {
  const subject = way === 'pods' ? { subject: eventSubject(id, event) } : {};
  const messageId = hash(`event\n${event}\n${functionKey(id)}\n${key}`);
  // Shared: what may have been stored is not undone, for pods may be running it.
  return publishJob({ id, ...subject, messageId, payload, noun: 'event', isShared: true }, options);
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
