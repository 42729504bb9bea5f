/**
 * A job on the wire: how a stored HTTP request is written into one JetStream message and read again, byte for
 * byte. The head travels inside the payload and not as NATS headers, because these cannot carry every byte
 * that an HTTP header value may have.
 *
 * Payload: 4 bytes length of the head (big endian), the head as UTF-8 JSON, then the inline body.
 *
 * Room `common/queue`: Jobs and events at rest, and JetStream behind them.
 * Comes in: a stored request.
 * Goes out: deliveries, states, results, dead letters.
 */
import { MessageError } from '../runtime/errors.ts';
import { checkHead, type JobHead } from './check-head.ts';

export type { JobHead };

/** Bodies up to here travel inside the message; JetStream's own limit is 1 MiB per message. */
export const INLINE_BODY_MAX_BYTES = 512 * 1024;

export interface Job {
  readonly head: JobHead;
  /** Empty when `head.object` is set. */
  readonly body: Buffer;
}

export function encodeJob(head: JobHead, body: Uint8Array): Buffer {
  const json = Buffer.from(JSON.stringify(head));
  const payload = Buffer.allocUnsafe(4 + json.length + body.length);
  payload.writeUInt32BE(json.length, 0);
  json.copy(payload, 4);
  payload.set(body, 4 + json.length);
  return payload;
}

/** The stored body that goes when this job does; an event's is read by others too, and goes with its age. */
export function ownBody({ object, event }: JobHead): JobHead['object'] {
  return event === undefined ? object : undefined;
}

/** @throws MessageError when the payload is not what {@link encodeJob} writes */
export function decodeJob(data: Uint8Array): Job {
  const payload = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const headEnd = payload.length < 4 ? Infinity : 4 + payload.readUInt32BE(0);
  if (headEnd > payload.length) throw new MessageError(`job payload of ${payload.length} bytes is cut off`);
  let head: unknown;
  try {
    head = JSON.parse(payload.toString('utf8', 4, headEnd));
  } catch (cause) {
    throw new MessageError('job head is not JSON', { cause });
  }
  return { head: checkHead(head), body: payload.subarray(headEnd) };
}

/**
 * The id that callers see: `<32 hex digits of secret><stream sequence in hex>`. Proxy (from the PubAck) and sidecar
 * (from the message) both know the sequence, so an id needs no index. The sequence finds the job, and the secret
 * proves that the asker was told.
 */
export function elementId(secret: string, sequence: number): string {
  return `${secret}${sequence.toString(16)}`;
}

/** Undefined for anything that {@link elementId} cannot have made. */
export function parseElementId(id: string): { secret: string; sequence: number } | undefined {
  const match = /^([0-9a-f]{32})([1-9a-f][0-9a-f]{0,12})$/.exec(id);
  if (!match) return undefined;
  return { secret: match[1] as string, sequence: Number.parseInt(match[2] as string, 16) };
}
