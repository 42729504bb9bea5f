/**
 * Queries that people ask, answered from what triggers see: the same series, the same evaluator, or the same
 * Prometheus. Series that no trigger uses are not kept, so a question brings its own: they are scraped at once,
 * and for five minutes after, into a store of its own, so that no question can push a trigger's data out. A range
 * over such a series sees only what was scraped since the first question.
 */
import { labelsKey } from './promql/labels.ts';
import {
  compileQuery,
  createSeriesStore,
  runQuery,
  type Query,
  type SeriesStore,
  type Value,
} from './promql/query.ts';
import type { RemotePrometheus } from './promql/remote.ts';
import type { SeriesSource } from './promql/values.ts';
import type { ScrapedInto } from './scraper.ts';

/** How long a question's series are kept up to date. */
const KEPT_MS = 300_000;
/** Questions whose series are kept at once; the oldest goes. */
const MAX_QUESTIONS = 20;
/** Of 20 questions; triggers have ten times that. */
const GUESTS = { maxSeries: 2_000, maxSamples: 200_000 };

export interface QueryDeskOptions {
  /** What is kept for triggers. */
  readonly store: SeriesStore;
  readonly remote: RemotePrometheus | undefined;
  /** A scrape that begins after the call. */
  readonly scrape: () => Promise<void>;
  readonly now: () => number;
}

export class QueryDesk {
  /** To be scraped into beside the triggers' store. */
  readonly guests: SeriesStore = createSeriesStore(GUESTS);
  readonly #options: QueryDeskOptions;
  readonly #questions = new Map<string, { readonly query: Query; atMs: number }>();

  constructor(options: QueryDeskOptions) {
    this.#options = options;
  }

  /** @throws PromqlError with code and, where there is one, position */
  async ask(text: string, atMs?: number): Promise<Value> {
    const { remote, scrape, store, now } = this.#options;
    if (remote) return remote.query(text, atMs ?? now());
    const query = compileQuery(text);
    if (this.#note(query)) await scrape();
    // "Now" is after the scrape, or the question would miss what it asked for.
    return runQuery(query, union(store, this.guests), atMs ?? now());
  }

  /** Of the questions of the last minutes; the rest is forgotten. */
  texts(): string[] {
    const { now } = this.#options;
    const old = [...this.#questions].filter(([, { atMs }]) => now() - atMs >= KEPT_MS);
    for (const [text] of old) this.#questions.delete(text);
    if (old.length > 0) this.#setWanted();
    return [...this.#questions.keys()];
  }

  /** @returns true for a question whose series were not kept until now */
  #note(query: Query): boolean {
    const atMs = this.#options.now();
    const known = this.#questions.get(query.text);
    this.#questions.delete(query.text);
    this.#questions.set(query.text, { query, atMs });
    if (known) return false;
    const [oldest] = this.#questions.keys();
    if (this.#questions.size > MAX_QUESTIONS && oldest !== undefined) this.#questions.delete(oldest);
    this.#setWanted();
    return true;
  }

  #setWanted(): void {
    this.guests.setWanted([...this.#questions.values()].flatMap(({ query }) => query.selectors));
  }
}

/** One scrape fills both: a pod is asked once, whoever wants to know. */
export function bothStores(first: SeriesStore, second: SeriesStore): ScrapedInto {
  return {
    wantsName: (name) => first.wantsName(name) || second.wantsName(name),
    scrape(target, samples, timeMs) {
      const all = [...samples];
      for (const store of [first, second]) store.scrape(target, all, timeMs);
    },
    forget: (...args) => [first, second].forEach((store) => store.forget(...args)),
    sweep: (nowMs) => [first, second].forEach((store) => store.sweep(nowMs)),
  };
}

/** Where both have a series, the triggers' is older and so has more of it. */
function union(first: SeriesSource, second: SeriesSource): SeriesSource {
  return {
    latest: (...args) => merge(first.latest(...args), second.latest(...args)),
    range: (...args) => merge(first.range(...args), second.range(...args)),
  };
}

function merge<T extends { readonly labels: ReadonlyMap<string, string> }>(
  first: readonly T[],
  second: readonly T[],
): readonly T[] {
  if (first.length === 0) return second;
  const known = new Set(first.map(({ labels }) => labelsKey(labels)));
  return [...first, ...second.filter(({ labels }) => !known.has(labelsKey(labels)))];
}
