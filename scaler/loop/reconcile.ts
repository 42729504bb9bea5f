/**
 * Hears everything (workloads, pods, wakes, reports, jobs, shares), has it observed, and sends the functions that it
 * concerns through the steps of `pipeline.ts`: on every tick, on every wake and on every change. It does no I/O
 * itself; effects are functions passed in, and so is the clock.
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
import { functionKey, type FunctionId } from '../../common/bus/subjects.ts';
import type { V1Deployment, V1Pod, V1StatefulSet } from '../../common/kube/client.ts';
import type { CanaryView } from '../canaries/canaries.ts';
import type { Facts } from '../decide/types.ts';
import type { FactFinder } from '../facts/facts.ts';
import type { Fault } from '../faults/faults.ts';
import type { Observed, Observer } from '../observe/observer.ts';
import type { Ledger } from '../shares/shares.ts';
import type { Workload } from '../world/kube-objects.ts';
import type { Autoscaler } from '../world/world.ts';
import type { DecisionsView } from './decisions.ts';
import { createLoopParts, type LoopParts, type LoopPartsOptions } from './loop-parts.ts';
import { atOneGo, sliceOver, type Slice } from './slicer.ts';
import { contradicts } from './steady.ts';

export interface ReconcileOptions extends LoopPartsOptions {
  /** How a pass over all functions is run; default: at one go. */
  readonly run?: (pass: () => Slice) => void;
}

export class Reconciler {
  readonly #options: ReconcileOptions;
  readonly #observer: Observer;
  readonly #parts: LoopParts;

