/**
 * Requests of a sidecar to the proxies about a large body, for what the sidecar itself may not do. One proxy answers.
 *
 * - `remove`: its job has ended, so nobody reads it any more.
 * - `read`: the next chunk of a body whose name has no function in it. It is of an event, which several functions read,
 *   or it was stored where NATS does not authenticate its clients. The name holds a secret, which only the job has.
 */
import { MessageError } from '../runtime/errors.ts';
import { parseMessage } from '../bus/messages.ts';
import { isBodyName } from './body.ts';

export type BodyWish =
  | { readonly kind: 'remove'; readonly name: string }
  /** After the chunk with this number; 0: the first one. */
  | { readonly kind: 'read'; readonly name: string; readonly after: number };

/** `number`: 0, there is none. */
export interface ReadChunk {
  readonly number: number;
  readonly data: Uint8Array;
}

export function encodeWish(wish: BodyWish): Uint8Array {
  return Buffer.from(JSON.stringify(wish));
}

/** @throws MessageError */
export function decodeWish(data: Uint8Array): BodyWish {
  const { kind, name, after } = parseMessage(data);
  if (typeof name !== 'string' || !isBodyName(name))
    throw new MessageError('wish about a body lacks the name of one');
  if (kind === 'remove') return { kind, name };
  if (kind === 'read' && Number.isSafeInteger(after) && (after as number) >= 0)
    return { kind, name, after: after as number };
  throw new MessageError('wish about a body: kind must be remove, or read with a number `after`');
}

/** The answer to `read`: 8 bytes of the number, then the chunk. */
export function encodeChunk({ number, data }: ReadChunk): Uint8Array {
  const answer = Buffer.allocUnsafe(8 + data.length);
  answer.writeBigUInt64BE(BigInt(number));
  answer.set(data, 8);
  return answer;
}

/** @throws MessageError */
export function decodeChunk(answer: Uint8Array): ReadChunk {
  if (answer.length < 8) throw new MessageError(`a chunk of a body has ${answer.length} bytes; at least 8`);
  const view = Buffer.from(answer.buffer, answer.byteOffset, answer.byteLength);
  return { number: Number(view.readBigUInt64BE()), data: view.subarray(8) };
}

/** The answer to `remove`. */
export const REMOVED: Uint8Array = Buffer.from('removed');
