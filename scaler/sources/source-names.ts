/**
 * Names of sources to addresses. The system's resolver holds one of the process's helper threads until it has an answer,
 * which takes 10 s where nobody answers for a zone. So a namespace has one lookup at a time, and after a slow one it
 * pauses. Whose poll is over leaves the line.
 */
import { systemLookup, type Resolve } from '../../common/outbound/resolve.ts';
import { SourceTurns } from './turns.ts';

export interface ForWhom {
  readonly namespace: string;
  readonly signal: AbortSignal;
}

/** All addresses of a name. Rejects when there is none, and when the signal is aborted before it is its turn. */
export type ResolveFor = (host: string, whom: ForWhom) => Promise<readonly string[]>;

const LOOKUPS = { inAll: 2, ofNamespace: 1, ofFunction: 1 } as const;
/** A lookup is slow from here on. */
const SLOW_LOOKUP_MS = 2_000;
/** A namespace's slow lookups have a fifth of the time at most. */
const PAUSE_FACTOR = 4;

export class SourceNames {
  readonly #lookup: Resolve;
  readonly #clock: () => number;
  readonly #pausedUntilMs = new Map<string, number>();
  readonly #turns = new SourceTurns(LOOKUPS, (namespace) => this.#pauseMs(namespace));

  constructor(lookup: Resolve = systemLookup, clock: () => number = () => performance.now()) {
    this.#lookup = lookup;
    this.#clock = clock;
  }

  get inLine(): number {
    return this.#turns.inLine;
  }

  readonly resolve: ResolveFor = async (host, { namespace, signal }) => {
    const end = await this.#turns.take({ namespace, name: '' }, signal);
    if (!end) throw signal.reason;
    const begunMs = this.#clock();
    try {
      return await this.#lookup(host);
    } finally {
      const tookMs = this.#clock() - begunMs;
      if (tookMs >= SLOW_LOOKUP_MS) this.#pause(namespace, tookMs * PAUSE_FACTOR);
      end();
    }
  };

  #pause(namespace: string, forMs: number): void {
    const nowMs = this.#clock();
    for (const [one, untilMs] of this.#pausedUntilMs) if (untilMs <= nowMs) this.#pausedUntilMs.delete(one);
    this.#pausedUntilMs.set(namespace, nowMs + forMs);
  }

  #pauseMs(namespace: string): number {
    return Math.max(0, (this.#pausedUntilMs.get(namespace) ?? -Infinity) - this.#clock());
  }
}
