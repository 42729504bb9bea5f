/**
 * One delivered job, from a core message whose reply subject says where it came from and takes the answer. The
 * library makes its own such object only inside its consumers, which read ahead; see pull.ts.
 *
 * Reply subjects (nats-server, ADR-15): `$JS.ACK.<stream>.<consumer>.<deliveries>.<stream sequence>.<consumer
 * sequence>.<time>.<pending>`, or with `<domain>.<account hash>` after `ACK` and a random token at the end.
 */
import { MessageError } from '../../runtime/errors.ts';
import type { Msg, NatsConnection } from '../../bus/nats.ts';
import { parseFunctionSubject } from '../../bus/subjects.ts';
import type { Delivery } from '../queue.ts';
import { VOID_HEADER } from './streams.ts';
import { ErrorCode, nanos, NatsError } from '../../bus/nats-library.ts';

/** @throws MessageError for a message that JetStream did not deliver */
export function deliveryOf(message: Msg): Delivery {
  const reply = message.reply ?? '';
  const place = parseAckSubject(reply);
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
    receipt: reply,
    get id() {
      return parseFunctionSubject(message.subject)?.id;
    },
    get isVoid() {
      return message.headers?.has(VOID_HEADER) ?? false;
    },
    finish: () => answer('+ACK'),
    retryLater: (delayMs) => answer(nakText(delayMs)),
    working: () => answer('+WPI'),
  };
}

/** Resolves with true once the server has it, or has no such delivery any more; never rejects. */
export function finishOn(
  connection: NatsConnection,
  { receipt }: Pick<Delivery, 'receipt'>,
  timeoutMs: number,
): Promise<boolean> {
  return connection.request(receipt, encoder.encode('+ACK'), { timeout: timeoutMs }).then(
    () => true,
    (error: unknown) => error instanceof NatsError && error.code === ErrorCode.NoResponders,
  );
}

export function retryLaterOn(
  connection: NatsConnection,
  { receipt }: Pick<Delivery, 'receipt'>,
  delayMs: number,
): void {
  if (!connection.isClosed()) connection.publish(receipt, encoder.encode(nakText(delayMs)));
}

function nakText(delayMs: number): string {
  return delayMs > 0 ? `-NAK {"delay":${nanos(Math.ceil(delayMs))}}` : '-NAK';
}

/** @throws MessageError */
export function parseAckSubject(
  subject: string,
): Pick<Delivery, 'seq' | 'deliveries' | 'pending' | 'storedAtMs' | 'order'> {
  const tokens = subject.split('.');
  const isLong = tokens.length >= 11;
  const numbers = isLong ? tokens.slice(6, 11) : tokens.slice(4, 9);
  const [deliveries, seq, order, storedAt, pending] = numbers.map(Number);
  const isAck = tokens[0] === '$JS' && tokens[1] === 'ACK' && numbers.length === 5;
  const isWhole = isCount(deliveries) && isCount(seq) && isCount(order) && isCount(pending);
  // In nanoseconds, so beyond the safe integers; a fraction of a millisecond is lost.
  if (!isAck || !isWhole || storedAt === undefined || !Number.isFinite(storedAt)) {
    throw new MessageError(`${JSON.stringify(subject)} is no reply subject of JetStream`);
  }
  return { deliveries, seq, pending, order, storedAtMs: storedAt / 1e6 };
}

function isCount(value: number | undefined): value is number {
  return value !== undefined && Number.isSafeInteger(value) && value >= 0;
}

const encoder = new TextEncoder();
