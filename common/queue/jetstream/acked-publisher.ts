/**
 * Publishing to JetStream with its confirmation, at thousands a second. The library's `js.publish` makes a request of
 * each: a promise pair, a timer, headers and an Error in case it fails. That is a third of what a job costs a proxy.
 * Here one inbox and one clock serve all, and what one turn of the event loop publishes leaves in one write. It gives
 * up the library's other options (expected sequences, retries): a message id is all that jobs need.
 */
import type { Msg, NatsConnection } from '../../bus/nats.ts';
import type { StoreOutcome } from '../queue.ts';
import { natsHeaders } from '../../bus/nats-library.ts';
import { newInbox } from './library.ts';

export interface AckedMessage {
  readonly subject: string;
  readonly payload: Uint8Array;
  readonly messageId?: string;
  readonly headers?: ReturnType<typeof natsHeaders>;
}

/** JSStreamStoreFailed: the bound of one stream, or of one of its subjects. */
const STORE_FAILED = 10_077;

interface Pending {
  readonly message: AckedMessage;
  readonly deadline: number;
  readonly resolve: (outcome: StoreOutcome) => void;
}

/** What may wait here, of one connection; the next is not sent. At 10,000 publishes per second two seconds' worth. */
const WAITING_MAX = 20_000;
/** Sent and not confirmed: NATS holds a copy of each. More waits for room; an event goes to hundreds of functions at once. */
const SENT_BYTES_MAX = 64 * 1_048_576;

/** Time limits are kept this exactly; they are seconds. */
const TIMEOUT_SWEEP_MS = 50;

export class AckedPublisher {
  readonly #connection: NatsConnection;
  readonly #inbox: string;
  readonly #pending = new Map<number, Pending>();
  /** Not sent yet: of this turn of the event loop, or for want of room. */
  #queue: Pending[] = [];
  #isFlushDue = false;
  #sentBytes = 0;
  #sent = 0;
  #sweeper: NodeJS.Timeout | undefined;

  /** For one connection, and gone with it: what is unconfirmed then runs out of its time. */
  constructor(connection: NatsConnection) {
    this.#connection = connection;
    this.#inbox = `${newInbox(connection)}.`;
    connection.subscribe(`${this.#inbox}*`, {
      callback: (error, message) => {
        if (!error) this.#receive(message);
      },
    });
  }

  /** The one of this connection. */
  static of(connection: NatsConnection): AckedPublisher {
    let publisher = publishers.get(connection);
    if (!publisher) publishers.set(connection, (publisher = new AckedPublisher(connection)));
    return publisher;
  }

  /** Publishes without their confirmation yet. */
  get waiting(): number {
    return this.#pending.size + this.#queue.length;
  }

  publish(message: AckedMessage, timeoutMs: number): Promise<StoreOutcome> {
    if (this.waiting >= WAITING_MAX) return Promise.resolve(notSent('too many publishes wait'));
    return new Promise((resolve) => {
      this.#queue.push({ message, resolve, deadline: performance.now() + timeoutMs });
      this.#flushSoon();
    });
  }

  #flushSoon(): void {
    if (this.#isFlushDue || this.#queue.length === 0) return;
    this.#isFlushDue = true;
    setImmediate(() => this.#flush());
  }

  #flush(): void {
    this.#isFlushDue = false;
    let sent = 0;
    for (const pending of this.#queue) {
      const size = pending.message.payload.length;
      if (this.#sentBytes > 0 && this.#sentBytes + size > SENT_BYTES_MAX) break;
      this.#send(pending);
      sent += 1;
    }
    this.#queue = this.#queue.slice(sent);
    this.#sweeper ??= setInterval(() => this.#sweep(), TIMEOUT_SWEEP_MS).unref();
  }

  #send(pending: Pending): void {
    const { subject, payload, messageId, headers: given } = pending.message;
    const number = ++this.#sent;
    const headers = given ?? (messageId === undefined ? undefined : natsHeaders());
    try {
      if (messageId !== undefined) headers?.set('Nats-Msg-Id', messageId);
      const reply = `${this.#inbox}${number}`;
      this.#connection.publish(subject, payload, headers ? { reply, headers } : { reply });
    } catch (error) {
      return pending.resolve({ kind: 'not-sent', error: error as Error }); // closed, or beyond the server's limit
    }
    this.#sentBytes += payload.length;
    this.#pending.set(number, pending);
  }

  #receive(message: Msg): void {
    const number = Number(message.subject.slice(this.#inbox.length));
    const pending = this.#pending.get(number);
    if (pending) this.#settle(number, pending, outcomeOf(message)); // else its time was over
  }

  #settle(number: number, { message, resolve }: Pending, outcome: StoreOutcome): void {
    this.#pending.delete(number);
    this.#sentBytes -= message.payload.length;
    resolve(outcome);
    this.#flushSoon();
  }

  #sweep(): void {
    if (this.waiting === 0) {
      clearInterval(this.#sweeper);
      this.#sweeper = undefined;
    }
    const now = performance.now();
    for (const [number, pending] of this.#pending) {
      if (pending.deadline > now) continue;
      this.#settle(number, pending, { kind: 'unknown', error: new Error('no confirmation in time') });
    }
    const late = this.#queue.filter(({ deadline }) => deadline <= now);
    if (late.length === 0) return;
    this.#queue = this.#queue.filter(({ deadline }) => deadline > now);
    for (const { resolve } of late) resolve(notSent('no room in time, as others are not confirmed'));
  }
}

function notSent(why: string): StoreOutcome {
  return { kind: 'not-sent', error: new Error(why) };
}

const publishers = new WeakMap<NatsConnection, AckedPublisher>();

interface PubAck {
  readonly seq?: number;
  readonly duplicate?: boolean;
  readonly error?: { readonly err_code?: number; readonly description?: string };
}

function outcomeOf(message: Msg): StoreOutcome {
  if (message.data.length === 0)
    return {
      kind: 'not-sent',
      error: new Error('no stream takes it now; is JetStream on, and has it a leader?'),
    };
  let ack: PubAck;
  try {
    ack = message.json<PubAck>();
  } catch (error) {
    return { kind: 'unknown', error: error as Error };
  }
  if (ack.error) {
    const error = new Error(ack.error.description ?? 'refused by JetStream');
    return { kind: 'refused', error, isFull: ack.error.err_code === STORE_FAILED };
  }
  if (ack.seq === undefined)
    return { kind: 'unknown', error: new Error('a confirmation without a sequence') };
  return { kind: 'accepted', sequence: ack.seq, isDuplicate: ack.duplicate === true };
}
