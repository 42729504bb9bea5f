/**
 * Takes in what is seen (workloads, pods, wakes, reports, jobs, shares) and keeps one state per function. It has each
 * decided (`decider.ts`) on every tick, on every wake and on every change. It does no I/O itself; effects are
 * functions passed in, and so is the clock.
 *
 * Leader or not, every replica of the scaler sees and decides the same. Only the leader acts, with one exception
 * ("assist"). A follower that has seen a wake for a second, and still sees nothing happen, patches 0→N itself. The
 * reason is that a leader may have died up to a lease duration ago. That is safe: both would write the same number,
 * upward only, and the API refuses the second (see `kube.ts`).
 *
 * Room `scaler/loop`: The tick: observe, facts, decide, act.
 * Comes in: everything heard.
 * Goes out: effects, in slices that keep the process awake.
 */
import type { FunctionInfo, WorkloadKind } from '../../common/function/spec.ts';
import type { CreationFailure } from '../../common/kube/creation-failures.ts';
import type { ActivityMessage, ReadyMessage, ShareMessage, WakeMessage } from '../../common/bus/messages.ts';
import type { Log } from '../../common/runtime/log.ts';
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import type { HostPolicy } from '../../common/function/hosts.ts';
import { Actuator } from '../act/actuator.ts';
import { Decider } from './decider.ts';
import type { ReconcileEffects } from '../act/effects.ts';
import type { FactFinder } from '../facts/facts.ts';
import { idOf } from '../../common/kube/model/identity.ts';
import { podOf, type Workload } from '../world/kube-objects.ts';
import type { V1Deployment, V1Pod, V1StatefulSet } from '../../common/kube/client.ts';
import type { OnFailedObject } from '../../common/kube/watched.ts';
import { FaultTeller, type Fault } from '../faults/faults.ts';
import { moreFaults } from '../faults/more-faults.ts';
import type { LoadAdvisor } from '../load/load-advisor.ts';
import type { FunctionState } from '../facts/state.ts';
import { Sharer } from '../shares/share-out.ts';
import { atOneGo, sliceOver, type Slice } from './slicer.ts';
import { contradicts } from './steady.ts';
import { Seen } from '../facts/surroundings.ts';

export interface ReconcileOptions {
  readonly effects: ReconcileEffects;
  readonly jobsOf: (key: string) => number;
  /** Asked for when it is needed: it is made of the world that the reconciler keeps. */
  readonly advisor: () => LoadAdvisor;
  /** Which hosts functions may claim; default: none. */
  readonly hosts?: HostPolicy;
  /** How a pass over all functions is run; default: at one go. */
  readonly run?: (pass: () => Slice) => void;
  readonly onFailed: OnFailedObject;
  readonly now: () => number;
  readonly log: Log;
}

export class Reconciler {
  readonly world: Seen['world'];
  readonly #options: ReconcileOptions;
  readonly #seen: Seen;
  /** Nothing is decided before the first list. A watch that broke later blocks the way down, never a wake. */
  #hasSynced = false;
  readonly #decider: Decider;
  readonly #sharer: Sharer;
  readonly #faults: FaultTeller;

