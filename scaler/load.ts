/**
 * What load is measured by: jobs in JetStream, queries of triggers, scraped series, and the advice made of them.
 * Everything here may fail or be slow without a decision waiting for it.
 */
import type { Log } from '../common/log.ts';
import type { NatsLink } from '../common/nats.ts';
import { functionKey, type FunctionId } from '../common/subjects.ts';
import { EventKeeper, type PodState } from './event-keeper.ts';
import { jobSettingsOf, seriesOptionsOf, type ScalerConfig } from './flags.ts';
import { JobKeeper, type KeptFunction } from './job-keeper.ts';
import { tuningOf } from './load-flags.ts';
import { createLoadAdvisor, type LoadAdvisor } from './load-advisor.ts';
import { GAUGES, type FunctionSample } from './metrics.ts';
import { createSeriesStore, type SeriesStats, type SeriesStore } from './promql/query.ts';
import { createRemotePrometheus } from './promql/remote.ts';
import type { ScrapePods } from './scrape-pods.ts';
import { scrapeTargets } from './scrape-targets.ts';
import { bothStores, QueryDesk } from './query-desk.ts';
import { Scraper, type OwnSample, type ScrapeTarget } from './scraper.ts';
import { TriggerQueries } from './trigger-queries.ts';
import type { World } from './world.ts';

/** As often as the triggers' default, for series that only people ask for. */
const ASKED_EVERY_MS = 5_000;

export interface LoadDeps {
  readonly config: ScalerConfig;
  readonly nats: NatsLink;
  readonly world: World;
  readonly isLeader: () => boolean;
  readonly isSynced: () => boolean;
  readonly samples: () => Iterable<FunctionSample>;
  /** Pods that are no function's. */
  readonly scrapePods: ScrapePods;
  readonly onJobs: (key: string) => void;
  readonly now: () => number;
  readonly log: Log;
}

export class Load {
  readonly advisor: LoadAdvisor;
  readonly jobs: JobKeeper;
  /** For people who ask. */
  readonly desk: QueryDesk;
  readonly #events: EventKeeper;
  readonly #deps: LoadDeps;
  readonly #store: SeriesStore;
  readonly #queries: TriggerQueries;
  readonly #scraper: Scraper | undefined;
  #kept: readonly KeptFunction[] = [];
  #specVersion = -1;
  #scrapeEveryMs = Infinity;
  #scrapedAtMs = -Infinity;

  constructor(deps: LoadDeps) {
    const { config, nats, isLeader, now, log } = deps;
    this.#deps = deps;
    const url = config['prometheus-url'];
    const store = (this.#store = createSeriesStore(seriesOptionsOf(config)));
    const remote = url === '' ? undefined : createRemotePrometheus({ url });
    this.#queries = new TriggerQueries({ store, remote, now, log });
    this.desk = new QueryDesk({ store, remote, now, scrape: () => this.#scrapeAnew() });
    this.#scraper = remote ? undefined : new Scraper({ store: bothStores(store, this.desk.guests), now });
    this.jobs = new JobKeeper({
      nats,
      isLeader,
      now,
      log,
      settings: jobSettingsOf(config),
      functions: () => (deps.isSynced() ? this.#functions() : undefined),
      isOurs: (namespace) => config.namespaces.length === 0 || config.namespaces.includes(namespace),
      onChange: deps.onJobs,
    });
    this.#events = new EventKeeper({
      nats,
      isLeader,
      now,
      log,
      podState: (id, pod) => this.#podState(id, pod),
    });
    this.advisor = createLoadAdvisor({
      tuning: tuningOf(config),
      queries: this.#queries,
      jobsOf: (key) => ({
        ready: this.jobs.isFresh ? (this.jobs.depthOf(key)?.ready ?? 0) : undefined,
        total: this.jobs.depthOf(key)?.total ?? 0,
        perSecond: this.jobs.rateOf(key),
      }),
    });
  }

  /** What is kept for queries, and what had no room. */
  get series(): SeriesStats {
    return this.#store.stats;
  }

  /** Before each pass of decisions; starts what takes time and waits for none of it. */
  tick(): void {
    const { isLeader, now } = this.#deps;
    this.#functions();
    void this.jobs.tick();
    void this.#events.tick();
    const hasQuestions = this.desk.texts().length > 0;
    const everyMs = hasQuestions ? Math.min(this.#scrapeEveryMs, ASKED_EVERY_MS) : this.#scrapeEveryMs;
    const isDue = now() - this.#scrapedAtMs >= everyMs || now() < this.#scrapedAtMs;
    if (!this.#scraper || !isLeader() || !isDue) return;
    this.#scrapedAtMs = now();
    this.#deps.scrapePods.follow();
    void this.#scraper.scrape(this.#targets(), this.#ownSamples());
  }

  /** Of pods that nobody scales, the scaler knows none. */
  #podState(id: FunctionId, pod: string): PodState {
    const { world, isSynced } = this.#deps;
    const workload = isSynced() ? world.workload(functionKey(id)) : undefined;
    if (!workload?.fn) return 'unknown';
    const known = world.podsOf(workload).get(pod);
    return known ? (known.isEnding ? 'ending' : 'there') : 'gone';
  }

  async #scrapeAnew(): Promise<void> {
    await this.#scraper?.scrapeAnew(
      () => this.#targets(),
      () => this.#ownSamples(),
    );
  }

  #targets(): ScrapeTarget[] {
    const ofFunctions = scrapeTargets(this.#deps.world, [...this.#queries.texts, ...this.desk.texts()]);
    return [...ofFunctions, ...this.#deps.scrapePods.targets];
  }

  #ownSamples(): Iterable<OwnSample> {
    const wantsName = (name: string) => this.#store.wantsName(name) || this.desk.guests.wantsName(name);
    return ownSamples(this.#deps.samples, wantsName);
  }

  /** Walks all functions only after a change of any. */
  #functions(): readonly KeptFunction[] {
    const { world } = this.#deps;
    if (this.#specVersion === world.specVersion) return this.#kept;
    this.#specVersion = world.specVersion;
    const kept: KeptFunction[] = [];
    const texts = new Set<string>();
    this.#scrapeEveryMs = Infinity;
    for (const { fn } of world.workloads()) {
      if (!fn) continue;
      const { triggers = [], scrapeIntervalMs = Infinity } = fn.spec.scale ?? {};
      const wantsRate = triggers.some(
        ({ query, metricName }) => query === '' && metricName === 'message-rate',
      );
      kept.push({ id: fn.id, isOrdered: fn.spec.ordered, wantsRate });
      const queries = triggers.map(({ query }) => query).filter((query) => query !== '');
      for (const query of queries) texts.add(query);
      if (queries.length > 0) this.#scrapeEveryMs = Math.min(this.#scrapeEveryMs, scrapeIntervalMs);
    }
    this.#queries.setTexts(texts);
    this.#kept = kept;
    return kept;
  }
}

/** The scaler's own gauges, so that a query can use them without anybody scraping the scaler. */
function* ownSamples(
  samples: () => Iterable<FunctionSample>,
  wantsName: (name: string) => boolean,
): Generator<OwnSample> {
  // Of 9 gauges over 10,000 functions a query wants one, or none.
  const wanted = GAUGES.filter(({ name }) => wantsName(name));
  if (wanted.length === 0) return;
  for (const sample of samples()) {
    const { namespace, name } = sample.workload.id;
    for (const gauge of wanted)
      yield { name: gauge.name, labels: { namespace, function: name }, value: gauge.value(sample) };
  }
}
