/**
 * One delivered job, from a core message whose reply subject says where it came from and takes the answer. The
 * library makes its own such object only inside its consumers, which read ahead; see sidecar/jobs/pull.ts.
 *
 * Reply subjects (nats-server, ADR-15): `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer
 * sequence>.<time>.<pending>`, or with `<domain>.<account hash>` after `ACK` and a random token at the end.
 */
import { MessageError } from '../errors.ts';
import { nanos, type Msg } from '../nats.ts';

export interface Delivery {
  readonly data: Uint8Array;
  /** The job's sequence on its stream. */
  readonly seq: number;
  /** Times it was delivered, this one included. */
  readonly deliveries: number;
  /** Jobs of the same consumer that are still to be delivered. */
  readonly pending: number;
  hasHeader(name: string): boolean;
  /** Each of the four ends or prolongs the delivery; they are sent and not confirmed. */
  ack(): void;
  /** Back to the queue, after `delayMs`. */
  nak(delayMs: number): void;
  working(): void;
}

/** @throws MessageError for a message that JetStream did not deliver */
export function deliveryOf(message: Msg): Delivery {
  const place = parseAckSubject(message.reply ?? '');
  const answer = (text: string): void => {
    try {
      message.respond(encoder.encode(text));
    } catch {
      // The connection is closed: to the server that is silence, and the job comes again.
    }
  };
  return {
    ...place,
    data: message.data,
    hasHeader: (name) => message.headers?.has(name) ?? false,
    ack: () => answer('+ACK'),
    nak: (delayMs) => answer(delayMs > 0 ? `-NAK {"delay":${nanos(Math.ceil(delayMs))}}` : '-NAK'),
    working: () => answer('+WPI'),
  };
}

/** @throws MessageError */
export function parseAckSubject(subject: string): Pick<Delivery, 'seq' | 'deliveries' | 'pending'> {
  const tokens = subject.split('.');
  const isLong = tokens.length >= 11;
  const numbers = isLong ? tokens.slice(6, 11) : tokens.slice(4, 9);
  const [deliveries, seq, , , pending] = numbers.map(Number);
  const isAck = tokens[0] === '$JS' && tokens[1] === 'ACK' && numbers.length === 5;
  if (!isAck || !isCount(deliveries) || !isCount(seq) || !isCount(pending)) {
    throw new MessageError(`${JSON.stringify(subject)} is no reply subject of JetStream`);
  }
  return { deliveries, seq, pending };
}

function isCount(value: number | undefined): value is number {
  return value !== undefined && Number.isSafeInteger(value) && value >= 0;
}

const encoder = new TextEncoder();
