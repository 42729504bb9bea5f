/**
 * What load is measured by: jobs in JetStream, queries of triggers, scraped series, and the advice made of them.
 * Everything here may fail or be slow without a decision waiting for it.
 *
 * Room `scaler/load`: Load of functions from jobs, queries and reports.
 * Comes in: depths, answers, reports.
 * Goes out: replicas that triggers ask for.
 */
import { MESSAGE_RATE } from '../../common/function/built-in-triggers.ts';
import { jetStreamUpkeep } from '../../common/queue/jetstream/upkeep.ts';
import type { FunctionInfo } from '../../common/function/spec.ts';
import type { Log } from '../../common/runtime/log.ts';
import type { OwnToken } from '../../common/access/own-token.ts';
import type { NatsLink } from '../../common/bus/nats.ts';
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import { EventKeeper, type PodState } from '../jobs/event-keeper.ts';
import { jobSettingsOf, type ScalerConfig } from '../flags.ts';
import { JobKeeper, type KeptFunction } from '../jobs/job-keeper.ts';
import { tuningOf } from './load-flags.ts';
import { createLoadAdvisor, type LoadAdvisor } from './load-advisor.ts';
import type { FunctionSample } from '../status/metrics.ts';
import { Queries } from '../queries/queries.ts';
import { queryBudgetsOf, seriesOptionsOf } from '../queries/query-flags.ts';
import type { ScrapePods } from '../scrape/scrape-pods.ts';
import { scrapeTargets, type ScrapeTarget } from '../scrape/scrape-targets.ts';
import type { World } from '../world/world.ts';

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
  readonly ownToken: OwnToken;
  readonly now: () => number;
  readonly log: Log;
}

export class Load {
  readonly advisor: LoadAdvisor;
  readonly jobs: JobKeeper;
  readonly queries: Queries;
  readonly #events: EventKeeper;
  readonly #deps: LoadDeps;
  #kept: readonly KeptFunction[] = [];
  #specVersion = -1;

  constructor(deps: LoadDeps) {
    const { config, nats, isLeader, now, log } = deps;
    this.#deps = deps;
    this.queries = new Queries({
      series: seriesOptionsOf(config),
      budgets: queryBudgetsOf(config),
      prometheusUrl: config['prometheus-url'],
      isLeader,
      samples: deps.samples,
      targets: (withSidecars) => this.#targets(withSidecars),
      now,
      log,
    });
    const queue = jetStreamUpkeep(nats);
    this.jobs = new JobKeeper({
      queue,
      isLeader,
      now,
      log,
      settings: jobSettingsOf(config),
      functions: () => (deps.isSynced() ? this.#functions() : undefined),
      isOurs: (namespace) => config.namespaces.length === 0 || config.namespaces.includes(namespace),
      onChange: deps.onJobs,
    });
    this.#events = new EventKeeper({
      queue,
      isLeader,
      now,
      log,
      podState: (id, pod) => this.#podState(id, pod),
    });
    this.advisor = createLoadAdvisor({
      tuning: tuningOf(config),
      queries: this.queries.triggers,
      jobsOf: (key) => ({
        ready: this.jobs.isFresh ? (this.jobs.depthOf(key)?.ready ?? 0) : undefined,
        total: this.jobs.depthOf(key)?.total ?? 0,
        perSecond: this.jobs.rateOf(key),
      }),
    });
  }

  /** Before each pass of decisions; starts what takes time and waits for none of it. */
  tick(): void {
    this.#functions();
    void this.jobs.tick();
    void this.#events.tick();
    this.queries.tick();
  }

  /** Of pods that nobody scales, the scaler knows none. */
  #podState(id: FunctionId, pod: string): PodState {
    const { world, isSynced } = this.#deps;
    const workload = isSynced() ? world.workload(functionKey(id)) : undefined;
    if (!workload?.fn) return 'unknown';
    const known = world.podsOf(workload).get(pod);
    return known ? (known.isEnding ? 'ending' : 'there') : 'gone';
  }

  #targets(withSidecars: boolean): ScrapeTarget[] {
    const { world, scrapePods, ownToken } = this.#deps;
    scrapePods.follow();
    const others = [...scrapePods.targets].map((target) =>
      target.kind === 'system' ? { ...target, headers: ownToken() } : target,
    );
    return [...scrapeTargets(world, withSidecars), ...others];
  }

  /** Walks all functions only after a change of any. */
  #functions(): readonly KeptFunction[] {
    const { world } = this.#deps;
    if (this.#specVersion === world.specVersion) return this.#kept;
    this.#specVersion = world.specVersion;
    const kept: KeptFunction[] = [];
    const withQueries: FunctionInfo[] = [];
    let everyMs = Infinity;
    for (const { fn } of world.workloads()) {
      if (!fn) continue;
      const { triggers = [], scrapeIntervalMs = Infinity } = fn.spec.scale ?? {};
      const wantsRate = triggers.some(({ query, metricName }) => query === '' && metricName === MESSAGE_RATE);
      kept.push({ id: fn.id, isOrdered: fn.spec.ordered, wantsRate });
      if (!triggers.some(({ query }) => query !== '')) continue;
      withQueries.push(fn);
      everyMs = Math.min(everyMs, scrapeIntervalMs);
    }
    this.queries.setFunctions(withQueries, everyMs);
    this.#kept = kept;
    return kept;
  }
}
