/**
 * Gathers, for one function at one moment, everything that the rules ask: its own state and what reaches it
 * through dependencies in either direction. A `FactFinder` lives for one pass (a tick, or one wake), so what it
 * works out about a dependent is worked out once.
 *
 * Room `scaler/facts`: What is known of one function at one moment.
 * Comes in: reports, pods, wakes.
 * Goes out: facts for a decision.
 */
import type { FunctionId } from '../../common/bus/subjects.ts';
import type { FunctionInfo } from '../../common/function/spec.ts';
import type { DependencyGraph } from '../decide/dependencies.ts';
import { isFailing, type Trouble } from '../../common/kube/model/trouble.ts';
import { isUrgent, type Demand, type Facts } from '../decide/types.ts';
import type { Workload } from '../world/kube-objects.ts';
import type { Nudges } from '../act/nudges.ts';
import type { FunctionState } from './state.ts';
import { readyPods, troublesOf } from './pod-facts.ts';
import type { World } from '../world/world.ts';

/** A sidecar reports every 10 s even when idle: three missed reports are missing data. */
const SILENT_POD_MS = 30_000;
/** An explicit wake that could not be acted upon is remembered at least that long. */
const WAKE_MEMORY_MS = 10_000;
/** The idle clock stands still during a cold start, but not forever. */
const COLD_START_MAX_MS = 300_000;
/** Used within that time: a call, not a leftover. */
const IN_USE_MS = 5_000;

export interface Surroundings {
  readonly world: World;
  readonly graph: DependencyGraph;
  readonly stateOf: (key: string) => FunctionState | undefined;
  /** The last use of any function of a namespace. */
  readonly lastUseIn: (namespace: string) => { readonly atMs: number; readonly name: string } | undefined;
  /** undefined: NATS is not connected. */
  readonly natsSinceMs: number | undefined;
  readonly isSynced: boolean;
  readonly nudges: Pick<Nudges, 'isDue'>;
  /** Jobs queued or due; 0 when it has none. */
  readonly jobsOf: (key: string) => number;
}

export class FactFinder {
  readonly #surroundings: Surroundings;
  readonly #nowMs: number;
  readonly #demands = new Map<string, Demand | undefined>();
  readonly #uses = new Map<string, number>();

  constructor(surroundings: Surroundings, nowMs: number) {
    this.#surroundings = surroundings;
    this.#nowMs = nowMs;
  }

