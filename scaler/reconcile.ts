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
import type { ActivityMessage, ReadyMessage, ShareMessage, WakeMessage } from '../common/messages.ts';
import type { Log } from '../common/log.ts';
import { describeError } from '../common/errors.ts';
import { functionKey, type FunctionId } from '../common/subjects.ts';
import { decide } from './decide/decide.ts';
import { buildGraph, type DependencyGraph } from './decide/dependencies.ts';
import type { Decision, LoadAdvice } from './decide/types.ts';
import { FactFinder, readyPods, resolveDependency, type Surroundings } from './facts.ts';
import type { ScaleOutcome, ScaleRequest } from './kube.ts';
import { podOf, workloadOf, ownerKeyOf, type Pod, type Workload } from './kube-objects.ts';
import type { V1Deployment, V1Pod, V1StatefulSet } from '../common/kube/client.ts';
import { FunctionState } from './state.ts';
import { noteShares, sharesOf, splitShares, type SharePod } from './shares.ts';
import { World } from './world.ts';

/** A follower helps when a wake was not acted upon for that long: ten times what a healthy leader needs. */
const ASSIST_AFTER_MS = 1_000;
/** Shares are told again: core NATS may lose a message. */
const SHARES_REPEAT_MS = 5_000;

/** What a function's triggers advise; see `load-advisor.ts`. */
export interface LoadAdvisor {
  advise(workload: Workload, fn: FunctionInfo, state: FunctionState, nowMs: number): LoadAdvice | undefined;
  onScaled(key: string, from: number, to: number, nowMs: number): void;
  forget(key: string): void;
}

export interface ReconcileEffects {
  readonly scale: (request: ScaleRequest) => Promise<ScaleOutcome>;
  readonly publishShares: (id: FunctionId, message: ShareMessage) => void;
  readonly isLeader: () => boolean;
  /** A decision that differs from the last one, leader or not. */
  readonly onDecision: (workload: Workload, decision: Decision) => void;
  /** A replica count was changed; `wakeMs`: since the wake that caused it arrived. */
  readonly onScaled: (workload: Workload, decision: Decision, wakeMs: number | undefined) => void;
  /** Faults of annotations and dependencies, whenever they may have changed. */
  readonly onFaults: (workload: Workload, faults: readonly string[]) => void;
}

export interface ReconcileOptions {
  readonly effects: ReconcileEffects;
  readonly jobsOf: (key: string) => number;
  readonly advisor: LoadAdvisor;
  readonly now: () => number;
  readonly log: Log;
}

export class Reconciler {
  readonly world = new World();
  readonly #options: ReconcileOptions;
  readonly #states = new Map<string, FunctionState>();
  readonly #lastUse = new Map<string, { atMs: number; name: string }>();
  #natsSinceMs: number | undefined;
  #isSynced = false;
  #graph: DependencyGraph = buildGraph(new Map());
  #graphVersion = -1;
  /** Functions that any other's activity wakes. */
  #eager: string[] = [];

  constructor(options: ReconcileOptions) {
    this.#options = options;
  }

  // ---- what is seen -------------------------------------------------------------------------------------

  onNats(isConnected: boolean): void {
    this.#natsSinceMs = isConnected ? this.#options.now() : undefined;
  }

