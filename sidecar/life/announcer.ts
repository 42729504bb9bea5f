/**
 * Tells proxies and scaler that this pod can take calls, or takes no more. Core NATS may lose a message, and a lost
 * `ready` would cost a caller the seconds until Kubernetes' own probe. So each is repeated, at growing intervals, and
 * once more after every reconnect. Proxies whose callers wait hear it over their place lines too, which need no NATS.
 */
import { encodeMessage, type ReadyMessage } from '../../common/bus/messages.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import { proveReady } from '../../common/places/ready-proof.ts';

const REPEATS_MS = [50, 200, 1_000, 3_000];

export class Announcer {
  readonly #nats: NatsLink;
  readonly #subject: string;
  readonly #pod: Omit<ReadyMessage, 'state' | 'seq'>;
  readonly #token: string;
  readonly #sayDirectly: (message: Uint8Array, state: ReadyMessage['state']) => void;
  readonly #unwatch: () => void;
  #state: ReadyMessage['state'] | undefined;
  #seq = -1;
  #timers: NodeJS.Timeout[] = [];

  /**
   * @param sayDirectly once for each announcement, to those that are reached without NATS
   * @param token of this pod, for the proof that it is the one that speaks
   */
  constructor(
    nats: NatsLink,
    subject: string,
    pod: Omit<ReadyMessage, 'state' | 'seq'>,
    {
      sayDirectly = () => undefined,
      token = '',
    }: { sayDirectly?: (message: Uint8Array, state: ReadyMessage['state']) => void; token?: string } = {},
  ) {
    this.#token = token;
    this.#sayDirectly = sayDirectly;
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
    this.#sayDirectly(this.#encode(state), state);
    this.#send();
    this.#timers = REPEATS_MS.map((ms) => setTimeout(() => this.#send(), ms).unref());
  }

  stop(): void {
    this.#clear();
    this.#unwatch();
  }

  #send(): void {
    if (this.#state === undefined) return;
    this.#nats.publish(this.#subject, this.#encode(this.#state));
  }

  #encode(state: ReadyMessage['state']): Uint8Array {
    const message: ReadyMessage = { ...this.#pod, state, seq: this.#seq };
    return encodeMessage(
      this.#token === '' ? message : { ...message, proof: proveReady(this.#token, message) },
    );
  }

  #clear(): void {
    for (const timer of this.#timers.splice(0)) clearTimeout(timer);
  }
}
