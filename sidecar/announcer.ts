/**
 * Tells proxies and scaler that this pod can take calls, or takes no more. Core NATS may lose a message, and
 * a lost `ready` would cost a caller the seconds until Kubernetes' own probe: so each is repeated, at growing
 * intervals, and once more after every reconnect.
 */
import { encodeMessage, type ReadyMessage } from '../common/messages.ts';
import type { NatsLink } from '../common/nats.ts';

const REPEATS_MS = [50, 200, 1_000, 3_000];

export class Announcer {
  readonly #nats: NatsLink;
  readonly #subject: string;
  readonly #pod: () => Omit<ReadyMessage, 'state' | 'seq'>;
  readonly #unwatch: () => void;
  #state: ReadyMessage['state'] | undefined;
  #seq = -1;
  #timers: NodeJS.Timeout[] = [];

  /** @param pod asked when there is something to say: a test's port is known only once it listens */
  constructor(nats: NatsLink, subject: string, pod: () => Omit<ReadyMessage, 'state' | 'seq'>) {
    this.#nats = nats;
    this.#subject = subject;
    this.#pod = pod;
    this.#unwatch = nats.onStatus((isConnected) => {
      if (isConnected) this.#send();
    });
  }

  /** Publishes `state` now and again; what was announced before is over. */
  announce(state: ReadyMessage['state']): void {
    this.#state = state;
    this.#seq += 1;
    this.#clear();
    this.#send();
    this.#timers = REPEATS_MS.map((ms) => setTimeout(() => this.#send(), ms).unref());
  }

  stop(): void {
    this.#clear();
    this.#unwatch();
  }

  #send(): void {
    if (this.#state === undefined) return;
    this.#nats.publish(this.#subject, encodeMessage({ ...this.#pod(), state: this.#state, seq: this.#seq }));
  }

  #clear(): void {
    for (const timer of this.#timers.splice(0)) clearTimeout(timer);
  }
}
