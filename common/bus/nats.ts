/**
 * The link to NATS that each part has. It is there from the first moment, connected or not: parts start
 * without NATS, run on without it, and connect again by themselves. Core messages published while it is down are
 * dropped and counted, never queued: a wake or an activity report of a minute ago says nothing true.
 *
 * The client library is loaded by the first connect, not by an import: it takes 21 ms of CPU and a sidecar
 * listens before that.
 *
 * Room `common/bus`: Core NATS: subjects, messages, the connection.
 * Comes in: server addresses, messages.
 * Goes out: a link that subscribes, publishes and reconnects.
 */
import type { Msg, NatsConnection } from 'nats';
import { createBackoff } from '../runtime/backoff.ts';
import { describeError } from '../runtime/errors.ts';
import { sleep, type Running } from '../runtime/lifecycle.ts';
import type { Log } from '../runtime/log.ts';
import { connectionOptions, DIAL_MS, reconnectsWithinMs } from './connection-options.ts';
import { asksNobody, followStatus, warnIfOpen } from './follow-status.ts';
import { isRefusal, mayLackTls, type NatsLogin } from './login.ts';
import { connectFirst, natsServers } from './nats-servers.ts';

export type { Msg, NatsConnection };

export interface NatsLink extends Running {
  readonly isConnected: boolean;
  /** The server that it is connected to asks nobody who one is: it takes and tells everything. */
  readonly isUnauthenticated: boolean;
  /** The live connection, for JetStream; undefined while there is none. */
  readonly connection: NatsConnection | undefined;
  /**
   * For so many ms others may still be on their way back to the server. An outage that ended when this link connected
   * ended for them too. While this link is down it is the whole time. 0: a pod that keeps silent now has nothing to
   * report.
   */
  readonly othersBackInMs: number;
  /** False when the link is down and the message was dropped. */
  publish(subject: string, data: Uint8Array): boolean;
  /** Holds across reconnects, and from before the first connection. Returns its own release. */
  subscribe(subject: string, onMessage: (subject: string, data: Uint8Array) => void): () => void;
  /**
   * Asks every subscriber of the subject; the first answer counts, a subscriber may keep silent.
   * @returns undefined when nobody answered in time, or the link is down
   */
  request(subject: string, data: Uint8Array, timeoutMs: number): Promise<Uint8Array | undefined>;
  /** The same, with every answer that comes in time, {@link ANSWERS_MAX} at most; none when the link is down. */
  requestAll(subject: string, data: Uint8Array, timeoutMs: number): Promise<Uint8Array[]>;
  /**
   * Like subscribe; what `answer` returns goes to the asker, undefined keeps silent.
   * @param group of those that serve under this name one is asked; absent: every one
   */
  serve(subject: string, answer: Answer, group?: string): () => void;
  /** Called on every change, with what it is now. Returns its own release. */
  onStatus(listener: (isConnected: boolean) => void): () => void;
}

type MaybeAnswer = Uint8Array | undefined;
/** It must not throw or reject. */
export type Answer = (data: Uint8Array, subject: string) => MaybeAnswer | Promise<MaybeAnswer>;

export interface NatsLinkOptions {
  /** `nats://host:4222`, several separated by commas. */
  readonly servers: string;
  /** An IP address of the first server, for the first try and for where its name cannot be resolved; '' for none. */
  readonly address?: string;
  /** Shown by the server's monitoring: part and pod. */
  readonly name: string;
  readonly log: Log;
  /** The first connect waits for it, and so does the loading of the library. */
  readonly after?: Promise<unknown>;
  /** Who we are; absent: nobody asks. */
  readonly login?: NatsLogin | undefined;
  /** Answers come to subjects that begin so (permissions.ts); absent: as everybody's do. */
  readonly inboxPrefix?: string | undefined;
}

