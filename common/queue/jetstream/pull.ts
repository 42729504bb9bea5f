/**
 * A pull consumer that asks for as many jobs as there are places, and knows how many it has asked for. The library's
 * `fetch` makes a subscription each time and its `consume` reads ahead; both are wrong for a pod that may have one
 * place. Here one inbox serves all requests. Each request is a number of credits. It ends with a message, with the
 * server's message that it is over, or with its time.
 */
import type { TakeOptions, Taker } from '../queue.ts';
import { deliveryOf } from './delivery.ts';
import type { Msg, NatsConnection } from '../../bus/nats.ts';
import { nanos } from '../../bus/nats-library.ts';
import { newInbox } from './library.ts';

/** Long, because renewing costs the server; the request ends with the connection anyway. */
const EXPIRES_MS = 20_000;
/**
 * The time of the first request, until the consumer has answered once. A consumer that does not exist yet keeps
 * silent, because the server listens to every API subject, so there is no "no responders". It is to be found soon
 * after it exists.
 */
const FIRST_EXPIRES_MS = 500;
/** Extra wait for the server's end-of-request message after the request expires. */
const GRACE_MS = 500;

export interface PullOptions extends TakeOptions {
  readonly connection: NatsConnection;
  readonly stream: string;
  readonly consumer: string;
}

interface Request {
  credits: number;
  readonly timer: NodeJS.Timeout;
}

export class PullConsumer implements Taker {
  readonly #options: PullOptions;
  readonly #inbox: string;
  readonly #subscription: { drain(): Promise<void> };
  readonly #requests = new Map<string, Request>();
  #sent = 0;
  /** The consumer has answered something since it last kept silent. */
  #isThere = false;

  constructor(options: PullOptions) {
    this.#options = options;
    this.#inbox = newInbox(options.connection);
    this.#subscription = options.connection.subscribe(`${this.#inbox}.*`, {
      callback: (error, message) => {
        if (!error) this.#receive(message);
      },
    });
  }

  /** Jobs asked for and not received. */
  get credits(): number {
    let sum = 0;
    for (const request of this.#requests.values()) sum += request.credits;
    return sum;
  }

  ask(jobs: number): void {
    const { connection, stream, consumer } = this.#options;
    if (connection.isClosed()) return; // there will be another one, and another consumer
    const reply = `${this.#inbox}.${++this.#sent}`;
    const expiresMs = this.#isThere ? EXPIRES_MS : FIRST_EXPIRES_MS;
    const timer = setTimeout(() => this.#silence(reply), expiresMs + GRACE_MS);
    this.#requests.set(reply, { credits: jobs, timer });
    const body = JSON.stringify({ batch: jobs, expires: nanos(expiresMs) });
    connection.publish(`$JS.API.CONSUMER.MSG.NEXT.${stream}.${consumer}`, body, { reply });
  }

  /** The server forgets open requests once nobody listens. What is on its way still comes, to be given back. */
  stop(): void {
    this.#subscription.drain().catch(() => undefined); // a closed connection has nothing on its way
    for (const { timer } of this.#requests.values()) clearTimeout(timer);
    this.#requests.clear();
  }

  #silence(reply: string): void {
    this.#isThere = false;
    this.#end(reply, false);
  }

  #receive(message: Msg): void {
    const code = message.headers?.code ?? 0;
    // 409 may say that the consumer was deleted, and the next one keeps silent until it is there.
    this.#isThere = code !== 503 && code !== 409;
    if (message.subject.startsWith(this.#inbox)) {
      // A status: 404 no messages, 408 time is up, 409 refused, 503 no JetStream at all.
      return this.#end(message.subject, code !== 404 && code !== 408);
    }
    this.#spend();
    this.#options.onDelivery(deliveryOf(message));
  }

  /**
   * A message does not say which request it answers, and the server takes them in turn. With several open, the count
   * of each would drift, and a request that is over would seem open. So one is asked at a time, when the last is
   * spent.
   */
  #spend(): void {
    for (const [reply, request] of this.#requests) {
      request.credits -= 1;
      if (request.credits === 0) this.#forget(reply, request);
      return;
    }
  }

  #end(reply: string, isRefused: boolean): void {
    const request = this.#requests.get(reply);
    if (!request) return;
    this.#forget(reply, request);
    this.#options.onCredits(isRefused);
  }

  #forget(reply: string, request: Request): void {
    clearTimeout(request.timer);
    this.#requests.delete(reply);
  }
}
