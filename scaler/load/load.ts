/**
 * Sources of load: jobs in JetStream, queries of triggers and scraped series. The advice on replicas is made of them.
 * Any source may fail or be slow: no decision waits for it. Each function here uses the results of those above it.
 * start.ts calls them in that order.
 *
 * Room `scaler/load`: Load of functions from jobs, queries and reports.
 * Comes in: depths, answers, reports.
 * Goes out: replicas that triggers ask for.
 */
import type { OwnToken } from '../../common/access/own-token.ts';
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import type { UpkeepLink } from '../../common/queue/upkeep.ts';
import type { Log } from '../../common/runtime/log.ts';
import { jobSettingsOf, type ScalerConfig } from '../flags.ts';
import { EventKeeper, type PodState } from '../jobs/event-keeper.ts';
import { EventReaders } from '../jobs/event-readers.ts';
import { JobKeeper } from '../jobs/job-keeper.ts';
import type { Observed } from '../observe/observer.ts';
import { Queries } from '../queries/queries.ts';
import { queryBudgetsOf, seriesOptionsOf } from '../queries/query-flags.ts';
import type { ReadSecret } from '../sources/source-secrets.ts';
import { checkedSources } from '../sources/source-flags.ts';
import { TriggerSources } from '../sources/trigger-sources.ts';
import { TriggerQueries } from '../queries/trigger-queries.ts';
import type { ScrapePods } from '../scrape/scrape-pods.ts';
import { scrapeTargets } from '../scrape/scrape-targets.ts';
import type { FunctionSample } from '../queries/function-gauges.ts';
import type { FunctionList } from './functions.ts';
import { createLoadAdvisor, type LoadAdvisor } from './load-advisor.ts';
import { tuningOf } from './load-flags.ts';

export interface LoadDeps {
  readonly config: ScalerConfig;
  readonly observed: Observed;
  readonly functions: () => FunctionList;
  readonly isLeader: () => boolean;
  readonly now: () => number;
  readonly log: Log;
}

export function createJobKeeper(deps: LoadDeps, queue: UpkeepLink): JobKeeper {
  const { config, observed, functions, isLeader, now, log } = deps;
  return new JobKeeper({
    queue,
    isLeader,
    now,
    log,
    settings: jobSettingsOf(config),
    functions: () => (observed.isSynced ? functions().kept : undefined),
    isOurs: isOursBy(config),
  });
}

function isOursBy({ namespaces }: ScalerConfig): (namespace: string) => boolean {
  return (namespace) => namespaces.length === 0 || namespaces.includes(namespace);
}

export function createEventReaders(
  { config, isLeader, now, log }: LoadDeps,
  queue: UpkeepLink,
): EventReaders {
  return new EventReaders({
    queue,
    settings: jobSettingsOf(config),
    isLeader,
    isOurs: isOursBy(config),
    now,
    log,
  });
}

export function createEventKeeper(
  { observed, isLeader, now, log }: LoadDeps,
  queue: UpkeepLink,
  readers: EventReaders,
): EventKeeper {
  return new EventKeeper({
    queue,
    isLeader,
    readers,
    now,
    log,
    podState: (id, pod) => podStateOf(observed, id, pod),
  });
}

/** What the watch says of a pod. The scaler knows no pods that nobody scales. */
function podStateOf({ isSynced, world }: Observed, id: FunctionId, pod: string): PodState {
  const workload = isSynced ? world.workload(functionKey(id)) : undefined;
  if (!workload?.fn) return 'unknown';
  const known = world.podsOf(workload).get(pod);
  return known ? (known.isEnding ? 'ending' : 'there') : 'gone';
}

/** What triggers measure, apart from what is measured here. */
export interface Triggers {
  readonly queries: TriggerQueries;
  readonly sources: TriggerSources;
}

export function createTriggers({ config, now }: LoadDeps, readSecret: ReadSecret): Triggers {
  return {
    queries: new TriggerQueries({ now, isRemote: config['prometheus-url'] !== '' }),
    sources: new TriggerSources({ now, readSecret }),
  };
}

export function createAdvisor(
  { config }: Pick<LoadDeps, 'config'>,
  jobs: JobKeeper,
  { queries, sources }: Triggers,
): LoadAdvisor {
  return createLoadAdvisor({
    tuning: tuningOf(config),
    queries: {
      resultOf: (fn, trigger, nowMs) =>
        (trigger.source === undefined ? queries : sources).resultOf(fn, trigger, nowMs),
      faultOf: (fn, trigger) => (trigger.source === undefined ? queries.faultOf(fn, trigger) : undefined),
      asksOwnPods: (trigger) => trigger.source === undefined && queries.asksOwnPods(trigger),
    },
    jobsOf: (key) => ({
      ready: jobs.isFresh ? (jobs.depthOf(key)?.ready ?? 0) : undefined,
      total: jobs.depthOf(key)?.total ?? 0,
      perSecond: jobs.rateOf(key),
    }),
  });
}

export interface QueryParts extends Triggers {
  /** Pods that are no function's. */
  readonly scrapePods: ScrapePods;
  readonly samples: () => Iterable<FunctionSample>;
  readonly ownToken: OwnToken;
  /** Values of triggers have changed. */
  readonly onAnswers: (keys: readonly string[]) => void;
}

export function createQueries(
  { config, observed, isLeader, now, log }: LoadDeps,
  { queries, sources, scrapePods, samples, ownToken, onAnswers }: QueryParts,
): Queries {
  return new Queries({
    triggers: queries,
    series: seriesOptionsOf(config),
    budgets: queryBudgetsOf(config),
    prometheusUrl: config['prometheus-url'],
    sources,
    sourceAllow: checkedSources(config['source-allow']),
    isLeader,
    samples,
    onAnswers,
    targets(withSidecars) {
      scrapePods.follow();
      const others = [...scrapePods.targets].map((target) =>
        target.kind === 'system' ? { ...target, headers: ownToken() } : target,
      );
      return [...scrapeTargets(observed.world, withSidecars), ...others];
    },
    now,
    log,
  });
}

export interface Measures {
  readonly jobs: JobKeeper;
  readonly events: EventKeeper;
  readonly queries: Queries;
}

/** Before each pass of decisions. The tick that it returns starts what takes time and waits for none of it. */
export function loadTick({ jobs, events, queries }: Measures, functions: () => FunctionList): () => void {
  return () => {
    queries.setFunctions(functions());
    void jobs.tick();
    void events.tick();
    queries.tick();
  };
}
