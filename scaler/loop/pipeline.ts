/**
 * One function through the four steps: observe (what has come true), facts, decide, act. Each step hands readonly
 * values to the next one, and none writes what an earlier one owns. What a patch has done is heard by the observer
 * like all else, and counts from the next decision on.
 *
 * Between two decisions each thing is kept by one owner:
 *   - what was observed: `Observer` (observe/observer.ts)
 *   - what triggers said at the last tick: `TickAdvice` (load/tick-advice.ts), made of the advisor's own windows
 *   - what was decided, and for how long it stands: `Decisions` (decisions.ts)
 *   - patches under way: `Actuator`; requests for another try: `Nudges` (both in act/)
 *   - what pods were granted: `Sharer` (shares/share-out.ts)
 *   - what people were told is wrong: `FaultTeller` and `MoreFaults` (faults/)
 */
import { isBuiltIn } from '../../common/function/built-in-triggers.ts';
import { describeError } from '../../common/runtime/errors.ts';
import type { FunctionInfo } from '../../common/function/spec.ts';
import type { OnFailedObject } from '../../common/kube/watched.ts';
import type { Actuator } from '../act/actuator.ts';
import type { ReconcileEffects } from '../act/effects.ts';
import type { Nudges } from '../act/nudges.ts';
import { decide } from '../decide/decide.ts';
import type { DependencyGraph } from '../decide/dependencies.ts';
import { FactFinder } from '../facts/facts.ts';
import type { FaultTeller } from '../faults/faults.ts';
import type { TickAdvice } from '../load/tick-advice.ts';
import type { Observer } from '../observe/observer.ts';
import type { DependencyIndex } from '../faults/dependency-index.ts';
import type { Workload } from '../world/kube-objects.ts';
import type { Decisions } from './decisions.ts';
import { steadyUntil } from './steady.ts';

export interface PipelineOptions {
  readonly observer: Observer;
  readonly dependencies: DependencyIndex;
  readonly advice: TickAdvice;
  readonly nudges: Nudges;
  readonly decisions: Decisions;
  readonly actuator: Pick<Actuator, 'act'>;
  readonly faults: Pick<FaultTeller, 'tell' | 'tellOf' | 'told'>;
  readonly effects: Pick<ReconcileEffects, 'onDecision'>;
  readonly jobsOf: (key: string) => number;
  readonly onFailed: OnFailedObject;
}

export class Pipeline {
  readonly #options: PipelineOptions;

  constructor(options: PipelineOptions) {
    this.#options = options;
  }

  /** Facts as of now: for one pass, or one slice of it. */
  finder(nowMs: number): FactFinder {
    if (this.#options.dependencies.refresh()) this.#options.faults.tell();
    return this.reader(nowMs);
  }

  /** The same for whoever only asks: it changes nothing, and dependencies are those of the last look. */
  reader(nowMs: number): FactFinder {
    const { observer, advice, nudges, jobsOf } = this.#options;
    return new FactFinder(
      { observed: observer, graph: this.#graph, nudges, adviceOf: advice.of, jobsOf },
      nowMs,
    );
  }

  /** All four steps, and before them what triggers say; nothing for a function whose decision stands. */
  onTick(workload: Workload, fn: FunctionInfo, finder: FactFinder, nowMs: number): void {
    const { observer, advice, decisions, faults } = this.#options;
    // What queries say changes by time alone, also while a decision stands.
    const hasQueries = fn.spec.scale?.triggers.every(isBuiltIn) === false;
    if (decisions.isSteady(workload.key, nowMs, observer.epoch)) {
      if (hasQueries) faults.tellOf(workload);
      return;
    }
    this.#guarded(workload, () => {
      advice.ask(workload, fn, observer.of(workload.key), nowMs);
      return this.#decide(workload, fn, finder, nowMs) || hasQueries;
    });
  }

