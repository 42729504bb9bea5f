/**
 * Queries of triggers and of people, for the main thread. It tells the queries' thread what to scrape and to
 * evaluate, and keeps the answers. Both leader and followers scrape, so that a new leader knows the past.
 *
 * Room `scaler/queries`: Queries of triggers and people, in a thread of its own.
 * Comes in: rules and questions.
 * Goes out: answers.
 */
import type { FunctionInfo } from '../../common/function/spec.ts';
import { expandQuery, unknownNames } from '../../common/function/query-names.ts';
import type { Log } from '../../common/runtime/log.ts';
import { GAUGES, type FunctionSample } from './function-gauges.ts';
import { PromqlError } from '../promql/error.ts';
import type { QueryScope } from '../promql/scope.ts';
import type { SeriesStoreOptions } from '../promql/limits.ts';
import type { QueryHostOptions } from './query-host.ts';
import { QueryHost } from './query-host.ts';
import {
  QUERY_BUDGETS,
  type FromQueryThread,
  type OwnSamples,
  type QueryBudgets,
  type QueryThreadStats,
  type RuleAnswers,
  type Wants,
} from './query-messages.ts';
import { viewOfError } from './query-error.ts';
import type { ScrapeTarget } from '../scrape/scrape-targets.ts';
import type { TriggerSources } from '../sources/trigger-sources.ts';
import type { TriggerQueries } from './trigger-queries.ts';
import type { QueriesStats } from './queries-stats.ts';

export interface QueriesOptions {
  /** Their queries, and what was answered last. */
  readonly triggers: TriggerQueries;
  readonly series: SeriesStoreOptions;
  readonly budgets?: QueryBudgets;
  readonly prometheusUrl: string;
  /** Sources of triggers; default: nobody has any. */
  readonly sources?: TriggerSources;
  /** `--source-allow`. */
  readonly sourceAllow?: readonly string[];
  readonly isLeader: () => boolean;
  readonly targets: (withSidecars: boolean) => readonly ScrapeTarget[];
  readonly samples: () => Iterable<FunctionSample>;
  readonly now: () => number;
  readonly log: Log;
  /** Values of these functions' triggers have changed; default: nobody waits for it. */
  readonly onAnswers?: (keys: readonly string[]) => void;
  readonly host?: Pick<QueryHostOptions, 'script' | 'silentMs' | 'clock' | 'memoryMb'>;
}

export interface FunctionsWithQueries {
  readonly withQueries: readonly FunctionInfo[];
  readonly withSources?: readonly FunctionInfo[];
  readonly everyMs: number;
}

/** Status and JSON, as the HTTP route gives them. */
export interface JsonAnswer {
  readonly status: number;
  readonly json: string;
}

const NO_CHANGE = { set: [], gone: [] };
/** As often as the triggers' default, for series that only people ask for. */
const ASKED_EVERY_MS = 5_000;
const NOTHING: Wants = { gauges: [], sidecars: false, questions: false };
const NO_LINES = { polls: 0, pollsInLine: 0, namesInLine: 0 };
const NO_STATS: QueryThreadStats = {
  series: 0,
  samples: 0,
  dropped: 0,
  refused: new Map(),
  sources: NO_LINES,
};
/** Questions that wait; each has a second of evaluation at most. */
const MAX_ASKED = 20;

export class Queries {
  readonly triggers: TriggerQueries;
  /** As last set. */
  #functions: readonly FunctionInfo[] = [];
  #withSources: readonly FunctionInfo[] = [];
  readonly #options: QueriesOptions;
  readonly #host: QueryHost;
  readonly #asked = new Map<number, (answer: JsonAnswer) => void>();
  #lastAskedId = 0;
  #wants = NOTHING;
  #stats = NO_STATS;
  /** The last request for a scrape. */
  #requested = 0;
  #everyMs = Infinity;
  #scrapedAtMs = -Infinity;