  constructor(options: ReconcileOptions) {
    this.#options = options;
    const { effects, now, log, advisor } = options;
    this.#seen = new Seen(options.jobsOf);
    this.world = this.#seen.world;
    const more = moreFaults(this.#seen, options);
    this.#faults = new FaultTeller(this.world, effects.onFaults, more);
    this.#sharer = new Sharer(this.world, effects.isLeader);
    const actuator = new Actuator({
      effects,
      now,
      log,
      onScaled: (...args) => this.#noteScaled(...args),
      // More may have come to wait meanwhile than it was sized for.
      onWoken: (key) => this.#decideNow(key, this.#decider.finder()),
      onNudge: (workload, state, trouble) => {
        state.nudgedAtMs = now();
        this.#seen.nudges.noteNudge(workload, trouble, state.nudgedAtMs);
      },
    });
    this.#decider = new Decider({
      seen: this.#seen,
      effects,
      advisor,
      faults: this.#faults,
      act: (...args) => actuator.act(...args),
      onFailed: options.onFailed,
      now,
    });
  }

  onNats(isConnected: boolean): void {
    this.#seen.natsSinceMs = isConnected ? this.#options.now() : undefined;
  }

  onSynced(isSynced: boolean): void {
    this.#seen.isSynced = isSynced;
    this.#hasSynced ||= isSynced;
    if (isSynced) this.tick();
  }

  onWorkload(kind: WorkloadKind, object: V1Deployment | V1StatefulSet): void {
    const before = this.world.observe(kind, object);
    const after = this.world.workload(functionKey(idOf(object)));
    if (!after) return;
    if (after.fn) this.#noteOthers(after, before);
    else this.#forget(after.key);
    this.#onChange(after.key);
  }

  onWorkloadGone(kind: WorkloadKind, key: string): void {
    this.world.deleteWorkload(kind, key);
    if (!this.world.workload(key)?.fn) this.#forget(key);
  }

  onCreationFailure(failure: CreationFailure): void {
    const workload = this.world.noteCreationFailure(failure);
    if (!workload?.fn) return;
    this.#seen.noteCreation(workload, this.#state(workload.key), this.#options.now());
    this.#onChange(workload.key);
  }

  onPod(object: V1Pod): void {
    const pod = podOf(object);
    if (!pod) return;
    this.world.setPod(pod);
    const workload = this.world.workloadOfOwner(pod.ownerKey);
    if (!workload?.fn) return;
    const state = this.#state(workload.key);
    state.seePod(pod, this.#options.now());
    state.activity.onPodKnown(pod.name);
    this.#onChange(workload.key);
  }

  onPodGone(object: V1Pod): void {
    const pod = podOf(object);
    if (!pod) return;
    this.world.deletePod(pod);
    const workload = this.world.workloadOfOwner(pod.ownerKey);
    if (!workload) return;
    this.#seen.states.get(workload.key)?.forgetPod(pod.name);
    this.#onChange(workload.key);
  }

  /** @returns false for a function that we do not know (yet); a proxy asks again within a second */
  onWake(id: FunctionId, message: WakeMessage): boolean {
    const key = functionKey(id);
    if (!this.world.workload(key)?.fn) return false;
    const nowMs = this.#options.now();
    this.#state(key).activity.onWake(message, nowMs);
    this.#seen.lastUse.note(id, nowMs);
    const finder = this.#decider.finder(nowMs);
    this.#decideNow(key, finder);
    for (const eager of this.#seen.dependencies.eager) this.#decideNow(eager, finder);
    return true;
  }

  onActivity(id: FunctionId, message: ActivityMessage): void {
    const key = functionKey(id);
    const workload = this.world.workload(key);
    if (!workload?.fn) return;
    const nowMs = this.#options.now();
    const state = this.#state(key);
    const isTurn = state.activity.onReport(message, nowMs, this.world.podsOf(workload).has(message.pod));
    if (state.activity.lastActiveMs === nowMs) this.#seen.lastUse.note(id, nowMs);
    if (isTurn || contradicts(message, state.decisions.at(-1)?.decision)) state.steady = undefined;
    if (message.source !== 'sidecar') return;
    state.hearStart(message.pod, message.start, this.#isEnding(key, message.pod));
    this.#share(key, nowMs);
  }

  onReady(id: FunctionId, message: ReadyMessage): void {
    const state = this.#seen.states.get(functionKey(id));
    if (!state?.pods.has(message.pod)) return;
    const isEnding = this.#isEnding(functionKey(id), message.pod);
    const isChanged = state.hearReady(message, isEnding, this.#options.now());
    state.sharesSentMs = 0; // tell it its share at once
    if (isChanged) this.#onChange(functionKey(id));
    else this.#share(functionKey(id), this.#options.now());
  }

  #isEnding(key: string, pod: string): boolean {
    const workload = this.world.workload(key);
    return workload !== undefined && this.world.podsOf(workload).get(pod)?.isEnding === true;
  }

  /** The number of its jobs has changed. */
  onJobs(key: string): void {
    if (this.world.workload(key)?.fn) this.#decideNow(key, this.#decider.finder());
  }

  onShares(id: FunctionId, message: ShareMessage): void {
    const key = functionKey(id);
    if (this.world.workload(key)?.fn) this.#sharer.hear(message, this.#state(key));
  }

  /** Decides for all. */
  tick(): void {
    if (this.#hasSynced) (this.#options.run ?? atOneGo)(() => this.#pass());
  }

  #pass(): Slice {
    return sliceOver(this.world.workloads(), () => {
      const nowMs = this.#options.now();
      const finder = this.#decider.finder(nowMs);
      return (workload) => {
        if (workload.fn) this.#onTick(workload, workload.fn, finder, nowMs);
      };
    });
  }

  #onTick(workload: Workload, fn: FunctionInfo, finder: FactFinder, nowMs: number): void {
    this.#decider.onTick(workload, fn, finder, nowMs);
    const state = this.#seen.state(workload.key, nowMs);
    if (fn.spec.parallelLimit !== undefined && this.#sharer.isDue(state, nowMs))
      this.#share(workload.key, nowMs);
  }

  /** What stands for a while is told again by the new leader; nothing else changes hands. */
  onLeading(): void {
    const nowMs = this.#options.now();
    this.#sharer.onLeading(nowMs);
    this.#options.advisor().onLeading(nowMs);
    this.#faults.tellAgain();
    this.tick();
  }

  state(key: string): FunctionState | undefined {
    return this.#seen.states.get(key);
  }

  /** Of pods that no watch has shown. */
  earlyReports(): number {
    return this.#seen.earlyReports();
  }

  /** For the status routes: decides again and shows everything it was decided from. */
  explain(workload: Workload, fn: FunctionInfo) {
    const nowMs = this.#options.now();
    const state = this.#state(workload.key);
    if (this.#hasSynced) this.#decider.decide(workload, fn, this.#decider.finder(nowMs), nowMs);
    const facts = this.#decider.finder(nowMs).factsOf(workload, fn, state);
    return { facts, state, faults: this.faultsOf(workload, fn) };
  }

  /** All that is wrong with it. */
  faultsOf(workload: Workload, fn: FunctionInfo): readonly Fault[] {
    this.#decider.refreshGraph();
    return this.#faults.of(workload, fn);
  }

  #decideNow(key: string, finder: FactFinder): void {
    if (this.#hasSynced) this.#decider.decideNow(key, finder);
  }

  #onChange(key: string): void {
    if (!this.#hasSynced) return;
    const nowMs = this.#options.now();
    this.#decider.onChange(key, nowMs);
    this.#share(key, nowMs);
  }

  #noteScaled(
    workload: Workload,
    made: { replicas: number; resourceVersion: string },
    isWake: boolean,
  ): void {
    const nowMs = this.#options.now();
    this.world.noteScaled(workload, made.replicas, made.resourceVersion);
    const change = { from: workload.replicas, to: made.replicas, isWake };
    this.#options.advisor().onScaled(workload.key, change, nowMs);
  }

  #noteOthers(after: Workload, before: Workload | undefined): void {
    const state = this.#state(after.key);
    this.#seen.noteCreation(after, state, this.#options.now());
    if (before?.fn?.spec !== after.fn?.spec) state.setByOthers = undefined;
    if (!before || before.uid !== after.uid || before.replicas === after.replicas) return;
    if (!this.#options.effects.isLeader() || this.world.autoscalerOf(after)) return;
    state.noteCount(after.replicas, this.#options.now());
  }

  #share(key: string, nowMs: number): void {
    const workload = this.world.workload(key);
    const state = this.#seen.states.get(key);
    const message = workload && state ? this.#sharer.share(workload, state, nowMs) : undefined;
    if (workload && message) this.#options.effects.publishShares(workload.id, message);
  }

  #state(key: string): FunctionState {
    return this.#seen.state(key, this.#options.now());
  }

  #forget(key: string): void {
    this.#seen.states.delete(key);
    this.#options.advisor().forget(key);
  }
}
