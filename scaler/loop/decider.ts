/**
 * Decides for one function at a time and hands the decision to the actuator. It does so on a tick, on a wake, and
 * when something has changed that a dependent may wait for. What is seen comes in through `reconcile.ts`.
 */
import { describeError } from '../../common/runtime/errors.ts';
import type { FunctionInfo } from '../../common/function/spec.ts';
import type { OnFailedObject } from '../../common/kube/watched.ts';
import type { Actuator } from '../act/actuator.ts';
import { mayGrow } from '../decide/bounds.ts';
import { decide } from '../decide/decide.ts';
import type { ReconcileEffects } from '../act/effects.ts';
import { FactFinder } from '../facts/facts.ts';
import { lacksReports, readyPods } from '../facts/pod-facts.ts';
import type { FaultTeller } from '../faults/faults.ts';
import type { Workload } from '../world/kube-objects.ts';
import type { LoadAdvisor } from '../load/load-advisor.ts';
import { steadyUntil } from './steady.ts';
import type { Seen } from '../facts/surroundings.ts';

export interface DeciderOptions {
  readonly seen: Seen;
  readonly effects: Pick<ReconcileEffects, 'onDecision'>;
  readonly advisor: () => LoadAdvisor;
  readonly faults: Pick<FaultTeller, 'tell' | 'tellOf' | 'hasTold'>;
  readonly act: Actuator['act'];
  readonly onFailed: OnFailedObject;
  readonly now: () => number;
}

export class Decider {
  readonly #options: DeciderOptions;
  readonly #seen: Seen;

  constructor(options: DeciderOptions) {
    this.#options = options;
    this.#seen = options.seen;
  }

  /** Facts as of now: for one pass, or one slice of it. */
  finder(nowMs = this.#options.now()): FactFinder {
    this.refreshGraph();
    return new FactFinder(this.#seen, nowMs);
  }

  refreshGraph(): void {
    if (this.#seen.dependencies.refresh()) this.#options.faults.tell();
  }

  /** Windows and policies count time by ticks; what happens between decides on the same advice. */
  onTick(workload: Workload, fn: FunctionInfo, finder: FactFinder, nowMs: number): void {
    if (this.#seen.state(workload.key, nowMs).isSteady(nowMs, this.#seen.epoch)) return;
    this.#guarded(workload, nowMs, () => {
      this.#advise(workload, fn, nowMs);
      this.#decide(workload, fn, finder, nowMs);
    });
    // What queries say changes by time alone.
    if (fn.spec.scale) this.#options.faults.tellOf(workload);
  }

  /** The function, then what it depends on, so that all patches leave at once. */
  decideNow(key: string, finder: FactFinder, seen = new Set<string>()): void {
    const workload = this.#seen.world.workload(key);
    if (!workload?.fn || seen.has(key)) return;
    seen.add(key);
    this.decide(workload, workload.fn, finder, this.#options.now());
    for (const dependency of this.#seen.dependencies.graph.dependenciesOf(key))
      this.decideNow(dependency, finder, seen);
  }

  /** A change of a workload or its pods may be what a dependent waits for. */
  onChange(key: string, nowMs: number): void {
    const finder = this.finder(nowMs);
    const visit = (at: string) => {
      const workload = this.#seen.world.workload(at);
      if (workload?.fn) this.decide(workload, workload.fn, finder, nowMs);
      for (const dependent of this.#seen.dependencies.graph.dependentsOf(at)) {
        const waits =
          this.#seen.states.get(dependent)?.decisions.at(-1)?.decision.kind === 'await-dependencies';
        if (waits) visit(dependent);
      }
    };
    visit(key);
  }

  decide(workload: Workload, fn: FunctionInfo, finder: FactFinder, nowMs: number): void {
    this.#guarded(workload, nowMs, () => this.#decide(workload, fn, finder, nowMs));
  }

  /** What cannot be decided costs that function alone: it stays as it is, and its faults say why. */
  #guarded(workload: Workload, nowMs: number, work: () => void): void {
    const state = this.#seen.state(workload.key, nowMs);
    const before = state.failure;
    try {
      work();
      state.failure = undefined;
    } catch (error) {
      state.failure = describeError(error);
      const { kind, uid, id } = workload;
      this.#options.onFailed(`decision/${kind}`, { metadata: { ...id, uid } }, error);
    }
    if (state.failure !== before) this.#options.faults.tellOf(workload);
  }

  #decide(workload: Workload, fn: FunctionInfo, finder: FactFinder, nowMs: number): void {
    const state = this.#seen.state(workload.key, nowMs);
    state.settle(workload.replicas, () => readyPods(workload, this.#seen), nowMs);
    const facts = finder.factsOf(workload, fn, state);
    const decision = decide(facts);
    const untilMs = steadyUntil(facts, decision, this.#seen.isLinked(workload.key));
    state.steady = { fromMs: nowMs, untilMs, epoch: this.#seen.epoch };
    if ((workload.replicas > 0 && facts.readyPods === 0) || this.#options.faults.hasTold(workload.key))
      this.#options.faults.tellOf(workload);
    if (state.log(decision, facts)) this.#options.effects.onDecision(workload, decision);
    if (decision.wanted === workload.replicas) state.wakeDueSinceMs = undefined;
    else this.#options.act(workload, state, decision, nowMs);
  }

  #advise(workload: Workload, fn: FunctionInfo, nowMs: number): void {
    const state = this.#seen.state(workload.key, nowMs);
    state.advice = undefined;
    state.triggers = {};
    if (workload.replicas === 0 || !mayGrow(fn.spec)) return;
    const { activity, hasPast } = state;
    const isPartial = lacksReports(workload, state, this.#seen.world);
    const seen = { activity, hasPast, isPartial, readyPods: readyPods(workload, this.#seen), nowMs };
    const { load, triggers } = this.#options.advisor().advise(workload, fn, seen);
    state.advice = load && { ...load, atReplicas: workload.replicas };
    state.triggers = triggers;
    if (triggers.active !== undefined) state.triggeredAtMs = nowMs;
  }
}
