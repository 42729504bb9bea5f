/** What the tick is made of, put together once and in order. Each fact in it has one owner. */
import type { OnFailedObject } from '../../common/kube/watched.ts';
import type { Log } from '../../common/runtime/log.ts';
import { Actuator, type ActuatorOptions } from '../act/actuator.ts';
import type { ReconcileEffects } from '../act/effects.ts';
import { Canaries } from '../canaries/canaries.ts';
import { Nudges } from '../act/nudges.ts';
import { FaultTeller } from '../faults/faults.ts';
import { MoreFaults, type FaultSources } from '../faults/more-faults.ts';
import type { LoadAdvisor } from '../load/load-advisor.ts';
import { TickAdvice } from '../load/tick-advice.ts';
import type { Observer } from '../observe/observer.ts';
import { Sharer } from '../shares/share-out.ts';
import { DependencyIndex } from '../faults/dependency-index.ts';
import { Decisions } from './decisions.ts';
import { Pipeline } from './pipeline.ts';

export interface LoopPartsOptions extends Pick<FaultSources, 'hosts' | 'services'> {
  readonly observer: Observer;
  readonly advisor: LoadAdvisor;
  readonly effects: ReconcileEffects;
  readonly jobsOf: (key: string) => number;
  readonly onFailed: OnFailedObject;
  readonly now: () => number;
  readonly log: Log;
}

export interface LoopParts {
  readonly nudges: Nudges;
  readonly decisions: Decisions;
  readonly advice: TickAdvice;
  readonly moreFaults: MoreFaults;
  readonly faults: FaultTeller;
  readonly sharer: Sharer;
  readonly canaries: Canaries;
  readonly actuator: Actuator;
  readonly pipeline: Pipeline;
}

/** @param onDone what the loop does once a patch has succeeded */
export function createLoopParts(
  options: LoopPartsOptions,
  onDone: Pick<ActuatorOptions, 'onScaled' | 'onWoken'>,
): LoopParts {
  const { observer, advisor, effects, jobsOf, onFailed, now, log } = options;
  const dependencies = new DependencyIndex(observer.world);
  const nudges = new Nudges();
  const decisions = new Decisions();
  const advice = new TickAdvice(advisor, observer);
  const moreFaults = new MoreFaults({
    observed: observer,
    dependencyFaultsOf: (workload, fn) => dependencies.faultsOf(workload, fn),
    triggerFaultsOf: (fn) => advisor.faultsOf(fn),
    failureOf: (key) => decisions.failureOf(key),
    nudgedAtMs: (key) => nudges.nudgedAtMs(key),
    hosts: options.hosts,
    services: options.services,
    now,
  });
  const faults = new FaultTeller(observer.world, effects.onFaults, (...of) => moreFaults.of(...of));
  const sharer = new Sharer(observer.world, effects.isLeader);
  const { isLeader, rollBack } = effects;
  const canaries = new Canaries({ isLeader, rollBack, log });
  const actuator = new Actuator({ effects, nudges, now, log, ...onDone });
  const pipeline = new Pipeline({
    observer,
    dependencies,
    advice,
    nudges,
    decisions,
    actuator,
    faults,
    effects,
    jobsOf,
    onFailed,
  });
  return { nudges, decisions, advice, moreFaults, faults, sharer, canaries, actuator, pipeline };
}
