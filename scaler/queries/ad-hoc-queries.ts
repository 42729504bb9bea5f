/**
 * Queries that people ask, answered from what triggers see: the same series, the same evaluator, or the same
 * Prometheus. Series that no trigger uses are not kept, so a question brings its own. They are scraped at once, and
 * for five minutes after, into a store of its own. So no question can push a trigger's data out. A range over such a
 * series sees only what was scraped since the first question.
 */
import { labelsKey } from '../promql/labels.ts';
import {
  compileQuery,
  createSeriesStore,
  runQuery,
  type Query,
  type Scope,
  type SeriesStore,
  type Value,
} from '../promql/query.ts';
import type { RemotePrometheus } from '../promql/remote.ts';
import type { SeriesSource } from '../promql/values.ts';
import type { ScrapedInto } from '../scrape/scraper.ts';

/** How long a question's series are kept up to date. */
const AD_HOC_KEPT_MS = 300_000;
/** Questions whose series are kept at once; the oldest goes. */
const MAX_QUESTIONS = 20;
/** Room for 20 questions; triggers have ten times that. */
const AD_HOC_BOUNDS = { maxSeries: 2_000, maxSamples: 200_000, maxSeriesOfKeeper: 2_000 };
/** One person's question, not each second's. */
const BUDGET_MS = 1_000;

export interface AdHocQuestion {
  readonly text: string;
  /** As a trigger of this function sees it; undefined: over everybody's series. */
  readonly scope?: Scope | undefined;
  /** Default: now. */
  readonly atMs?: number | undefined;
}

export interface AdHocQueriesOptions {
  /** What is kept for triggers. */
  readonly store: SeriesStore;
  readonly remote: RemotePrometheus | undefined;
  /** A scrape that begins after the call. */
  readonly scrape: () => Promise<void>;
  readonly now: () => number;
  /** What the budget is measured by, in milliseconds. */
  readonly clock?: () => number;
}

export class AdHocQueries {
  /** To be scraped into beside the triggers' store. */
  readonly adHocSeries: SeriesStore = createSeriesStore(AD_HOC_BOUNDS);
  readonly #options: AdHocQueriesOptions;
  readonly #questions = new Map<string, { readonly query: Query; atMs: number }>();

  constructor(options: AdHocQueriesOptions) {
    this.#options = options;
  }

  /**
   * @param onAtWork called before and after the evaluation itself
   * @throws PromqlError with code and, where there is one, position
   */
  async ask(
    { text, scope, atMs }: AdHocQuestion,
    onAtWork: (isAtWork: boolean) => void = () => {},
  ): Promise<Value> {
    const { remote, scrape, store, now, clock = () => performance.now() } = this.#options;
    if (remote) return remote.query(text, atMs ?? now());
    const query = compileQuery(text, scope);
    if (this.#note(query, `${scope?.namespace ?? ''}/${scope?.function ?? ''} ${text}`)) await scrape();
    const begunMs = clock();
    const isOverTime = () => clock() - begunMs > BUDGET_MS;
    // "Now" is after the scrape, or the question would miss what it asked for.
    onAtWork(true);
    try {
      return runQuery(query, union(store, this.adHocSeries), atMs ?? now(), { isOverTime });
    } finally {
      onAtWork(false);
    }
  }

  /** Texts of the questions of the last minutes; the rest is forgotten. */
  texts(): string[] {
    const { now } = this.#options;
    const old = [...this.#questions].filter(([, { atMs }]) => now() - atMs >= AD_HOC_KEPT_MS);
    for (const [key] of old) this.#questions.delete(key);
    if (old.length > 0) this.#setWanted();
    return [...this.#questions.values()].map(({ query }) => query.text);
  }

  /** @returns true for a question whose series were not kept until now */
  #note(query: Query, key: string): boolean {
    const atMs = this.#options.now();
    const known = this.#questions.get(key);
    this.#questions.delete(key);
    this.#questions.set(key, { query, atMs });
    if (known) return false;
    const [oldest] = this.#questions.keys();
    if (this.#questions.size > MAX_QUESTIONS && oldest !== undefined) this.#questions.delete(oldest);
    this.#setWanted();
    return true;
  }

  #setWanted(): void {
    this.adHocSeries.setWanted([...this.#questions.values()].flatMap(({ query }) => query.selectors));
  }
}

/** One scrape fills both: a pod is asked once for both. */
export function bothStores(first: SeriesStore, second: SeriesStore): ScrapedInto {
  const stores = [first, second];
  return {
    wantsName: (name) => stores.some((store) => store.wantsName(name)),
    begin(target, timeMs) {
      const intakes = stores.map((store) => store.begin(target, timeMs));
      return {
        add: (labels, value) => intakes.map((intake) => intake.add(labels, value)).includes(true),
        end: () => intakes.forEach((intake) => intake.end()),
        fail: () => intakes.forEach((intake) => intake.fail()),
      };
    },
    forget: (...args) => stores.forEach((store) => store.forget(...args)),
    sweep: (nowMs) => stores.forEach((store) => store.sweep(nowMs)),
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
