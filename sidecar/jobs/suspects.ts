/**
 * Jobs that may be done, or tried, although JetStream hands them out as new. Their records are looked at before they
 * are run, a request of 0.3 ms each. A job's first delivery is believed, except in two cases:
 *
 * - A server that was killed forgets the last moments of what its consumers had acknowledged. So after a reconnect
 *   all jobs that were stored by then are suspect. In 10,000 jobs while everything is killed once it made the repeats
 *   16, which a killed pod had running, instead of 257.
 * - A consumer that somebody deleted is made again by the scaler and delivers all that is stored from the beginning. So
 *   jobs that are older than their consumer are suspect.
 *
 * A suspect may also be running in another pod at this moment. The pods report once up to which sequence they hold
 * jobs. Jobs behind that were never delivered, so that a long queue need not be asked about one by one.
 */
import type { Delivery, Queue, QueueSource } from '../../common/queue/queue.ts';
import { sleep } from '../../common/runtime/lifecycle.ts';

const LOOK_RETRY_MS = 2_000;
/** Jobs for which it is remembered how often this pod gave them back; about more, the other pods are asked. */
const GIVEN_BACK_MAX = 1_000;

/** Up to which sequence any pod holds jobs; Infinity while nobody can tell. Never rejects. */
export type HeldUpTo = () => Promise<number>;

export interface SuspectsDeps {
  readonly queue: Pick<Queue, 'look' | 'lastSequence'>;
  readonly source: QueueSource;
  readonly isReconnect: boolean;
  /** Undefined: no other pod reads from this consumer. */
  readonly heldUpTo: HeldUpTo | undefined;
  readonly signal: AbortSignal;
}

export class Suspects {
  readonly #deps: SuspectsDeps;
  /** The last sequence that is suspect; everything, until JetStream has said where the stream ends. */
  #upTo: number;
  /** When the consumer was made; until that is known it may be younger than any job. */
  #madeMs = Infinity;
  /** Everything, until the others have said it. */
  #heldUpTo = Infinity;
  /** By sequence; the oldest is forgotten first. */
  readonly #givenBack = new Map<number, number>();
  #lastOrder = 0;
  #isAsking = false;
  /** Counts sources: what was asked of a former one does not count. */
  #generation = 0;
  #wasGone = false;
  #isLearning = false;

  constructor(deps: SuspectsDeps) {
    this.#deps = deps;
    this.#upTo = deps.isReconnect ? Infinity : 0;
    this.#learn();
  }

  /** Called for each delivery, as they come. */
  saw({ order }: Pick<Delivery, 'order'>): void {
    // One consumer counts upwards: it is another one.
    if (order < this.#lastOrder) this.sourceIsGone();
    this.#lastOrder = order;
  }

  has({ seq, storedAtMs }: Pick<Delivery, 'seq' | 'storedAtMs'>): boolean {
    return seq <= this.#upTo || storedAtMs < this.#madeMs;
  }

  /** Whether another pod may be running it although JetStream says that this is its first delivery. */
  mayBeHeld(delivery: Pick<Delivery, 'seq' | 'storedAtMs'>): boolean {
    if (!this.has(delivery)) return false;
    // A pod's first moments: a job that wakes it must not wait until the age of the consumer is known.
    if (this.#upTo === 0 && this.#madeMs === Infinity && !this.#wasGone) return false;
    void this.#askOthers();
    return delivery.seq <= this.#heldUpTo;
  }

  /** This pod lets it go, and nobody was charged for a try: its next delivery is no sign that somebody has it. */
  gaveBack({ seq }: Pick<Delivery, 'seq'>): void {
    const times = this.timesGivenBack({ seq });
    this.#givenBack.delete(seq);
    this.#givenBack.set(seq, times + 1);
    const [oldest] = this.#givenBack.keys();
    if (this.#givenBack.size > GIVEN_BACK_MAX && oldest !== undefined) this.#givenBack.delete(oldest);
  }

  timesGivenBack({ seq }: Pick<Delivery, 'seq'>): number {
    return this.#givenBack.get(seq) ?? 0;
  }

  /** There will be another one. */
  sourceIsGone(): void {
    this.#madeMs = Infinity;
    this.#heldUpTo = Infinity;
    this.#givenBack.clear();
    this.#generation += 1;
    this.#wasGone = true;
    this.#learn();
  }

  async #askOthers(): Promise<void> {
    const { heldUpTo } = this.#deps;
    if (this.#isAsking || this.#heldUpTo < Infinity || !heldUpTo) return;
    this.#isAsking = true;
    const generation = this.#generation;
    const answer = await heldUpTo();
    // The source may have gone meanwhile: then the answer is of before.
    if (generation === this.#generation) this.#heldUpTo = answer;
    this.#isAsking = false;
  }

  #learn(): void {
    if (this.#isLearning) return;
    this.#isLearning = true;
    void this.#ask().finally(() => (this.#isLearning = false));
  }

  async #ask(): Promise<void> {
    const { queue, source, signal } = this.#deps;
    while (!signal.aborted && (this.#upTo === Infinity || this.#madeMs === Infinity)) {
      const info = await queue.look(source).catch(() => undefined);
      if (info) this.#madeMs = info.madeMs;
      if (this.#upTo === Infinity) {
        this.#upTo = source.kind === 'jobs' ? await queue.lastSequence(source.id).catch(() => Infinity) : 0;
      }
      if (this.#upTo === Infinity || this.#madeMs === Infinity) await sleep(LOOK_RETRY_MS, signal);
    }
  }
}
