/**
 * Turns what is seen into what is done: keeps a state a function, decides on every tick, on every wake and on
 * every change of a workload or pod, and has the difference patched. It does no I/O itself; effects are
 * functions passed in, and so is the clock.
 *
 * Leader or not, every replica of the scaler sees and decides the same. Only the leader acts, with one
 * exception: a follower that has seen a wake for a second, and still sees nothing happen, patches 0→N itself
 * ("assist"), because a leader may have died up to a lease duration ago. That is safe: both would write the same
 * number, upward only, and the API refuses the second (see `kube.ts`).
 */
import type { FunctionInfo, WorkloadKind } from '../common/function-spec.ts';
import type { CreationFailure } from '../common/kube/creation-failures.ts';
import type { ActivityMessage, ReadyMessage, ShareMessage, WakeMessage } from '../common/messages.ts';
import type { Log } from '../common/log.ts';
import { functionKey, type FunctionId } from '../common/subjects.ts';
import { Actuator } from './actuator.ts';
import { mayGrow } from './decide/bounds.ts';
import { decide } from './decide/decide.ts';
import type { ReconcileEffects } from './effects.ts';
import { FactFinder, readyPods } from './facts.ts';
import { podOf, workloadOf, ownerKeyOf, type Workload } from './kube-objects.ts';
import type { V1Deployment, V1Pod, V1StatefulSet } from '../common/kube/client.ts';
import { FaultTeller } from './faults.ts';
import type { LoadAdvisor } from './load-advisor.ts';
import type { FunctionState } from './state.ts';
import { Sharer } from './share-out.ts';
import { atOneGo, sliceOver, type Slice } from './slicer.ts';
import { contradicts, steadyUntil } from './steady.ts';
import { Seen } from './surroundings.ts';

export interface ReconcileOptions {
  readonly effects: ReconcileEffects;
  readonly jobsOf: (key: string) => number;
  /** Asked for when it is needed: it is made of the world that the reconciler keeps. */
  readonly advisor: () => LoadAdvisor;
  /** How a pass over all functions is run; default: at one go. */
  readonly run?: (pass: () => Slice) => void;
  readonly now: () => number;
  readonly log: Log;
}

export class Reconciler {
  readonly world: Seen['world'];
  readonly #options: ReconcileOptions;
  readonly #seen: Seen;
  /** Nothing is decided before the first list. A watch that broke later blocks the way down, never a wake. */
  #hasSynced = false;
  readonly #actuator: Actuator;
  readonly #sharer: Sharer;
  readonly #faults: FaultTeller;

