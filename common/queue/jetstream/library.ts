/** What the adapter uses of the NATS client for JetStream: its types, one stored message, and the meaning of its errors. */
import { describeError } from '../../runtime/errors.ts';
import { sleep } from '../../runtime/lifecycle.ts';
import { createInbox, NatsError } from '../../bus/nats-library.ts';
import type { NatsConnection } from '../../bus/nats.ts';
import { QueueError, type QueueErrorKind } from '../queue.ts';
import type { JetStreamManager, MsgRequest, StoredMsg } from 'nats';

export type {
  ConsumerConfig,
  ConsumerInfo,
  JetStreamClient,
  JetStreamManager,
  StoredMsg,
  StreamConfig,
  StreamInfo,
} from 'nats';

/**
 * One stored message by sequence, or the next one of a subject from a sequence on. Asked of any replica first
 * (no copy through the leader, no base64), then of the leader, because a replica may be a moment behind.
 * Undefined when there is none. @throws NatsError when nobody answers
 */
export async function getStored(
  jsm: JetStreamManager,
  stream: string,
  query: { readonly seq: number; readonly next_by_subj?: string },
): Promise<StoredMsg | undefined> {
  // The library has `direct` on its object and not in its interface.
  const { direct } = jsm as JetStreamManager & {
    readonly direct: Pick<JetStreamManager['streams'], 'getMessage'>;
  };
  try {
    return await direct.getMessage(stream, query as MsgRequest);
  } catch {
    return jsm.streams.getMessage(stream, query as MsgRequest).catch((error: unknown) => {
      if (error instanceof NatsError && error.api_error?.code === 404) return undefined;
      throw error;
    });
  }
}

/**
 * The last message of one subject. Asked by subject alone, which a permission can name. A replica may be a moment behind:
 * in a cluster of servers one that knows nothing is asked again, or another one.
 * @returns undefined when there is none
 * @throws NatsError when nobody answers
 */
export async function getLast(
  jsm: JetStreamManager,
  stream: string,
  subject: string,
): Promise<StoredMsg | undefined> {
  const { direct, nc } = jsm as JetStreamManager & {
    readonly direct: Pick<JetStreamManager['streams'], 'getMessage'>;
    readonly nc: NatsConnection;
  };
  for (let left = nc.info?.cluster === undefined ? 0 : BEHIND_TRIES; ; left -= 1) {
    try {
      return await direct.getMessage(stream, { last_by_subj: subject });
    } catch (error) {
      if (!(error instanceof NatsError) || error.code !== '404') throw error;
      if (left === 0) return undefined;
    }
    await sleep(BEHIND_MS);
  }
}

const BEHIND_TRIES = 2;
const BEHIND_MS = 50;

/** Whether this connection is a sidecar's, of a server that lets it do what its identity may and no more. */
export function isNarrow(connection: NatsConnection): boolean {
  const { options } = connection as NatsConnection & { readonly options?: { readonly inboxPrefix?: string } };
  const isSidecar = options?.inboxPrefix?.startsWith('_INBOX_sidecar.') ?? false;
  return isSidecar && connection.info?.auth_required === true;
}

/** A new subject for answers that this connection may hear: with its own prefix, if it has one. */
export function newInbox(connection: NatsConnection): string {
  // The library has `options` on its object and not in its interface.
  const { options } = connection as NatsConnection & { readonly options?: { readonly inboxPrefix?: string } };
  return createInbox(options?.inboxPrefix);
}

/** Error codes of JetStream's API (server/errors.json of nats-server). */
export const STREAM_NOT_FOUND = 10_059;
/** A bound in bytes is more than the server has left to set aside. */
export const STORAGE_EXCEEDED = 10_047;
export const CONSUMER_NOT_FOUND = 10_014;
/** Codes for a message by its sequence: JSNoMessageFound, and what a deletion answers (JSStreamMsgDeleteFailed). */
export const MESSAGE_NOT_FOUND = [10_037, 10_043, 10_057] as const;

/** For `catch`: undefined where JetStream says with one of these codes that there is none; every other error goes on. */
export function absentIf(...errorCodes: readonly number[]): (error: unknown) => undefined {
  return (error) => {
    const code = error instanceof NatsError ? error.api_error?.err_code : undefined;
    if (code !== undefined && errorCodes.includes(code)) return undefined;
    throw error;
  };
}

/** Awaits an answer of JetStream. @throws QueueError for what JetStream or the client says; any other error as it is */
export async function answered<T>(answer: Promise<T>): Promise<T> {
  try {
    return await answer;
  } catch (error) {
    throw error instanceof NatsError ? new QueueError(kindOf(error), describeError(error)) : error;
  }
}

function kindOf({ api_error: answer }: NatsError): QueueErrorKind {
  if (answer === undefined) return 'unanswered';
  return answer.err_code === STREAM_NOT_FOUND ? 'missing' : 'refused';
}
