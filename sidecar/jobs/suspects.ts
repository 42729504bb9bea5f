/**
 * Jobs that may be done, or tried, although JetStream hands them out as new. Their records are looked at before they
 * are run, a request of 0.3 ms each. A job's first delivery is believed, but for two cases:
 *
 * - A server that was killed forgets the last moments of what its consumers had acknowledged. So after a reconnect
 *   all jobs that were stored by then are suspect. In 10,000 jobs while everything is killed once it made the repeats
 *   16, which a killed pod had running, instead of 257.
 * - A consumer that somebody deleted is made anew by the scaler and delivers all that is stored from the beginning. So
 *   jobs that are older than their consumer are suspect.
 */
import type { Delivery } from '../../common/jobs/delivery.ts';
import { sleep } from '../../common/lifecycle.ts';
import type { JetStreamManager } from '../../common/nats.ts';
import type { Source } from './consumer.ts';

const AGAIN_MS = 2_000;

export interface SuspectsDeps {
  readonly jsm: JetStreamManager;
  readonly source: Source;
  readonly isReconnect: boolean;
  readonly signal: AbortSignal;
}

export class Suspects {
  readonly #deps: SuspectsDeps;
  /** The last sequence that is suspect; everything, until JetStream has said where the stream ends. */
  #upTo: number;
  /** When the consumer was made; until that is known it may be younger than any job. */
  #madeMs = Infinity;
  #lastConsumerSeq = 0;
  #isLearning = false;

  constructor(deps: SuspectsDeps) {
    this.#deps = deps;
    this.#upTo = deps.isReconnect ? Infinity : 0;
    this.#learn();
  }

  has({ seq, storedAtMs, consumerSeq }: Pick<Delivery, 'seq' | 'storedAtMs' | 'consumerSeq'>): boolean {
    // One consumer counts upwards: it is another one.
    if (consumerSeq < this.#lastConsumerSeq) this.consumerIsGone();
    this.#lastConsumerSeq = consumerSeq;
    return seq <= this.#upTo || storedAtMs < this.#madeMs;
  }

  /** There will be another one. */
  consumerIsGone(): void {
    this.#madeMs = Infinity;
    this.#learn();
  }

  #learn(): void {
    if (this.#isLearning) return;
    this.#isLearning = true;
    void this.#ask().finally(() => (this.#isLearning = false));
  }

  async #ask(): Promise<void> {
    const { jsm, source, signal } = this.#deps;
    while (!signal.aborted && (this.#upTo === Infinity || this.#madeMs === Infinity)) {
      const consumer = await jsm.consumers.info(source.stream, source.consumer).catch(() => undefined);
      if (consumer) this.#madeMs = Date.parse(consumer.created);
      if (this.#upTo === Infinity) {
        const stream = await jsm.streams.info(source.stream).catch(() => undefined);
        if (stream) this.#upTo = stream.state.last_seq;
      }
      if (this.#upTo === Infinity || this.#madeMs === Infinity) await sleep(AGAIN_MS, signal);
    }
  }
}