  /** Its triggers have new answers: what they say now is decided on now, as on a tick. */
  onAnswers(workload: Workload, fn: FunctionInfo, finder: FactFinder, nowMs: number): void {
    this.#options.decisions.reopen(workload.key);
    this.onTick(workload, fn, finder, nowMs);
    for (const dependency of this.#graph.dependenciesOf(workload.key))
      this.decideNow(dependency, finder, nowMs);
  }

  /** The function, then what it depends on, so that all patches leave at once. */
  decideNow(key: string, finder: FactFinder, nowMs: number, visited = new Set<string>()): void {
    const workload = this.#options.observer.world.workload(key);
    if (!workload?.fn || visited.has(key)) return;
    visited.add(key);
    this.decide(workload, workload.fn, finder, nowMs);
    for (const dependency of this.#graph.dependenciesOf(key))
      this.decideNow(dependency, finder, nowMs, visited);
  }

  /** It is used: those that any use wakes are looked at too. */
  onUse(key: string, nowMs: number): void {
    const finder = this.finder(nowMs);
    for (const each of [key, ...this.#options.dependencies.eager]) this.decideNow(each, finder, nowMs);
  }

  /** A change of a workload or its pods may be what a dependent waits for. */
  onChange(key: string, nowMs: number): void {
    const { observer, decisions } = this.#options;
    const finder = this.finder(nowMs);
    const visit = (at: string) => {
      const workload = observer.world.workload(at);
      if (workload?.fn) this.decide(workload, workload.fn, finder, nowMs);
      for (const dependent of this.#graph.dependentsOf(at))
        if (decisions.last(dependent)?.kind === 'await-dependencies') visit(dependent);
    };
    visit(key);
  }

  decide(workload: Workload, fn: FunctionInfo, finder: FactFinder, nowMs: number): void {
    this.#guarded(workload, () => this.#decide(workload, fn, finder, nowMs));
  }

  get #graph(): DependencyGraph {
    return this.#options.dependencies.graph;
  }

  /** @returns whether what is wrong with it may be another thing than before */
  #decide(workload: Workload, fn: FunctionInfo, finder: FactFinder, nowMs: number): boolean {
    const { observer, decisions, faults, effects, actuator } = this.#options;
    const { key, replicas } = workload;
    const { activity } = this.#observe(workload, nowMs);
    const facts = finder.factsOf(workload, fn);
    const decision = decide(facts);
    const untilMs = steadyUntil(facts, decision, this.#isLinked(key));
    const isNew = decisions.note(key, decision, facts, { fromMs: nowMs, untilMs, epoch: observer.epoch });
    if (isNew) effects.onDecision(workload, decision);
    actuator.act(workload, decision, { nowMs, wakeAtMs: activity.wakeAtMs });
    return (replicas > 0 && facts.readyPods === 0) || faults.told(key).length > 0;
  }

  #observe(workload: Workload, nowMs: number) {
    const { observer, nudges } = this.#options;
    const trouble = observer.world.creationTroubleOf(workload);
    if (trouble && workload.replicas > 0) nudges.noteTrouble(workload, trouble, nowMs);
    return observer.settle(workload, nowMs);
  }

  /** It depends on others, or others on it. */
  #isLinked(key: string): boolean {
    return this.#graph.dependenciesOf(key).length + this.#graph.dependentsOf(key).length > 0;
  }

  /**
   * What cannot be decided costs that function alone: it stays as it is, and its faults say why.
   * @param work returns whether its faults are to be looked at, which is done once
   */
  #guarded(workload: Workload, work: () => boolean): void {
    const { decisions, faults, onFailed } = this.#options;
    const { key, kind, uid, id } = workload;
    let failure: string | undefined;
    let isChanged = false;
    try {
      isChanged = work();
    } catch (error) {
      failure = describeError(error);
      onFailed(`decision/${kind}`, { metadata: { ...id, uid } }, error);
    }
    if (decisions.noteFailure(key, failure) || isChanged) faults.tellOf(workload);
  }
}
