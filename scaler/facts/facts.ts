/**
 * The second step of the scaler. It gathers, for one function at one moment, everything that the rules ask: what was
 * observed of it, and what reaches it through dependencies in either direction. It only reads. A `FactFinder` lives for
 * one pass (a tick, or one wake), so what it works out about a dependent is worked out once.
 *
 * Room `scaler/facts`: What is known of one function at one moment.
 * Comes in: what was observed, what the steps before left behind.
 * Goes out: facts for a decision.
 */
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { FunctionInfo } from '../../common/function/spec.ts';
import type { DependencyGraph } from '../decide/dependencies.ts';
import { isFailing, type Trouble } from '../../common/kube/model/trouble.ts';
import { isUrgent, type Demand, type Facts, type LoadAdvice, type TriggerUse } from '../decide/types.ts';
import type { Workload } from '../world/kube-objects.ts';
import type { ObservedFunction } from '../observe/function-record.ts';
import type { Observed } from '../observe/observer.ts';
import { readyPods, troublesOf } from '../observe/pods.ts';
import { scheduleOf } from '../schedule/schedule.ts';

/** A sidecar reports every 10 s even when idle: three missed reports are missing data. */
const SILENT_POD_MS = 30_000;
/** An explicit wake that could not be acted upon is remembered at least that long. */
const WAKE_MEMORY_MS = 10_000;
/** The idle clock stands still during a cold start, but not forever. */
const COLD_START_MAX_MS = 300_000;
/** Used within that time: a call, not a leftover. */
const IN_USE_MS = 5_000;

/** What the triggers of a function said at the last tick. */
export interface StandingAdvice {
  /** What triggers wanted at `atReplicas`: it says nothing about another count. */
  readonly load: (LoadAdvice & { readonly atReplicas: number }) | undefined;
  readonly triggers: TriggerUse;
  /** When one last said that there is work; 0: never. */
  readonly triggeredAtMs: number;
}

/** Requests for another try of a controller, as far as facts need them; see act/nudges.ts. */
export interface NudgeTimes {
  /** Whether now is the time for this function, whose pods meet this trouble. */
  isDue(workload: Workload, trouble: Trouble, nowMs: number): boolean;
  /** When its controller was last asked. */
  nudgedAtMs(key: string): number | undefined;
}

/** All of it is read only, and all of it is of this moment or of an earlier one. */
export interface FactSources {
  readonly observed: Observed;
  readonly graph: DependencyGraph;
  readonly nudges: NudgeTimes;
  readonly adviceOf: (key: string) => StandingAdvice;
  /** Jobs queued or due; 0 when it has none. */
  readonly jobsOf: (key: string) => number;
}

export class FactFinder {
  readonly #sources: FactSources;
  readonly #observed: Observed;
  readonly #nowMs: number;
  readonly #demands = new Map<string, Demand | undefined>();
  readonly #uses = new Map<string, number>();

  constructor(sources: FactSources, nowMs: number) {
    this.#sources = sources;
    this.#observed = sources.observed;
    this.#nowMs = nowMs;
  }