  constructor(options: ReconcileOptions) {
    this.#options = options;
    this.#observer = options.observer;
    this.#parts = createLoopParts(options, {
      onScaled: (...scaled) => this.#onScaled(...scaled),
      // More may have come to wait meanwhile than it was sized for.
      onWoken: (key) => this.#decideNow(key),
    });
  }

  get observed(): Observed {
    return this.#observer;
  }

  get decisions(): DecisionsView {
    return this.#parts.decisions;
  }

  /** How it does, beside the function that it may replace; undefined: it is no canary. */
  canaryOf(workload: Workload): CanaryView | undefined {
    return this.#parts.canaries.viewOf(workload);
  }

  /** What its pods were granted. */
  sharesOf(key: string): Ledger {
    return this.#parts.sharer.ledgerOf(key);
  }

  onNats(isConnected: boolean): void {
    this.#observer.onNats(isConnected);
  }

  onSynced(isSynced: boolean): void {
    this.#observer.onSynced(isSynced);
    if (isSynced) this.tick();
  }

  onWorkload(kind: WorkloadKind, object: V1Deployment | V1StatefulSet): void {
    const { before, after } = this.#observer.onWorkload(kind, object);
    if (!after) return;
    this.#parts.canaries.onWorkload(after);
    if (after.fn) {
      this.#noteCreation(after);
      if (this.#isSetByOthers(after, before)) this.#observer.onCountOfOthers(after);
    } else if (before?.fn) this.#forget(after.key);
    this.#onChange(after.key);
    if (before?.canaryEnd?.at !== after.canaryEnd?.at) this.tellFaults(after);
  }

  onWorkloadGone(kind: WorkloadKind, key: string): void {
    this.#observer.onWorkloadGone(kind, key);
    if (!this.#observer.world.workload(key)?.fn) this.#forget(key);
  }

  onCreationFailure(failure: CreationFailure): void {
    const workload = this.#observer.onCreationFailure(failure);
    if (!workload?.fn) return;
    this.#noteCreation(workload);
    this.#onChange(workload.key);
  }

  onAutoscaler(autoscaler: Autoscaler): void {
    this.#observer.onAutoscaler(autoscaler);
  }

  onAutoscalerGone(key: string): void {
    this.#observer.onAutoscalerGone(key);
  }

  onPod(object: V1Pod): void {
    const workload = this.#observer.onPod(object);
    if (workload) this.#onChange(workload.key);
  }

  onPodGone(object: V1Pod): void {
    const workload = this.#observer.onPodGone(object);
    if (workload) this.#onChange(workload.key);
  }

  /** @returns false for a function that we do not know (yet); a proxy asks again within a second */
  onWake(id: FunctionId, message: WakeMessage): boolean {
    const workload = this.#functionOf(id);
    if (!workload) return false;
    const nowMs = this.#options.now();
    this.#observer.onWake(workload, message, nowMs);
    if (this.#observer.hasSynced) this.#parts.pipeline.onUse(workload.key, nowMs);
    return true;
  }

  onActivity(id: FunctionId, message: ActivityMessage): void {
    const workload = this.#functionOf(id);
    if (!workload) return;
    const { key } = workload;
    const nowMs = this.#options.now();
    const isTurn = this.#observer.onActivity(workload, message, nowMs);
    if (isTurn || contradicts(message, this.#parts.decisions.last(key))) this.#parts.decisions.reopen(key);
    if (message.source === 'sidecar') this.#share(key, nowMs);
    else if (message.calls) this.#parts.canaries.hear(workload, message.calls, nowMs);
  }

  onReady(id: FunctionId, message: ReadyMessage): void {
    const key = functionKey(id);
    const isChanged = this.#observer.onReady(id, message);
    if (isChanged === undefined) return;
    this.#parts.sharer.tellAgain(key); // tell it its share at once
    if (isChanged) this.#onChange(key);
    else this.#share(key, this.#options.now());
  }

  /** The number of its jobs has changed. */
  onJobs(key: string): void {
    if (this.#observer.world.workload(key)?.fn) this.#decideNow(key);
  }

  /** What its triggers measure has changed. Neither a sleeping function nor a source that pushes waits for the tick. */
  onAnswers(keys: readonly string[]): void {
    if (!this.#observer.hasSynced) return;
    const nowMs = this.#options.now();
    for (const key of keys) {
      const workload = this.#observer.world.workload(key);
      const { scaleFromZero = false, sources = [] } = workload?.fn?.spec.scale ?? {};
      if (!workload?.fn || (workload.replicas === 0 ? !scaleFromZero : sources.length === 0)) continue;
      this.#parts.pipeline.onAnswers(workload, workload.fn, this.#parts.pipeline.finder(nowMs), nowMs);
    }
  }

  onShares(id: FunctionId, message: ShareMessage): void {
    const key = functionKey(id);
    if (this.#functionOf(id)) this.#parts.sharer.hear(key, message, this.#observer.of(key));
  }

  /** Decides for all. */
  tick(): void {
    if (this.#observer.hasSynced) (this.#options.run ?? atOneGo)(() => this.#pass());
  }

  #pass(): Slice {
    return sliceOver(this.#observer.world.workloads(), () => {
      const nowMs = this.#options.now();
      const finder = this.#parts.pipeline.finder(nowMs);
      return (workload) => {
        if (workload.fn) this.#onTick(workload, workload.fn, finder, nowMs);
      };
    });
  }

  #onTick(workload: Workload, fn: FunctionInfo, finder: FactFinder, nowMs: number): void {
    this.#parts.pipeline.onTick(workload, fn, finder, nowMs);
    if (fn.spec.parallelLimit !== undefined && this.#parts.sharer.isDue(workload.key, nowMs))
      this.#share(workload.key, nowMs);
  }

  /** What stands for a while is told again by the new leader; nothing else passes to the new leader. */
  onLeading(): void {
    const nowMs = this.#options.now();
    this.#parts.sharer.onLeading(nowMs);
    this.#options.advisor.onLeading(nowMs);
    this.#parts.faults.tellAgain();
    this.tick();
  }

  /** What a decision would be made from now; undefined before the first look at it. Nothing is decided or done. */
  factsOf(workload: Workload, fn: FunctionInfo): Facts | undefined {
    if (this.#observer.of(workload.key) === undefined) return undefined;
    return this.#parts.pipeline.reader(this.#options.now()).factsOf(workload, fn);
  }

  /** All that was wrong with it at the last look. */
  faultsOf(workload: Workload): readonly Fault[] {
    return this.#parts.faults.told(workload.key);
  }

  /** What is wrong with it has changed, and no decision has seen that. */
  readonly tellFaults = (workload: Workload): void => this.#parts.faults.tellOf(workload);

  #functionOf(id: FunctionId): Workload | undefined {
    const workload = this.#observer.world.workload(functionKey(id));
    return workload?.fn ? workload : undefined;
  }

  #decideNow(key: string): void {
    if (!this.#observer.hasSynced) return;
    const nowMs = this.#options.now();
    this.#parts.pipeline.decideNow(key, this.#parts.pipeline.finder(nowMs), nowMs);
  }

  #onChange(key: string): void {
    if (!this.#observer.hasSynced) return;
    const nowMs = this.#options.now();
    this.#parts.pipeline.onChange(key, nowMs);
    this.#share(key, nowMs);
  }

  /** A pod could not be created; or one was, and what kept it from being so is gone for others too. */
  #noteCreation(workload: Workload): void {
    const cured = this.#observer.noteCreation(workload);
    if (cured) this.#parts.nudges.onCreated(workload, cured, this.#options.now());
  }

  #isSetByOthers(after: Workload, before: Workload | undefined): boolean {
    if (!before || before.uid !== after.uid || before.replicas === after.replicas) return false;
    if (!this.#options.effects.isLeader() || this.#observer.world.autoscalerOf(after)) return false;
    return !this.#parts.actuator.isAskingFor(after.key, after.replicas);
  }

  #onScaled(workload: Workload, made: { replicas: number; resourceVersion: string }, isWake: boolean): void {
    this.#observer.onScaled(workload, made);
    const change = { from: workload.replicas, to: made.replicas, isWake };
    this.#options.advisor.onScaled(workload.key, change, this.#options.now());
  }

  #share(key: string, nowMs: number): void {
    const workload = this.#observer.world.workload(key);
    const observed = this.#observer.of(key);
    const message = workload && observed ? this.#parts.sharer.share(workload, observed, nowMs) : undefined;
    if (workload && message) this.#options.effects.publishShares(workload.id, message);
  }

  #forget(key: string): void {
    const { advisor } = this.#options;
    const { decisions, advice, nudges, actuator, sharer, canaries, moreFaults } = this.#parts;
    const owners = [
      this.#observer,
      decisions,
      advice,
      advisor,
      nudges,
      actuator,
      sharer,
      canaries,
      moreFaults,
    ];
    for (const owner of owners) owner.forget(key);
  }
}