  constructor(options: QueriesOptions) {
    const { series, budgets = QUERY_BUDGETS, prometheusUrl, sourceAllow = [], log } = options;
    this.#options = options;
    this.triggers = options.triggers;
    const gauges = GAUGES.map(({ name }) => name);
    const leaderGauges = GAUGES.filter(({ isLeaders }) => isLeaders).map(({ name }) => name);
    this.#host = new QueryHost({
      data: { series, budgets, prometheusUrl, gauges, leaderGauges, sourceAllow },
      onMessage: (message) => this.#heard(message),
      onStarted: () => this.#started(),
      onLost: (culprit) => this.#lost(culprit),
      log,
      ...options.host,
    });
  }

  get isRunning(): boolean {
    return this.#host.isRunning;
  }

  get stats(): QueriesStats {
    return { ...this.#stats, restarts: this.#host.restarts };
  }

  /** All whose triggers have queries, and the shortest of their intervals; the same list again costs nothing. */
  setFunctions({ withQueries, withSources = [], everyMs }: FunctionsWithQueries): void {
    this.#withSources = withSources;
    if (this.#functions === withQueries) return;
    this.#functions = withQueries;
    this.#everyMs = everyMs;
    const { set, gone } = this.triggers.setFunctions(withQueries);
    if (this.#host.isRunning && set.length + gone.length > 0) this.#host.post({ kind: 'rules', set, gone });
  }

  /** Starts what takes time and waits for none of it. */
  tick(): void {
    const { isLeader, now, sources } = this.#options;
    const { set, gone } = sources?.update(isLeader() ? this.#withSources : []) ?? NO_CHANGE;
    const isWanted = this.triggers.size + (sources?.size ?? 0) > 0;
    if (!isWanted && !this.#host.isRunning) return;
    const wasRunning = this.#host.isRunning;
    if (!this.#host.ensure()) return;
    // A thread that has just been started was told all.
    if (wasRunning && set.length + gone.length > 0) this.#host.post({ kind: 'sources', set, gone });
    const free = this.triggers.unblocked();
    if (free.length > 0) this.#host.post({ kind: 'rules', set: free, gone: [] });
    const everyMs = this.#wants.questions ? Math.min(this.#everyMs, ASKED_EVERY_MS) : this.#everyMs;
    if (now() - this.#scrapedAtMs >= everyMs || now() < this.#scrapedAtMs) this.#scrape(everyMs);
    this.#host.tick(isLeader());
  }

  /** @param scope as a trigger of this function sees it; undefined: over everybody's series */
  ask(text: string, scope: QueryScope | undefined, atMs: number | undefined): Promise<JsonAnswer> {
    const unknown = scope ? unknownNames(text) : [];
    if (unknown.length > 0) return Promise.resolve(refusal(`${unknown.join(', ')} names nothing`, 'syntax'));
    if (this.#asked.size >= MAX_ASKED || !this.#host.ensure())
      return Promise.resolve(refusal('too many questions, or the evaluation is starting again; ask again'));
    this.#lastAskedId += 1;
    const id = this.#lastAskedId;
    return new Promise((resolve) => {
      this.#asked.set(id, resolve);
      const asked = scope ? expandQuery(text, { namespace: scope.namespace, name: scope.function }) : text;
      this.#host.post({ kind: 'ask', id, text: asked, scope, atMs });
    });
  }

  stop(): Promise<void> {
    this.#giveUpAsked();
    return this.#host.stop();
  }

  #lost(culprit: number): void {
    this.triggers.block(culprit);
    this.#options.sources?.block(culprit);
    this.#giveUpAsked();
  }

  #started(): void {
    this.#wants = NOTHING;
    this.#requested = 0;
    this.#scrapedAtMs = -Infinity;
    this.#host.post({ kind: 'rules', set: this.triggers.rulesInUse(), gone: [] });
    this.#host.post({ kind: 'sources', set: this.#options.sources?.rulesInUse() ?? [], gone: [] });
  }

  #giveUpAsked(): void {
    for (const resolve of this.#asked.values())
      resolve(refusal('the evaluation hung or ran out of memory and is started again'));
    this.#asked.clear();
  }

  #heard(message: FromQueryThread): void {
    switch (message.kind) {
      case 'alive':
        this.#stats = message.stats;
        return this.#take(message.answers);
      case 'source':
        return this.#changed(this.#options.sources?.take([message.answer]) ?? []);
      case 'wants':
        return this.#want(message.wants, message.requested);
      case 'answer':
        this.#asked.get(message.id)?.(message);
        return void this.#asked.delete(message.id);
    }
  }

  #take(answers: readonly RuleAnswers[]): void {
    this.#changed(this.triggers.take(answers));
  }

  #changed(changed: readonly string[]): void {
    if (changed.length > 0) this.#options.onAnswers?.(changed);
  }

  #want(wants: Wants, requested: number): void {
    const isNew = requested > this.#requested;
    this.#wants = wants;
    this.#requested = requested;
    if (isNew) this.#scrape(ASKED_EVERY_MS);
  }

  #scrape(everyMs: number): void {
    const { prometheusUrl, targets, now, isLeader } = this.#options;
    if (prometheusUrl !== '') return;
    this.#scrapedAtMs = now();
    const own = this.#own();
    const text = JSON.stringify(targets(this.#wants.sidecars));
    const message = { targets: text, own, everyMs, isLeader: isLeader(), requested: this.#requested };
    this.#host.post({ kind: 'scrape', ...message }, [own.values.buffer]);
  }

  /** The scaler's own gauges, so that a query can use them without anybody scraping the scaler. */
  #own(): OwnSamples {
    // There are 9 gauges over 10,000 functions, and a query wants one of them, or none.
    const gauges = GAUGES.filter(
      ({ name, isLeaders }) => this.#wants.gauges.includes(name) && (!isLeaders || this.#options.isLeader()),
    );
    const samples = gauges.length === 0 ? [] : [...this.#options.samples()];
    const values = new Float64Array(gauges.length * samples.length);
    for (const [g, gauge] of gauges.entries())
      for (const [s, sample] of samples.entries()) values[g * samples.length + s] = gauge.value(sample);
    const functions = samples
      .map(({ workload }) => `${workload.id.namespace}/${workload.id.name}`)
      .join('\n');
    return { gauges: gauges.map(({ name }) => name), functions, values };
  }
}

function refusal(message: string, code: 'too-expensive' | 'syntax' = 'too-expensive'): JsonAnswer {
  const { status, body } = viewOfError(new PromqlError(code, message));
  return { status, json: JSON.stringify(body) };
}
