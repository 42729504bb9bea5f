/**
 * When the parts begin that no call needs: the identity, NATS, jobs. Loading and connecting them takes half as much CPU as
 * the start before it. So while callers wait for this pod, they begin after the answers. A pod that was woken by a job or
 * an event has no callers: they begin after 10 ms and a round trip to a proxy.
 *
 * What it gives up: a job or an event waits for that round trip, and 160 ms where no proxy answers. Where a job waits
 * beside callers, it may begin up to {@link LIMIT_MS} later.
 */
import { sleep } from '../../common/runtime/lifecycle.ts';
import type { InFlight } from '../limits/in-flight.ts';
import type { Told } from './ready-by-http.ts';

export interface CallsFirstOptions {
  readonly inFlight: Pick<InFlight, 'count' | 'ended'>;
  /** Asks a proxy how many callers there are; it may take its time. */
  readonly ask: () => Promise<Told>;
  /** For tests. */
  readonly pause?: (ms: number) => Promise<void>;
}

/** An app that is ready by then is told to the proxy anyhow, and the answer says the same. */
const ASK_AFTER_MS = 10;
/** A proxy answers within some milliseconds. A new pod that does not reach it reaches no NATS either. */
const NO_WORD_MS = 150;
/** The answers are on their way to the callers, by processes that need CPU for it. */
const AFTER_ANSWERS_MS = 10;
/** A slow app, a first call that lasts, or callers whom other pods serve: what comes by NATS has waited long enough. */
const LIMIT_MS = 500;

export class CallsFirst {
  /** Resolves once. */
  readonly over: Promise<void>;
  readonly #options: CallsFirstOptions;
  readonly #pause: (ms: number) => Promise<void>;
  readonly #ended = Promise.withResolvers<void>();
  #ready: Promise<Told> | undefined;

  /** To be made when the sidecar listens. */
  constructor(options: CallsFirstOptions) {
    this.#options = options;
    this.#pause = options.pause ?? sleep;
    const served = options.inFlight.ended().then(() => this.#pause(AFTER_ANSWERS_MS));
    this.over = Promise.race([served, this.#unlessAwaited(), this.#ended.promise, this.#pause(LIMIT_MS)]);
  }

  /** The pod's `ready` is on its way to a proxy. */
  telling(answer: Promise<Told>): void {
    this.#ready ??= answer;
  }

  /** The pod ends: its last messages need NATS. */
  end(): void {
    this.#ended.resolve();
  }

  async #unlessAwaited(): Promise<void> {
    await this.#pause(ASK_AFTER_MS);
    const { ask, inFlight } = this.#options;
    const answer = await Promise.race([this.#ready ?? ask(), this.#pause(NO_WORD_MS)]);
    const callers = answer?.callers ?? inFlight.count;
    if (callers > 0) await new Promise<void>(() => undefined); // the others end the race
  }
}