  /** @throws RangeError for a function that was not observed: it is, before it is asked about */
  factsOf(workload: Workload, fn: FunctionInfo): Facts {
    const observed = this.#observed.of(workload.key);
    if (!observed) throw new RangeError(`${workload.key} was not observed`);
    const { activity } = observed;
    const advice = this.#sources.adviceOf(workload.key);
    const nowMs = this.#nowMs;
    const schedule = scheduleOf(fn.spec, nowMs);
    const troubles = troublesOf(workload, this.#observed);
    return {
      spec: fn.spec,
      nowMs,
      replicas: workload.replicas,
      readyPods: readyPods(workload, this.#observed),
      isColdStart: observed.coldStartSinceMs !== undefined,
      createdPods: workload.createdReplicas,
      isObserved: workload.isObserved,
      dueNudge: this.#dueNudge(workload),
      nudgedAtMs: this.#sources.nudges.nudgedAtMs(workload.key),
      troubles,
      autoscalerMin: this.#observed.world.autoscalerOf(workload)?.minReplicas,
      demand: this.demandOf(workload.key),
      running: activity.runningNow(),
      waiting: activity.waitingForPods(nowMs) + activity.waitingInPods(),
      jobs: this.#jobsOf(workload.key, fn),
      direct: activity.directNow(),
      idleSinceMs: Math.max(
        this.#lastUse(workload.key),
        observed.firstObservedMs,
        this.#observed.natsSinceMs ?? nowMs,
        observed.lastSetByOthersMs,
        schedule?.lastWakeUpMs ?? 0,
        this.#coldStartClock(observed, troubles.some(isFailing)),
        advice.triggeredAtMs,
      ),
      idleTimeoutSeconds: schedule?.idleTimeoutSeconds ?? fn.spec.idleTimeoutSeconds,
      awakeDependents: this.#awakeDependents(workload),
      unreadyDependencies: workload.replicas > 0 ? [] : this.#unreadyDependencies(workload),
      blind: this.#blindness(workload, observed),
      setByOthers: this.#standing(observed, fn)?.replicas,
      load: advice.load?.atReplicas === workload.replicas ? advice.load : undefined,
      triggers: advice.triggers,
    };
  }

  #dueNudge(workload: Workload): Trouble | undefined {
    const { nudges } = this.#sources;
    const { world } = this.#observed;
    const trouble = workload.replicas > 0 ? world.creationTroubleOf(workload) : undefined;
    return trouble && nudges.isDue(workload, trouble, this.#nowMs) ? trouble : undefined;
  }

  /** Who wants the function up now, itself or through those that depend on it. */
  demandOf(key: string): Demand | undefined {
    // Nobody else asks about it, so there is nothing to remember.
    if (this.#sources.graph.dependentsOf(key).length === 0) return this.#ownDemand(key);
    if (this.#demands.has(key)) return this.#demands.get(key);
    this.#demands.set(key, undefined); // the graph has no cycles; this is for the reader's peace of mind
    const demand = this.#ownDemand(key) ?? this.#dependentsDemand(key);
    this.#demands.set(key, demand);
    return demand;
  }

  /** What its pods cannot run, for want of a sidecar, is no reason to be up. */
  #jobsOf(key: string, { noSidecar }: FunctionInfo): number {
    return noSidecar === undefined ? this.#sources.jobsOf(key) : 0;
  }

  #ownDemand(key: string): Demand | undefined {
    const observed = this.#observed.of(key);
    const fn = this.#observed.world.workload(key)?.fn;
    if (!observed || !fn || fn.spec.paused) return undefined;
    const { activity } = observed;
    // Who set the count knew of those who waited before. A proxy whose callers still wait says so within a second.
    const sinceMs = observed.setByOthers?.atMs;
    const waiting = activity.waitingInProxies(this.#nowMs, sinceMs) + activity.waitingInPods();
    if (waiting > 0) return { by: 'callers', isCall: true, waiting };
    const jobs = this.#jobsOf(key, fn);
    if (jobs > 0) return { by: 'jobs', isCall: true, jobs };
    const schedule = scheduleOf(fn.spec, this.#nowMs);
    const timeoutMs = (schedule?.idleTimeoutSeconds ?? fn.spec.idleTimeoutSeconds) * 1_000;
    const isRecent = (atMs: number | undefined, withinMs: number) =>
      atMs !== undefined && atMs > (observed.setByOthers?.atMs ?? 0) && this.#nowMs - atMs < withinMs;
    if (isRecent(activity.wakeAtMs, Math.max(timeoutMs, WAKE_MEMORY_MS))) return { by: 'wake', isCall: true };
    // Whatever the timeout, 0 included, a WakeUp is one call at that time.
    if (isRecent(schedule?.lastWakeUpMs, Math.max(timeoutMs, WAKE_MEMORY_MS)))
      return { by: 'schedule', isCall: true };
    const { active } = this.#sources.adviceOf(key).triggers;
    const isAsleep = this.#observed.world.workload(key)?.replicas === 0;
    if (isAsleep && active !== undefined) return { by: 'trigger', isCall: false, what: active };
    const other = fn.spec.wakesWithAny ? this.#observed.lastUseIn(fn.id.namespace) : undefined;
    if (isRecent(other?.atMs, timeoutMs))
      return { by: 'any-function', isCall: true, name: other?.name ?? '' };
    return undefined;
  }

  #dependentsDemand(key: string): Demand | undefined {
    let expected: Demand | undefined;
    for (const dependent of this.#sources.graph.dependentsOf(key)) {
      const workload = this.#observed.world.workload(dependent);
      if (!workload?.fn) continue;
      const demand = this.demandOf(dependent);
      const isUp = workload.replicas > 0 || workload.fn.spec.replicasMin > 0;
      if (workload.fn.spec.paused ? workload.replicas === 0 : !demand && !isUp) continue;
      const name = displayName(workload.id, key);
      const isInUse = this.#nowMs - this.#lastUse(dependent) < IN_USE_MS;
      const isHurry = demand ? isUrgent(demand) : isInUse;
      if (demand?.isCall || isInUse) return { by: 'dependent', isCall: true, isUrgent: isHurry, name };
      expected ??= { by: 'dependent', isCall: false, isUrgent: false, name };
    }
    return expected;
  }

  /** The last use of the function or of any that depends on it. */
  #lastUse(key: string): number {
    const dependents = this.#sources.graph.dependentsOf(key);
    if (dependents.length === 0) return this.#ownLastUse(key);
    const known = this.#uses.get(key);
    if (known !== undefined) return known;
    let atMs = this.#ownLastUse(key);
    for (const dependent of dependents) atMs = Math.max(atMs, this.#lastUse(dependent));
    this.#uses.set(key, atMs);
    return atMs;
  }

  #ownLastUse(key: string): number {
    const { world, of, lastUseIn } = this.#observed;
    const fn = world.workload(key)?.fn;
    const atMs = of(key)?.activity.lastActiveMs ?? 0;
    if (!fn?.spec.wakesWithAny) return atMs;
    return Math.max(atMs, lastUseIn(fn.id.namespace)?.atMs ?? 0);
  }

  /** Up, about to be, or with pods that still finish their work. */
  #awakeDependents(workload: Workload): string[] {
    const awake: string[] = [];
    for (const key of this.#sources.graph.dependentsOf(workload.key)) {
      const dependent = this.#observed.world.workload(key);
      if (!dependent) continue;
      const isUp = dependent.replicas > 0 || this.#observed.world.podsOf(dependent).size > 0;
      if (isUp || this.demandOf(key)) awake.push(displayName(dependent.id, workload.key));
    }
    return awake;
  }

  #unreadyDependencies(workload: Workload): string[] {
    const { graph } = this.#sources;
    const { world } = this.#observed;
    const unready: string[] = [];
    const visited = new Set<string>();
    const visit = (key: string) => {
      for (const dependency of graph.dependenciesOf(key)) {
        const target = world.workload(dependency);
        if (!target || visited.has(dependency)) continue;
        visited.add(dependency);
        visit(dependency);
        if (readyPods(target, this.#observed) === 0) unready.push(unreadyName(target, workload.key));
      }
    };
    visit(workload.key);
    return unready;
  }

  #blindness(workload: Workload, observed: ObservedFunction): string | undefined {
    const { natsSinceMs, isSynced, world } = this.#observed;
    if (natsSinceMs === undefined) return 'NATS is not connected: activity is unknown';
    if (!isSynced) return 'the Kubernetes watch is not in sync';
    for (const pod of world.podsOf(workload).values()) {
      if (!pod.hasSidecar || !pod.isReady || pod.isEnding) continue;
      const observedMs = observed.pods.get(pod.name)?.firstObservedMs ?? this.#nowMs;
      const reportMs = observed.activity.pods.get(pod.name)?.atMs ?? 0;
      const silentMs = this.#nowMs - Math.max(observedMs, reportMs, natsSinceMs);
      // A pod that never reported is unknown from its first second: it may be busy (behaviour 20).
      if (silentMs > SILENT_POD_MS || reportMs === 0)
        return `${pod.name} has not reported for ${Math.floor(silentMs / 1_000)} s`;
    }
    return undefined;
  }

  #coldStartClock(observed: ObservedFunction, isTroubled: boolean): number {
    const { coldStartSinceMs, readySinceMs } = observed;
    if (coldStartSinceMs === undefined || isTroubled) return readySinceMs;
    return this.#nowMs - coldStartSinceMs < COLD_START_MAX_MS ? this.#nowMs : coldStartSinceMs;
  }

  /** What somebody else set stands for one idle timeout. */
  #standing(observed: ObservedFunction, fn: FunctionInfo): ObservedFunction['setByOthers'] {
    const set = observed.setByOthers;
    if (!set) return undefined;
    return this.#nowMs - set.atMs < fn.spec.idleTimeoutSeconds * 1_000 ? set : undefined;
  }
}

/** `name`, or `name.namespace` when it is not the reader's own namespace. */
function displayName(id: FunctionId, readerKey: string): string {
  return readerKey.startsWith(`${id.namespace}/`) ? id.name : `${id.name}.${id.namespace}`;
}

/** An opted-out workload at zero will not come up by itself, and the waiting caller should learn it. */
function unreadyName(workload: Workload, readerKey: string): string {
  const name = displayName(workload.id, readerKey);
  return workload.fn || workload.replicas > 0 ? name : `${name} (0 replicas, and not ours to scale)`;
}