  onSynced(isSynced: boolean): void {
    this.#isSynced = isSynced;
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

  onPod(object: V1Pod): void {
    const pod = podOf(object);
    if (!pod) return;
    this.world.setPod(pod);
    const workload = this.world.workloadOfOwner(pod.ownerKey);
    if (!workload?.fn) return;
    this.#state(workload.key).seePod(pod, this.#options.now());
    this.#onChange(workload.key);
  }

  onPodGone(object: V1Pod): void {
    const pod = podOf(object);
    if (!pod) return;
    this.world.deletePod(pod);
    const workload = this.world.workloadOfOwner(pod.ownerKey);
    if (!workload) return;
    this.#states.get(workload.key)?.forgetPod(pod.name);
    this.#onChange(workload.key);
  }

  /** @returns false for a function that we do not know (yet); a proxy asks again within a second */
  onWake(id: FunctionId, message: WakeMessage): boolean {
    const key = functionKey(id);
    if (!this.world.workload(key)?.fn) return false;
    const nowMs = this.#options.now();
    this.#state(key).activity.onWake(message, nowMs);
    this.#noteUse(id, nowMs);
    this.#decideWith(key, new FactFinder(this.#surroundings(), nowMs));
    return true;
  }

  onActivity(id: FunctionId, message: ActivityMessage): void {
    const key = functionKey(id);
    if (!this.world.workload(key)?.fn) return;
    const nowMs = this.#options.now();
    const { activity } = this.#state(key);
    activity.onReport(message, nowMs);
    if (activity.lastActiveMs === nowMs) this.#noteUse(id, nowMs);
    if (message.source === 'sidecar') this.#share(key, nowMs);
  }

  onReady(id: FunctionId, message: ReadyMessage): void {
    const state = this.#states.get(functionKey(id));
    const pod = state?.pods.get(message.pod);
    if (!state || !pod) return;
    const isNews = pod.saidReady !== (message.state === 'ready');
    pod.saidReady = message.state === 'ready';
    if (message.state === 'draining') pod.endingSinceMs ??= this.#options.now();
    state.sharesSentMs = 0; // tell it its share at once
    if (isNews) this.#onChange(functionKey(id));
    else this.#share(functionKey(id), this.#options.now());
  }

  /** The leader's grants; our own come back too and change nothing. */
  onShares(id: FunctionId, message: ShareMessage): void {
    const key = functionKey(id);
    if (this.#options.effects.isLeader() || !this.world.workload(key)?.fn) return;
    const state = this.#state(key);
    state.ledger = noteShares(message.shares, state.ledger);
  }

  // ---- what is done -------------------------------------------------------------------------------------

  tick(): void {
    const nowMs = this.#options.now();
    if (!this.#isSynced) return;
    const finder = new FactFinder(this.#surroundings(), nowMs);
    for (const workload of this.world.workloads()) {
      if (!workload.fn) continue;
      this.#decide(workload, workload.fn, finder, nowMs);
      this.#share(workload.key, nowMs);
    }
  }

  /** What stands for a while is told anew by the new leader; nothing else changes hands. */
  onLeading(): void {
    for (const workload of this.world.workloads())
      if (workload.fn) this.#options.effects.onFaults(workload, this.faultsOf(workload, workload.fn));
    this.tick();
  }

  state(key: string): FunctionState | undefined {
    return this.#states.get(key);
  }

  /** For the status routes: decides again and shows everything it was decided from. */
  explain(workload: Workload, fn: FunctionInfo) {
    const nowMs = this.#options.now();
    const state = this.#state(workload.key);
    const facts = new FactFinder(this.#surroundings(), nowMs).factsOf(workload, fn, state, undefined);
    return { facts, state, faults: this.faultsOf(workload, fn) };
  }

  faultsOf(workload: Workload, fn: FunctionInfo): string[] {
    this.#refreshGraph();
    const faults = fn.faults.map((f) => `${f.annotation}: ${f.problem}; in force: ${f.inForce}`);
    for (const name of fn.spec.dependsOn)
      if (resolveDependency(name, fn.id.namespace, this.world) === undefined)
        faults.push(`SlimFaas/DependsOn: there is no workload ${JSON.stringify(name)}; it is not waited for`);
    for (const cycle of this.#graph.cycles)
      if (cycle[0] === workload.key)
        faults.push(`SlimFaas/DependsOn: a cycle, ${cycle.join(' → ')}; the last step is ignored`);
    return faults;
  }

  /** On a wake: the function, then its dependencies, so that their patches leave with the first. */
  #decideWith(key: string, finder: FactFinder, seen = new Set<string>()): void {
    const workload = this.world.workload(key);
    if (!workload?.fn || seen.has(key) || !this.#isSynced) return;
    seen.add(key);
    this.#decide(workload, workload.fn, finder, this.#options.now());
    for (const dependency of this.#graph.dependenciesOf(key)) this.#decideWith(dependency, finder, seen);
    if (seen.size === 1) for (const eager of this.#eager) this.#decideWith(eager, finder, seen);
  }

  /** A change of a workload or its pods may be what a dependent waits for. */
  #onChange(key: string): void {
    if (!this.#isSynced) return;
    const nowMs = this.#options.now();
    this.#refreshGraph();
    const finder = new FactFinder(this.#surroundings(), nowMs);
    const visit = (at: string) => {
      const workload = this.world.workload(at);
      if (workload?.fn) this.#decide(workload, workload.fn, finder, nowMs);
      for (const dependent of this.#graph.dependentsOf(at)) {
        const waits = this.#states.get(dependent)?.decisions.at(-1)?.decision.kind === 'await-dependencies';
        if (waits) visit(dependent);
      }
    };
    visit(key);
    this.#share(key, nowMs);
  }

  #decide(workload: Workload, fn: FunctionInfo, finder: FactFinder, nowMs: number): void {
    const state = this.#state(workload.key);
    this.#settle(workload, state, nowMs);
    const load = workload.replicas > 0 ? this.#options.advisor.advise(workload, fn, state, nowMs) : undefined;
    const decision = decide(finder.factsOf(workload, fn, state, load));
    if (state.log({ atMs: nowMs, from: workload.replicas, decision }))
      this.#options.effects.onDecision(workload, decision);
    if (decision.wanted === workload.replicas) state.wakeDueSinceMs = undefined;
    else this.#act(workload, state, decision, nowMs);
  }

  /** What has come true since the last look. */
  #settle(workload: Workload, state: FunctionState, nowMs: number): void {
    if (workload.replicas === 0) {
      state.coldStartSinceMs = undefined;
      return;
    }
    state.activity.wakeAtMs = undefined;
    if (state.coldStartSinceMs !== undefined && readyPods(workload, this.#surroundings()) > 0) {
      state.coldStartSinceMs = undefined;
      state.readySinceMs = nowMs;
    }
  }

  #act(workload: Workload, state: FunctionState, decision: Decision, nowMs: number): void {
    if (state.patching) return;
    const { isLeader } = this.#options.effects;
    if (isLeader()) return void this.#patch(workload, state, decision, isLeader);
    if (decision.kind !== 'wake') return;
    state.wakeDueSinceMs ??= nowMs;
    if (nowMs - state.wakeDueSinceMs < ASSIST_AFTER_MS) return;
    this.#options.log.warn({ function: workload.key }, 'no leader acts on this wake; waking it for him');
    void this.#patch(workload, state, decision, () => true);
  }

  async #patch(
    workload: Workload,
    state: FunctionState,
    decision: Decision,
    mayGoOn: () => boolean,
  ): Promise<void> {
    const { effects, now, log, advisor } = this.#options;
    const wakeAtMs = decision.kind === 'wake' ? state.activity.wakeAtMs : undefined;
    const to = decision.wanted;
    state.patching = { to };
    try {
      const outcome = await effects.scale({ workload, to, mayGoOn });
      if (outcome.kind === 'overtaken') return;
      this.world.noteScaled(workload, outcome.replicas, outcome.resourceVersion);
      state.setByOthers = undefined;
      state.wakeDueSinceMs = undefined;
      if (workload.replicas === 0) state.coldStartSinceMs = now();
      advisor.onScaled(workload.key, workload.replicas, to, now());
      effects.onScaled(workload, decision, wakeAtMs === undefined ? undefined : now() - wakeAtMs);
    } catch (error) {
      log.warn({ function: workload.key, to, error: describeError(error) }, 'scaling failed; trying again');
    } finally {
      state.patching = undefined;
    }
  }

  /** Somebody else changed the count: it counts as use and stands for one idle timeout. */
  #noteOthers(after: Workload, before: Workload | undefined): void {
    const state = this.#state(after.key);
    if (before?.fn?.spec !== after.fn?.spec) state.setByOthers = undefined;
    if (!before || before.uid !== after.uid || before.replicas === after.replicas) return;
    if (state.patching?.to === after.replicas || !this.#options.effects.isLeader()) return;
    if (this.world.autoscalerOf(after)) return;
    state.setByOthers = { replicas: after.replicas, atMs: this.#options.now() };
  }

  #share(key: string, nowMs: number): void {
    const workload = this.world.workload(key);
    const limit = workload?.fn?.spec.parallelLimit;
    const state = this.#states.get(key);
    if (!workload?.fn || limit === undefined || !state || !this.#options.effects.isLeader()) return;
    const pods = [...this.world.podsOf(workload).values()]
      .map((pod) => sharePod(pod, state))
      .filter((pod) => pod !== undefined);
    if (pods.length === 0) return;
    const input = { limit, perPod: workload.fn.spec.parallelPerPod, pods };
    const { ledger, isChanged } = splitShares(input, state.ledger);
    state.ledger = ledger;
    if (!isChanged && nowMs - state.sharesSentMs < SHARES_REPEAT_MS) return;
    state.sharesSentMs = nowMs;
    this.#options.effects.publishShares(workload.id, { limit, shares: sharesOf(pods, ledger) });
  }

  #noteUse(id: FunctionId, atMs: number): void {
    const last = this.#lastUse.get(id.namespace);
    if (last) Object.assign(last, { atMs, name: id.name });
    else this.#lastUse.set(id.namespace, { atMs, name: id.name });
  }

  #state(key: string): FunctionState {
    let state = this.#states.get(key);
    if (!state) this.#states.set(key, (state = new FunctionState(this.#options.now())));
    return state;
  }

  #forget(key: string): void {
    this.#states.delete(key);
    this.#options.advisor.forget(key);
  }

  #surroundings(): Surroundings {
    this.#refreshGraph();
    return {
      world: this.world,
      graph: this.#graph,
      stateOf: (key) => this.#states.get(key),
      lastUseIn: (namespace) => this.#lastUse.get(namespace),
      natsSinceMs: this.#natsSinceMs,
      isSynced: this.#isSynced,
      jobsOf: this.#options.jobsOf,
    };
  }

  /** Rebuilt only when a function or its annotations changed. */
  #refreshGraph(): void {
    if (this.#graphVersion === this.world.specVersion) return;
    this.#graphVersion = this.world.specVersion;
    const edges = new Map<string, string[]>();
    this.#eager = [];
    for (const { key, fn } of this.world.workloads()) {
      if (!fn) continue;
      const targets = fn.spec.dependsOn.map((name) => resolveDependency(name, fn.id.namespace, this.world));
      if (targets.length > 0)
        edges.set(
          key,
          targets.filter((target) => target !== undefined),
        );
      if (fn.spec.wakesWithAny) this.#eager.push(key);
    }
    this.#graph = buildGraph(edges);
    for (const workload of this.world.workloads())
      if (workload.fn) this.#options.effects.onFaults(workload, this.faultsOf(workload, workload.fn));
  }
}

/** Undefined for a pod that cannot admit anything: no sidecar, or no address yet. */
function sharePod(pod: Pod, state: FunctionState): SharePod | undefined {
  const seen = state.pods.get(pod.name);
  if (!pod.hasSidecar || pod.ip === undefined || !seen) return undefined;
  const report = state.activity.pods.get(pod.name);
  return {
    name: pod.name,
    state:
      stateOfPod(pod, seen.endingSinceMs, report?.atMs) ??
      (pod.isReady || seen.saidReady ? 'ready' : 'starting'),
    report:
      report?.limit === undefined
        ? undefined
        : { limit: report.limit, runningNow: report.runningNow, waiting: report.waiting },
  };
}

/** A report that left up to a second before the drain may still show less than was admitted until then. */
function stateOfPod(
  pod: Pod,
  endingSinceMs: number | undefined,
  reportMs: number | undefined,
): 'ending' | 'drained' | undefined {
  if (endingSinceMs === undefined && !pod.isEnding) return undefined;
  return reportMs !== undefined && reportMs > (endingSinceMs ?? Infinity) + 1_000 ? 'drained' : 'ending';
}