/** Starts connecting, at once or {@link NatsLinkOptions.after}, and returns. */
export function openNatsLink(options: NatsLinkOptions): NatsLink {
  return new Link(options);
}

interface Subscription {
  readonly subject: string;
  readonly group: string | undefined;
  readonly onMessage: (message: Msg) => void;
  live: { unsubscribe(): void } | undefined;
}

/** How long after the start a server that is not there is nothing to worry about. */
const NEW_MS = 2_000;
const NEW_PAUSE_MS = 40;
/** What is swallowed on the way comes again after 1 s by TCP, and sooner by us. */
const NEW_DIAL_MS = 300;
/** Answers to one request: more than a function has pods. */
export const ANSWERS_MAX = 1_000;

class Link implements NatsLink {
  readonly #options: NatsLinkOptions;
  readonly #subscriptions = new Set<Subscription>();
  readonly #listeners = new Set<(isConnected: boolean) => void>();
  readonly #stopping = new AbortController();
  #connection: NatsConnection | undefined;
  #isConnected = false;
  #connectedAt = Infinity;

  constructor(options: NatsLinkOptions) {
    this.#options = options;
    warnIfOpen(this, options);
    options.login?.identity.onRenewed(() => void this.#reconnect());
    void this.#keepConnected();
  }

  get isConnected(): boolean {
    return this.#isConnected;
  }

  get isUnauthenticated(): boolean {
    return asksNobody(this.connection);
  }

  get connection(): NatsConnection | undefined {
    return this.#isConnected ? this.#connection : undefined;
  }

  get othersBackInMs(): number {
    const { servers, address } = this.#options;
    const { named, atHand } = natsServers(servers, address);
    const withinMs = reconnectsWithinMs((atHand ?? named).length);
    return Math.min(withinMs, Math.max(0, this.#connectedAt + withinMs - performance.now()));
  }

  publish(subject: string, data: Uint8Array): boolean {
    if (!this.#isConnected) return false;
    try {
      this.#connection?.publish(subject, data);
      return true;
    } catch {
      return false; // the connection closed between its last event and now
    }
  }

  subscribe(subject: string, onMessage: (subject: string, data: Uint8Array) => void): () => void {
    return this.#keep(subject, (message) => onMessage(message.subject, message.data));
  }

  serve(subject: string, answer: Answer, group?: string): () => void {
    const onMessage = (message: Msg): void => {
      const data = answer(message.data, message.subject);
      // The connection may close meanwhile, and then nobody can be told.
      if (data instanceof Promise) data.then((late) => late && message.respond(late)).catch(() => undefined);
      else if (data) message.respond(data);
    };
    return this.#keep(subject, onMessage, group);
  }

  async request(subject: string, data: Uint8Array, timeoutMs: number): Promise<Uint8Array | undefined> {
    try {
      return (await this.connection?.request(subject, data, { timeout: timeoutMs }))?.data;
    } catch {
      return undefined; // nobody there, silence, or the link went down: all the same to the asker
    }
  }

  async requestAll(subject: string, data: Uint8Array, timeoutMs: number): Promise<Uint8Array[]> {
    const answers: Uint8Array[] = [];
    try {
      const messages = await this.connection?.requestMany(subject, data, { maxWait: timeoutMs });
      for await (const message of messages ?? []) {
        if (message.data.length > 0) answers.push(message.data); // empty: nobody there
        if (answers.length === ANSWERS_MAX) break;
      }
    } catch {
      // the link went down; what came before that came
    }
    return answers;
  }

  #keep(subject: string, onMessage: (message: Msg) => void, group?: string): () => void {
    const subscription: Subscription = { subject, group, onMessage, live: undefined };
    this.#subscriptions.add(subscription);
    this.#attach(subscription);
    return () => {
      this.#subscriptions.delete(subscription);
      subscription.live?.unsubscribe();
      subscription.live = undefined;
    };
  }

  onStatus(listener: (isConnected: boolean) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    void this.#options.login?.identity.stop();
    const connection = this.#connection;
    if (!connection) return;
    // A drain flushes what was published last (the final activity report); a dead server must not hold us.
    const drained = new AbortController();
    const drain = connection
      .drain()
      .catch(() => undefined)
      .finally(() => drained.abort());
    await Promise.race([drain, sleep(1_000, drained.signal)]);
    await connection.close();
  }

  /** nats.js reconnects by itself; this loop is for the first connection and for a closed one. */
  async #keepConnected(): Promise<void> {
    await this.#options.after;
    const backoff = createBackoff({ minMs: 50, maxMs: 2_000 });
    const { signal } = this.#stopping;
    const startedMs = performance.now();
    while (!signal.aborted) {
      // A new pod is let out only once the enforcer of a NetworkPolicy has seen its address, after a second or so.
      const isNew = this.#connection === undefined && performance.now() - startedMs < NEW_MS;
      try {
        await this.#options.login?.ready(signal);
        if (signal.aborted) return;
        const connection = await this.#dial(isNew ? NEW_DIAL_MS : DIAL_MS);
        backoff.reset();
        if (signal.aborted) return await connection.close();
        this.#adopt(connection);
        this.#heed(await connection.closed());
      } catch (error) {
        const { servers, log } = this.#options;
        const facts = { servers, error: describeError(error) };
        if (isNew) log.debug(facts, 'no NATS server yet; trying again');
        else log.warn(facts, 'no NATS server; trying again');
      }
      this.#setConnected(false);
      this.#connection = undefined;
      await sleep(isNew ? NEW_PAUSE_MS : backoff.next(), signal);
    }
  }

  #dial(timeoutMs: number): Promise<NatsConnection> {
    const { servers, address } = this.#options;
    return connectFirst(natsServers(servers, address), (list) => this.#connect(list, timeoutMs));
  }

  async #connect(servers: readonly string[], timeoutMs: number): Promise<NatsConnection> {
    const { connect } = await import('./nats-library.ts');
    const by = (withTls: boolean) =>
      connect(connectionOptions(this.#options, servers, { timeoutMs, withTls }));
    try {
      return await by(true);
    } catch (error) {
      this.#heed(error);
      if (!mayLackTls(this.#options, error)) throw error;
      return by(false);
    }
  }

  /** The JWT that the server did not believe is changed soon. */
  #heed(error: unknown): void {
    if (isRefusal(error)) this.#options.login?.identity.renew();
  }

  /** By ourselves and at once, with the new JWT: the server would close the connection when the old one ends. */
  async #reconnect(): Promise<void> {
    const connection = this.connection;
    try {
      await connection?.flush();
      await connection?.reconnect();
    } catch {
      // it closed in the meantime, and the next connect has the new JWT
    }
  }

  #adopt(connection: NatsConnection): void {
    this.#connection = connection;
    for (const subscription of this.#subscriptions) this.#attach(subscription);
    this.#setConnected(true);
    void followStatus(connection, this.#options.log, (isConnected) => {
      if (connection === this.#connection) this.#setConnected(isConnected);
    });
  }

  #attach(subscription: Subscription): void {
    if (!this.#connection || this.#connection.isClosed()) return;
    const { subject, group } = subscription;
    subscription.live = this.#connection.subscribe(subject, {
      ...(group === undefined ? {} : { queue: group }),
      callback: (error, message) => {
        if (!error) subscription.onMessage(message);
      },
    });
  }

  #setConnected(isConnected: boolean): void {
    if (this.#isConnected === isConnected) return;
    this.#isConnected = isConnected;
    if (isConnected) this.#options.login?.believed();
    this.#connectedAt = isConnected ? performance.now() : Infinity;
    this.#options.log.info({ servers: this.#options.servers }, isConnected ? 'NATS connected' : 'NATS lost');
    for (const listener of this.#listeners) listener(isConnected);
  }
}