  factsOf(workload: Workload, fn: FunctionInfo, state: FunctionState): Facts {
    const { activity } = state;
    const nowMs = this.#nowMs;
    const schedule = state.scheduleAt(fn.spec, nowMs);
    const troubles = troublesOf(workload, this.#surroundings);
    return {
      spec: fn.spec,
      nowMs,
      replicas: workload.replicas,
      readyPods: readyPods(workload, this.#surroundings),
      isColdStart: state.coldStartSinceMs !== undefined,
      createdPods: workload.createdReplicas,
      isObserved: workload.isObserved,
      dueNudge: this.#dueNudge(workload),
      nudgedAtMs: state.nudgedAtMs,
      troubles,
      autoscalerMin: this.#surroundings.world.autoscalerOf(workload)?.minReplicas,
      demand: this.demandOf(workload.key),
      running: activity.runningNow(),
      waiting: activity.waitingForPods(nowMs) + activity.waitingInPods(),
      jobs: this.#jobsOf(workload.key, fn),
      direct: activity.directNow(),
      idleSinceMs: Math.max(
        this.#lastUse(workload.key),
        state.firstSeenMs,
        this.#surroundings.natsSinceMs ?? nowMs,
        state.lastSetByOthersMs,
        schedule?.lastWakeUpMs ?? 0,
        this.#coldStartClock(state, troubles.some(isFailing)),
        state.triggeredAtMs,
      ),
      idleTimeoutSeconds: schedule?.idleTimeoutSeconds ?? fn.spec.idleTimeoutSeconds,
      awakeDependents: this.#awakeDependents(workload),
      unreadyDependencies: workload.replicas > 0 ? [] : this.#unreadyDependencies(workload),
      blind: this.#blindness(workload, state),
      setByOthers: this.#standing(state, fn)?.replicas,
      load: state.advice?.atReplicas === workload.replicas ? state.advice : undefined,
      triggers: workload.replicas > 0 ? state.triggers : {},
    };
  }

  #dueNudge(workload: Workload): Trouble | undefined {
    const { world, nudges } = this.#surroundings;
    const trouble = workload.replicas > 0 ? world.creationTroubleOf(workload) : undefined;
    return trouble && nudges.isDue(workload, trouble, this.#nowMs) ? trouble : undefined;
  }

  /** Who wants the function up now, itself or through those that depend on it. */
  demandOf(key: string): Demand | undefined {
    // Nobody else asks about it, so there is nothing to remember.
    if (this.#surroundings.graph.dependentsOf(key).length === 0) return this.#ownDemand(key);
    if (this.#demands.has(key)) return this.#demands.get(key);
    this.#demands.set(key, undefined); // the graph has no cycles; this is for the reader's peace of mind
    const demand = this.#ownDemand(key) ?? this.#dependentsDemand(key);
    this.#demands.set(key, demand);
    return demand;
  }

  /** What its pods cannot run, for want of a sidecar, is no reason to be up. */
  #jobsOf(key: string, { noSidecar }: FunctionInfo): number {
    return noSidecar === undefined ? this.#surroundings.jobsOf(key) : 0;
  }

  #ownDemand(key: string): Demand | undefined {
    const state = this.#surroundings.stateOf(key);
    const fn = this.#surroundings.world.workload(key)?.fn;
    if (!state || !fn || fn.spec.paused) return undefined;
    const { activity } = state;
    // Who set the count knew of those who waited before. A proxy whose callers still wait says so within a second.
    const sinceMs = state.setByOthers?.atMs;
    const waiting = activity.waitingInProxies(this.#nowMs, sinceMs) + activity.waitingInPods();
    if (waiting > 0) return { by: 'callers', isCall: true, waiting };
    const jobs = this.#jobsOf(key, fn);
    if (jobs > 0) return { by: 'jobs', isCall: true, jobs };
    const schedule = state.scheduleAt(fn.spec, this.#nowMs);
    const timeoutMs = (schedule?.idleTimeoutSeconds ?? fn.spec.idleTimeoutSeconds) * 1_000;
    const isRecent = (atMs: number | undefined, withinMs: number) =>
      atMs !== undefined && atMs > (state.setByOthers?.atMs ?? 0) && this.#nowMs - atMs < withinMs;
    if (isRecent(activity.wakeAtMs, Math.max(timeoutMs, WAKE_MEMORY_MS))) return { by: 'wake', isCall: true };
    // Whatever the timeout, 0 included, a WakeUp is one call at that time.
    if (isRecent(schedule?.lastWakeUpMs, Math.max(timeoutMs, WAKE_MEMORY_MS)))
      return { by: 'schedule', isCall: true };
    const other = fn.spec.wakesWithAny ? this.#surroundings.lastUseIn(fn.id.namespace) : undefined;
    if (isRecent(other?.atMs, timeoutMs))
      return { by: 'any-function', isCall: true, name: other?.name ?? '' };
    return undefined;
  }

  #dependentsDemand(key: string): Demand | undefined {
    let expected: Demand | undefined;
    for (const dependent of this.#surroundings.graph.dependentsOf(key)) {
      const workload = this.#surroundings.world.workload(dependent);
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
    const dependents = this.#surroundings.graph.dependentsOf(key);
    if (dependents.length === 0) return this.#ownLastUse(key);
    const known = this.#uses.get(key);
    if (known !== undefined) return known;
    let atMs = this.#ownLastUse(key);
    for (const dependent of dependents) atMs = Math.max(atMs, this.#lastUse(dependent));
    this.#uses.set(key, atMs);
    return atMs;
  }

  #ownLastUse(key: string): number {
    const { world, stateOf, lastUseIn } = this.#surroundings;
    const fn = world.workload(key)?.fn;
    const atMs = stateOf(key)?.activity.lastActiveMs ?? 0;
    if (!fn?.spec.wakesWithAny) return atMs;
    return Math.max(atMs, lastUseIn(fn.id.namespace)?.atMs ?? 0);
  }

  /** Up, about to be, or with pods that still finish their work. */
  #awakeDependents(workload: Workload): string[] {
    const awake: string[] = [];
    for (const key of this.#surroundings.graph.dependentsOf(workload.key)) {
      const dependent = this.#surroundings.world.workload(key);
      if (!dependent) continue;
      const isUp = dependent.replicas > 0 || this.#surroundings.world.podsOf(dependent).size > 0;
      if (isUp || this.demandOf(key)) awake.push(displayName(dependent.id, workload.key));
    }
    return awake;
  }

  #unreadyDependencies(workload: Workload): string[] {
    const { graph, world } = this.#surroundings;
    const unready: string[] = [];
    const seen = new Set<string>();
    const visit = (key: string) => {
      for (const dependency of graph.dependenciesOf(key)) {
        const target = world.workload(dependency);
        if (!target || seen.has(dependency)) continue;
        seen.add(dependency);
        visit(dependency);
        if (readyPods(target, this.#surroundings) === 0) unready.push(unreadyName(target, workload.key));
      }
    };
    visit(workload.key);
    return unready;
  }

  #blindness(workload: Workload, state: FunctionState): string | undefined {
    const { natsSinceMs, isSynced, world } = this.#surroundings;
    if (natsSinceMs === undefined) return 'NATS is not connected: activity is unknown';
    if (!isSynced) return 'the Kubernetes watch is not in sync';
    for (const pod of world.podsOf(workload).values()) {
      if (!pod.hasSidecar || !pod.isReady || pod.isEnding) continue;
      const seenMs = state.pods.get(pod.name)?.firstSeenMs ?? this.#nowMs;
      const reportMs = state.activity.pods.get(pod.name)?.atMs ?? 0;
      const silentMs = this.#nowMs - Math.max(seenMs, reportMs, natsSinceMs);
      // A pod that never reported is unknown from its first second: it may be busy (behaviour 20).
      if (silentMs > SILENT_POD_MS || reportMs === 0)
        return `${pod.name} has not reported for ${Math.floor(silentMs / 1_000)} s`;
    }
    return undefined;
  }

  #coldStartClock(state: FunctionState, isTroubled: boolean): number {
    const { coldStartSinceMs, readySinceMs } = state;
    if (coldStartSinceMs === undefined || isTroubled) return readySinceMs;
    return this.#nowMs - coldStartSinceMs < COLD_START_MAX_MS ? this.#nowMs : coldStartSinceMs;
  }

  /** What somebody else set stands for one idle timeout. */
  #standing(state: FunctionState, fn: FunctionInfo): FunctionState['setByOthers'] {
    const set = state.setByOthers;
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
