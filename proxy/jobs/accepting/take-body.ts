/**
 * The body of a request that is kept. Up to 512 KiB of it stay in memory and travel in a message. A larger one goes
 * to the store as it comes in, so that memory stays flat.
 */
import {
  bodyName,
  BodyStoreError,
  UNCONFIRMED_BYTES_MAX,
  type StoredBody,
} from '../../../common/queue/body.ts';
import type { Queue, QueueLink } from '../../../common/queue/queue.ts';
import type { IncomingMessage } from 'node:http';
import { ReasonError } from '../../../common/runtime/errors.ts';
import { INLINE_BODY_MAX_BYTES } from '../../../common/queue/job.ts';
import { bodyLength } from '../../../common/relay/index.ts';
import type { UploadMemory } from './upload-budget.ts';

export interface BodyOptions {
  readonly queue: QueueLink;
  readonly maxBodyBytes: number;
  /** Large bodies are named after their function. False: as sidecars of 0.1.0 read them. */
  readonly namesFunction: boolean;
  readonly memory: UploadMemory;
  /** Called before more of a body of unknown length goes to the store, with its size by then; it may throw. */
  readonly onStored?: (bytes: number) => void;
  /** The answer to a body above it. */
  readonly tooLarge: (maxBytes: number) => ReasonError;
}

/** The request whose body is taken. */
export interface Upload {
  readonly req: IncomingMessage;
  /** Called once the body is wanted, before its first byte is read: `100 Continue` goes out here. */
  readonly begin: () => void;
}

/** Headers of framing, which is made again when the request reaches its function: by then the body is whole and nobody waits for a 100. */
export const FRAMING = ['content-length', 'transfer-encoding', 'expect', 'trailer'];

/** What the request says of its length; 0 when it says nothing. @throws what `tooLarge` says */
export function announcedLength(
  { req }: Upload,
  { maxBodyBytes, tooLarge }: Pick<BodyOptions, 'maxBodyBytes' | 'tooLarge'>,
): number {
  const announced = Number(req.headers['content-length'] ?? 0);
  if (announced > maxBodyBytes) throw tooLarge(maxBodyBytes);
  return announced;
}

export interface TakenBody {
  readonly inline: Buffer;
  readonly stored: StoredBody | undefined;
}

/** Whose body it is; without a function: an event's. */
export interface BodyOwner {
  readonly namespace: string;
  readonly name?: string;
  /** The secret of the job or event, unique forever. */
  readonly secret: string;
}

/** @throws ReasonError `bad-request`, `queue-unavailable`, or what `tooLarge` says */
export async function takeBody(
  owner: BodyOwner,
  { req, begin }: Upload,
  options: BodyOptions,
): Promise<TakenBody> {
  begin();
  const length = bodyLength(req.rawHeaders);
  if (length === 0) return { inline: EMPTY, stored: undefined };
  if (length !== undefined && length <= INLINE_BODY_MAX_BYTES)
    return { inline: await readWhole(req, options.memory), stored: undefined };
  const chunks = chunksOf(req);
  const first = await readUpTo(chunks, INLINE_BODY_MAX_BYTES, options.memory);
  if (first.isWhole && first.bytes.length > options.maxBodyBytes)
    throw options.tooLarge(options.maxBodyBytes);
  if (first.isWhole) return { inline: first.bytes, stored: undefined };
  options.memory.add(STORING_BYTES);
  const queue = liveQueue(options);
  const name = options.namesFunction ? bodyName(owner, owner.secret) : owner.secret;
  try {
    const all = joined(first.bytes, chunks);
    const counted = length === undefined && options.onStored ? counting(all, options.onStored) : all;
    const stored = await queue.storeBody(name, counted, options.maxBodyBytes);
    return { inline: EMPTY, stored };
  } catch (error) {
    throw bodyError(error, options);
  }
}

const EMPTY = Buffer.alloc(0);
/** Memory of a body on its way to the store, beside its beginning: what is unconfirmed, and the next chunk. */
const STORING_BYTES = UNCONFIRMED_BYTES_MAX;

/** A small body of known length: its events cost a fraction of an iterator. */
function readWhole(req: IncomingMessage, memory: UploadMemory): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const parts: Buffer[] = [];
    const take = (chunk: Buffer): void => {
      try {
        memory.add(chunk.length);
        parts.push(chunk);
      } catch (error) {
        parts.length = 0;
        req.off('data', take); // it flows on, to nobody, until it is cut
        reject(error);
      }
    };
    req.on('data', take);
    req.once('end', () => resolve(parts.length === 1 ? (parts[0] as Buffer) : Buffer.concat(parts)));
    req.once('error', (cause) => reject(brokenOff(cause)));
    req.once('close', () => {
      if (!req.complete) reject(brokenOff(undefined));
    });
  });
}

async function* chunksOf(req: IncomingMessage): AsyncGenerator<Buffer> {
  try {
    for await (const chunk of req) yield chunk as Buffer;
  } catch (cause) {
    throw brokenOff(cause);
  }
}

function brokenOff(cause: unknown): ReasonError {
  return new ReasonError('bad-request', 'the request broke off before its body was whole', { cause });
}

async function readUpTo(
  chunks: AsyncGenerator<Buffer>,
  maxBytes: number,
  memory: UploadMemory,
): Promise<{ bytes: Buffer; isWhole: boolean }> {
  const parts: Buffer[] = [];
  let size = 0;
  while (size <= maxBytes) {
    const next = await chunks.next();
    if (next.done) return { bytes: Buffer.concat(parts), isWhole: true };
    memory.add(next.value.length);
    parts.push(next.value);
    size += next.value.length;
  }
  return { bytes: Buffer.concat(parts), isWhole: false };
}

async function* joined(first: Buffer, rest: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  yield first;
  yield* rest;
}

async function* counting(
  chunks: AsyncGenerator<Buffer>,
  onStored: (bytes: number) => void,
): AsyncGenerator<Buffer> {
  let size = 0;
  for await (const chunk of chunks) {
    size += chunk.length;
    onStored(size);
    yield chunk;
  }
}

function bodyError(error: unknown, { maxBodyBytes, tooLarge }: BodyOptions): ReasonError {
  if (error instanceof ReasonError) return error;
  if (error instanceof BodyStoreError && error.code === 'too-large') return tooLarge(maxBodyBytes);
  const message = 'JetStream did not take the body, nothing was accepted; try again';
  return new ReasonError('queue-unavailable', message, { cause: error, retryAfterSeconds: 2 });
}

/** @throws ReasonError `queue-unavailable` */
export function liveQueue({ queue }: Pick<BodyOptions, 'queue'>): Queue {
  if (queue.live) return queue.live;
  const message = 'NATS is not connected, nothing was accepted; try again';
  throw new ReasonError('queue-unavailable', message, { retryAfterSeconds: 2 });
}

/** Best effort: what cannot be removed now is removed by its age. */
export async function discardBody({ queue }: Pick<BodyOptions, 'queue'>, body: StoredBody): Promise<void> {
  await queue.live?.removeBody(body.name).catch(() => undefined);
}