  constructor(options: ReconcileOptions) {
    this.#options = options;
    const { effects, now, log, advisor } = options;
    this.#seen = new Seen(options.jobsOf);
    this.world = this.#seen.world;
    this.#faults = new FaultTeller(this.world, effects.onFaults, (workload, fn) => [
      ...this.#seen.dependencies.faultsOf(workload, fn),
      ...advisor().faultsOf(fn),
    ]);
    this.#sharer = new Sharer(this.world, effects.isLeader);
    this.#actuator = new Actuator({
      effects,
      now,
      log,
      onScaled: (...args) => this.#noteScaled(...args),
      // More may have come to wait meanwhile than it was sized for.
      onWoken: (key) => this.#decideNow(key, this.#finder(now())),
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
    const id = { namespace: object.metadata?.namespace ?? '', name: object.metadata?.name ?? '' };
    const before = this.world.workloadOfOwner(ownerKeyOf(kind, functionKey(id)));
    this.world.setWorkload(workloadOf(kind, object, before));
    const after = this.world.workload(functionKey(id));
    if (!after) return;
    if (after.fn) this.#noteOthers(after, before);
    else this.#forget(after.key);
    this.#onChange(after.key);
  }

  onWorkloadGone(kind: WorkloadKind, key: string): void {
    this.world.deleteWorkload(kind, key);
    if (!this.world.workload(key)?.fn) this.#forget(key);
  }

  onCreationFailure({ namespace, name, uid, message }: CreationFailure): void {
    const workload = this.world.noteCreationFailure(functionKey({ namespace, name }), uid, message);
    if (workload?.fn) this.#onChange(workload.key);
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
    const finder = this.#finder(nowMs);
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
    state.activity.onReport(message, nowMs, this.world.podsOf(workload).has(message.pod));
    if (state.activity.lastActiveMs === nowMs) this.#seen.lastUse.note(id, nowMs);
    if (contradicts(message, state.decisions.at(-1)?.decision)) state.steady = undefined;
    if (message.source === 'sidecar') this.#share(key, nowMs);
  }

  onReady(id: FunctionId, message: ReadyMessage): void {
    const state = this.#seen.states.get(functionKey(id));
    const pod = state?.pods.get(message.pod);
    if (!state || !pod) return;
    const isNews = pod.saidReady !== (message.state === 'ready');
    pod.saidReady = message.state === 'ready';
    if (message.state === 'draining') pod.endingSinceMs ??= this.#options.now();
    state.sharesSentMs = 0; // tell it its share at once
    if (isNews) this.#onChange(functionKey(id));
    else this.#share(functionKey(id), this.#options.now());
  }

  /** The number of its jobs has changed. */
  onJobs(key: string): void {
    if (this.world.workload(key)?.fn) this.#decideNow(key, this.#finder(this.#options.now()));
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
      const finder = this.#finder(nowMs);
      return (workload) => {
        if (workload.fn) this.#decideOnTick(workload, workload.fn, finder, nowMs);
      };
    });
  }

  #decideOnTick(workload: Workload, fn: FunctionInfo, finder: FactFinder, nowMs: number): void {
    const state = this.#seen.state(workload.key, nowMs);
    if (!state.isSteady(nowMs, this.#seen.epoch)) {
      this.#advise(workload, fn, nowMs);
      this.#decide(workload, fn, finder, nowMs);
    }
    if (fn.spec.parallelLimit !== undefined && this.#sharer.isDue(state, nowMs))
      this.#share(workload.key, nowMs);
  }

  /** Once a tick, for windows and policies count time by it; what happens between decides on the same advice. */
  #advise(workload: Workload, fn: FunctionInfo, nowMs: number): void {
    const state = this.#state(workload.key);
    state.advice = undefined;
    if (workload.replicas === 0 || !mayGrow(fn.spec)) return;
    const seen = { activity: state.activity, readyPods: readyPods(workload, this.#seen), nowMs };
    const advice = this.#options.advisor().advise(workload, fn, seen);
    state.advice = advice && { ...advice, atReplicas: workload.replicas };
  }

  /** What stands for a while is told anew by the new leader; nothing else changes hands. */
  onLeading(): void {
    this.#sharer.onLeading(this.#options.now());
    this.#faults.tellAgain();
    this.tick();
  }

  state(key: string): FunctionState | undefined {
    return this.#seen.states.get(key);
  }

  /** For the status routes: decides again and shows everything it was decided from. */
  explain(workload: Workload, fn: FunctionInfo) {
    const nowMs = this.#options.now();
    const state = this.#state(workload.key);
    if (this.#hasSynced) this.#decide(workload, fn, this.#finder(nowMs), nowMs);
    const facts = this.#finder(nowMs).factsOf(workload, fn, state);
    return { facts, state, faults: this.faultsOf(workload, fn) };
  }

  /** All in the user's annotations that cannot be used as written. */
  faultsOf(workload: Workload, fn: FunctionInfo): readonly string[] {
    this.#refreshGraph();
    return this.#faults.of(workload, fn);
  }

  /** The function, then what it depends on, so that all patches leave at once. */
  #decideNow(key: string, finder: FactFinder, seen = new Set<string>()): void {
    const workload = this.world.workload(key);
    if (!workload?.fn || seen.has(key) || !this.#hasSynced) return;
    seen.add(key);
    this.#decide(workload, workload.fn, finder, this.#options.now());
    for (const dependency of this.#seen.dependencies.graph.dependenciesOf(key))
      this.#decideNow(dependency, finder, seen);
  }

  /** A change of a workload or its pods may be what a dependent waits for. */
  #onChange(key: string): void {
    if (!this.#hasSynced) return;
    const nowMs = this.#options.now();
    const finder = this.#finder(nowMs);
    const visit = (at: string) => {
      const workload = this.world.workload(at);
      if (workload?.fn) this.#decide(workload, workload.fn, finder, nowMs);
      for (const dependent of this.#seen.dependencies.graph.dependentsOf(at)) {
        const waits =
          this.#seen.states.get(dependent)?.decisions.at(-1)?.decision.kind === 'await-dependencies';
        if (waits) visit(dependent);
      }
    };
    visit(key);
    this.#share(key, nowMs);
  }

  #decide(workload: Workload, fn: FunctionInfo, finder: FactFinder, nowMs: number): void {
    const state = this.#state(workload.key);
    state.settle(workload.replicas, () => readyPods(workload, this.#seen), nowMs);
    const facts = finder.factsOf(workload, fn, state);
    const decision = decide(facts);
    if (workload.replicas === 0) state.advice = undefined; // it is not for the next wake
    const untilMs = steadyUntil(facts, decision, this.#seen.isLinked(workload.key));
    state.steady = { fromMs: nowMs, untilMs, epoch: this.#seen.epoch };
    if (state.log(decision, facts)) this.#options.effects.onDecision(workload, decision);
    if (decision.wanted === workload.replicas) state.wakeDueSinceMs = undefined;
    else this.#actuator.act(workload, state, decision, nowMs);
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

  /** Facts as of now: for one pass, or one slice of it. */
  #finder(nowMs: number): FactFinder {
    this.#refreshGraph();
    return new FactFinder(this.#seen, nowMs);
  }

  #refreshGraph(): void {
    if (this.#seen.dependencies.refresh()) this.#faults.tell();
  }
}
