/**
 * `/async-function/{fn}/{path}`: from a request to a job that JetStream has confirmed. Up to 512 KiB of body
 * travel in the message; a larger body is stored first, as it comes in, so that memory stays flat.
 */
import { createHash } from 'node:crypto';
import { ReasonError } from '../../../common/runtime/errors.ts';
import {
  decodeJob,
  elementId,
  encodeJob,
  INLINE_BODY_MAX_BYTES,
  type JobHead,
} from '../../../common/queue/job.ts';
import { decodeState } from '../../../common/queue/state.ts';
import { HeaderNames, headerValue, withoutHeaders, type RequestHead } from '../../../common/relay/index.ts';
import { functionKey, type FunctionId } from '../../../common/bus/subjects.ts';
import { CALLBACK_URL_HEADER, type CallbackGate } from '../../callbacks/gate.ts';
import { createIds } from '../../edge/ids.ts';
import type { JobBytes, Room } from './job-bytes.ts';
import type { ShareHold, StoreShare } from './store-share.ts';
import type { UploadBudget, UploadMemory } from './upload-budget.ts';
import { publishJob, UnsettledError, type Accepted, type PublisherOptions } from './publisher.ts';
import {
  announcedLength,
  liveQueue,
  discardBody,
  FRAMING,
  takeBody,
  type TakenBody,
  type Upload,
} from './take-body.ts';

export interface AcceptOptions extends PublisherOptions {
  readonly callbacks: CallbackGate;
  readonly bytes: JobBytes;
  readonly share: StoreShare;
  readonly uploads: UploadBudget;
  readonly maxBodyBytes: number;
  /** See BodyOptions. */
  readonly namesFunction: boolean;
  readonly clock: () => number;
}

/**
 * @param head end-to-end headers, path as the function will get it
 * @returns the element id
 * @throws ReasonError (docs/reference/reasons.md); nothing was accepted then
 */
export async function acceptJob(
  id: FunctionId,
  head: RequestHead,
  upload: Upload,
  options: AcceptOptions,
): Promise<string> {
  const callbackUrl = headerValue(head.headers, CALLBACK_URL_HEADER);
  if (callbackUrl !== undefined) await options.callbacks.check(callbackUrl);
  const announced = announcedLength(upload, { ...options, tooLarge });
  // Before its first byte is read: what finds no room need not be sent, and what is sent has its room.
  const kind = announced > INLINE_BODY_MAX_BYTES ? 'stored' : 'inline';
  const hold = await options.share.take(id, kind, announced);
  try {
    const room = await options.bytes.reserve(id, announced);
    const memory = options.uploads.open(functionKey(id));
    try {
      return await acceptWithRoom(id, { ...head, callbackUrl }, upload, { ...options, room, memory, hold });
    } finally {
      memory.release();
      room.release();
    }
  } finally {
    hold.release();
  }
}

async function acceptWithRoom(
  id: FunctionId,
  head: RequestHead & { readonly callbackUrl: string | undefined },
  upload: Upload,
  options: AcceptOptions & { readonly room: Room; readonly memory: UploadMemory; readonly hold: ShareHold },
): Promise<string> {
  const { callbackUrl } = head;
  const { hold } = options;
  const secret = newSecret();
  // A length that was not announced is held as it comes.
  const onStored = (size: number): void => hold.resize('stored', size);
  const body = await takeBody({ ...id, secret }, upload, { ...options, tooLarge, onStored });
  await settleSize(body, options).catch(async (error: unknown) => {
    if (body.stored) await discardBody(options, body.stored);
    throw error;
  });
  const job: JobHead = {
    secret,
    method: head.method,
    path: head.path,
    headers: withoutHeaders(head.headers, NOT_KEPT),
    acceptedAtMs: options.clock(),
    ...(body.stored ? { object: body.stored } : {}),
    ...(callbackUrl === undefined ? {} : { callbackUrl }),
  };
  options.memory.add(body.inline.length); // the message is a copy
  const key = headerValue(head.headers, 'idempotency-key');
  const messageId = key === undefined ? secret : hash(`${functionKey(id)}\n${key}`);
  const publish = { id, messageId, payload: encodeJob(job, body.inline), isShared: key !== undefined };
  const accepted = await publishJob(publish, options).catch(async (error: unknown) => {
    const mayBeStored = publish.isShared && error instanceof UnsettledError;
    if (body.stored && !mayBeStored) await discardBody(options, body.stored);
    throw error;
  });
  if (!accepted.isDuplicate || key === undefined) {
    options.room.settle(accepted.sequence);
    hold.settle(accepted.sequence, body.stored?.name);
    return elementId(secret, accepted.sequence);
  }
  const first = await firstSecret(id, accepted, options);
  // Our own first try may be the first: then the body is the job's.
  if (body.stored && first !== secret) await discardBody(options, body.stored);
  return elementId(first, accepted.sequence);
}

/** The size is known: the function's own bound, and its share of what NATS keeps. */
async function settleSize(
  { stored, inline }: TakenBody,
  { room, hold }: { readonly room: Room; readonly hold: ShareHold },
): Promise<void> {
  const size = stored?.size ?? inline.length;
  await room.resize(size);
  hold.resize(stored ? 'stored' : 'inline', size);
}

/** Where the result goes is not the function's concern. */
const NOT_KEPT = new HeaderNames([...FRAMING, CALLBACK_URL_HEADER]);

function tooLarge(maxBodyBytes: number): ReasonError {
  return new ReasonError(
    'body-too-large',
    `a job's body may have ${maxBodyBytes} bytes at most (--max-body)`,
  );
}

/** From a pool: 16 bytes cost 2 µs by themselves, 0.01 µs out of 4,096. */
export const newSecret: () => string = createIds().requestId;

/** The secret of the job that was first accepted under this key: it is queued still, or has left its state. */
export async function firstSecret(
  id: FunctionId,
  { sequence }: Pick<Accepted, 'sequence'>,
  options: Pick<AcceptOptions, 'queue'>,
): Promise<string> {
  const queue = liveQueue(options);
  const queued = await queue.job({ id, sequence });
  if (queued) return decodeJob(queued).head.secret;
  const state = await queue.result({ id, sequence });
  if (state) return decodeState(state).secret;
  const message = 'this Idempotency-Key was used and its job is done, but its id is no longer known';
  throw new ReasonError('queue-unavailable', message, { retryAfterSeconds: 60 });
}

export function hash(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}
