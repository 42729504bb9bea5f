/**
 * N→M for every function that has triggers. It measures once per tick, keeps the windows, and puts the pure pieces of
 * `decide/` together (triggers, stable and panic window, behaviour). What it remembers can be lost: a restarted
 * scaler begins with the replicas that it finds, as its first recommendation.
 */
import type { FunctionInfo, FunctionSpec, ScaleTrigger } from '../../common/function/spec.ts';
import { isBuiltIn } from '../../common/function/built-in-triggers.ts';
import { functionKey } from '../../common/bus/subjects.ts';
import type { ActivityView } from '../observe/activity.ts';
import { applyBehavior, NO_HISTORY, recordChange, type BehaviorHistory } from '../sizing/behavior.ts';
import { mostReplicas } from '../decide/bounds.ts';
import { createLoadWindow, type LoadWindow } from '../sizing/load-window.ts';
import { CALM, panicStep, type PanicState } from '../sizing/panic-window.ts';
import { TriggerAnswers, type QueryValues, type TriggerResult } from '../sizing/trigger-answers.ts';
import { effectiveScale, recommend, replicasFor, type EffectiveScale } from '../sizing/triggers.ts';
import { DEFAULT_TUNING, type Tuning } from '../sizing/tuning.ts';
import type { LoadAdvice, TriggerUse } from '../decide/types.ts';
import type { Fault } from '../faults/faults.ts';
import type { Workload } from '../world/kube-objects.ts';
import { measure, valueOfMetric, type JobLoad } from './measure.ts';
import { readingsOf, useOf, wakeOf, wording } from './trigger-words.ts';

/** What a function's triggers say. */
export interface Advice {
  readonly load: LoadAdvice | undefined;
  readonly triggers: TriggerUse;
}

/** What a function's triggers advise, asked once per tick. */
export interface LoadAdvisor {
  advise(workload: Workload, fn: FunctionInfo, observed: ObservedLoad): Advice;
  /** What the former leader's triggers answered, nobody here knows. */
  onLeading(nowMs: number): void;
  onScaled(key: string, change: ScaleChange, nowMs: number): void;
  forget(key: string): void;
  /** Triggers that cannot work as written, or have nothing to say. */
  faultsOf(fn: FunctionInfo): readonly Fault[];
}

export interface ScaleChange {
  readonly from: number;
  readonly to: number;
  /** For callers that wait, past the policies. */
  readonly isWake: boolean;
}

export interface ObservedLoad {
  readonly activity: ActivityView;
  readonly readyPods: number;
  /** It was up when this process first saw it: it may be in the middle of work that only a trigger shows. */
  readonly hasPast: boolean;
  /** Pods that were up before this process saw them have not all reported: what is measured is a part of it. */
  readonly isPartial: boolean;
  readonly nowMs: number;
}

export interface LoadAdvisorOptions {
  readonly jobsOf: (key: string) => JobLoad;
  readonly queries: QueryValues;
  readonly tuning?: Tuning;
}

interface Memory {
  readonly spec: FunctionSpec;
  readonly scale: EffectiveScale;
  /** By the metric's name; only for those that a trigger asks for. */
  readonly windows: ReadonlyMap<string, LoadWindow>;
  answers: TriggerAnswers;
  /** What the windows hold is a part of the load. */
  isPartial: boolean;
  panic: PanicState;
  history: BehaviorHistory;
}

export function createLoadAdvisor(options: LoadAdvisorOptions): LoadAdvisor {
  return new Advisor(options);
}

/** A pod's series are there after its first scrape, its rates after the second. */
const START_INTERVALS = 3;
const START_MS = 15_000;

class Advisor implements LoadAdvisor {
  readonly #options: LoadAdvisorOptions;
  readonly #tuning: Tuning;
  readonly #memories = new Map<string, Memory>();

  constructor(options: LoadAdvisorOptions) {
    this.#options = options;
    this.#tuning = options.tuning ?? DEFAULT_TUNING;
  }

  advise(workload: Workload, fn: FunctionInfo, observed: ObservedLoad): Advice {
    const { nowMs, activity } = observed;
    const memory = this.#memory(workload.key, fn.spec, observed);
    if (memory.scale.triggers.length === 0) return { load: undefined, triggers: {} };
    if (workload.replicas === 0) return { load: undefined, triggers: this.#wake(fn, memory, nowMs) };
    const load = measure(activity, this.#options.jobsOf(workload.key), nowMs);
    // A part may raise the count; averaged with the whole it would lower it.
    if (memory.isPartial && !observed.isPartial) for (const window of memory.windows.values()) window.clear();
    memory.isPartial = observed.isPartial;
    for (const [name, window] of memory.windows) window.record(valueOfMetric(name, load), nowMs);
    this.#ask(fn, memory, { current: workload.replicas, nowMs });
    return { load: this.#loadOf(workload.replicas, memory, observed), triggers: useOf(memory, nowMs) };
  }

  /** `ScaleFromZero`: what triggers say of a function that is asleep, and how far policies let a wake go. */
  #wake(fn: FunctionInfo, memory: Memory, nowMs: number): TriggerUse {
    this.#ask(fn, memory, { current: 0, nowMs });
    const use = wakeOf(memory, nowMs);
    if (use.wanted === undefined) return use;
    const { spec, scale } = memory;
    const { scaleUp, scaleDown } = scale;
    const input = { current: 0, desired: use.wanted, ...boundsOf(spec, scale), scaleUp, scaleDown };
    return { ...use, wanted: applyBehavior(input, NO_HISTORY, nowMs).replicas };
  }

  #ask(
    fn: FunctionInfo,
    { scale, answers, windows }: Memory,
    { current, nowMs }: { current: number; nowMs: number },
  ): void {
    const { stableWindowMs, tolerance } = this.#tuning;
    const { queries } = this.#options;
    // `Value` multiplies the count; of none it takes one, as SlimFaas does.
    const multiplied = Math.max(1, current);
    for (const trigger of scale.triggers) {
      const { metricName } = trigger;
      const isOwn = isBuiltIn(trigger);
      if (current === 0 && isOwn) continue;
      const result = isOwn
        ? asResult(windows.get(metricName)?.average(stableWindowMs, nowMs))
        : queries.resultOf(fn, trigger, nowMs);
      const value = result.kind === 'value' ? result.value : undefined;
      // Without pods there is nothing to be scraped of them, and an answer of their time is none.
      if (current === 0 && value === undefined && queries.asksOwnPods(trigger)) answers.forget(trigger);
      else answers.note(trigger, result, replicasFor({ trigger, value }, multiplied, tolerance), nowMs);
    }
  }

  #loadOf(current: number, memory: Memory, { nowMs, readyPods }: ObservedLoad): LoadAdvice | undefined {
    const { scale, answers, windows, spec } = memory;
    const { panicWindowMs, tolerance } = this.#tuning;
    const stable = recommend(readingsOf(scale.triggers, answers, nowMs), current, tolerance);
    const inBurst = scale.triggers.filter(canPanic).map((trigger) => ({
      trigger,
      value: windows.get(trigger.metricName)?.average(panicWindowMs, nowMs),
    }));
    const panic = recommend(inBurst, current, tolerance);
    const wants = { stableReplicas: stable.replicas, panicReplicas: panic.replicas };
    const step = panicStep(memory.panic, { ...wants, readyReplicas: readyPods }, nowMs, this.#tuning);
    memory.panic = step.state;
    const desired = step.replicas;
    if (desired === undefined) return undefined;
    const { scaleUp, scaleDown } = scale;
    const input = { current, desired, ...boundsOf(spec, scale), scaleUp, scaleDown };
    const result = applyBehavior(input, memory.history, nowMs);
    memory.history = result.history;
    const lead = step.state.isPanicking ? panic : stable;
    const mode = step.state.isPanicking ? 'panic: ' : '';
    const limit = result.limitedBy === 'nothing' ? '' : `, limited by ${result.limitedBy}`;
    return { wanted: result.replicas, reason: `${mode}${wording(lead, desired)}${limit}` };
  }

  /**
   * A wake begins the past again. Its count is the first recommendation, which the windows protect like any other,
   * and policies count from it. Otherwise the first average after it, over nothing yet, would undo ReplicasAtStart.
   */
  onScaled(key: string, { isWake, ...change }: ScaleChange, nowMs: number): void {
    const memory = this.#memories.get(key);
    if (!memory) return;
    memory.history = isWake ? NO_HISTORY : recordChange(memory.history, change, nowMs);
    if (!isWake) return;
    memory.panic = CALM;
    memory.answers = this.#answers(memory.spec, { nowMs, hasPast: false });
  }

  onLeading(nowMs: number): void {
    for (const memory of this.#memories.values())
      memory.answers = this.#answers(memory.spec, { nowMs, hasPast: true });
  }

  forget(key: string): void {
    this.#memories.delete(key);
  }

  faultsOf(fn: FunctionInfo): readonly Fault[] {
    const answers = this.#memories.get(functionKey(fn.id))?.answers;
    const kept = this.#tuning.keepAnswerMs / 1_000;
    const faults: Fault[] = [];
    for (const trigger of fn.spec.scale?.triggers ?? []) {
      if (isBuiltIn(trigger)) continue;
      const written = this.#options.queries.faultOf(fn, trigger);
      const fault = written ?? answers?.faultOf(trigger);
      if (fault === undefined) continue;
      const reason = written === undefined ? 'TriggerWithoutData' : 'InvalidAnnotation';
      const name = `SlimFaas/Scale: ${askedOf(trigger)}`;
      const message = `${name}: ${fault}; in force: its last answer for ${kept} s, then none`;
      // A source may use other words each time. They are shown, and they are no fault of their own.
      const isOfSource = trigger.source !== undefined && written === undefined;
      faults.push({ reason, message, ...(isOfSource && { key: `${name}: without data` }) });
    }
    return faults;
  }

  #answers(spec: FunctionSpec, { nowMs, hasPast }: Pick<ObservedLoad, 'nowMs' | 'hasPast'>): TriggerAnswers {
    const startMs = (spec.scale?.scrapeIntervalMs ?? 0) * START_INTERVALS;
    const { keepAnswerMs } = this.#tuning;
    const awaitAnswerMs = hasPast ? keepAnswerMs : Math.min(startMs, keepAnswerMs);
    return new TriggerAnswers(nowMs, {
      keepAnswerMs,
      awaitAnswerMs,
      faultAfterMs: Math.max(startMs, START_MS),
    });
  }

  #memory(key: string, spec: FunctionSpec, observed: ObservedLoad): Memory {
    const known = this.#memories.get(key);
    if (known?.spec === spec) return known;
    const { targetUtilization, stableWindowMs } = this.#tuning;
    const scale = effectiveScale(spec, targetUtilization);
    const names = scale.triggers.filter(isBuiltIn).map(({ metricName }) => metricName);
    const windows = new Map(
      names.map((name) => [name, known?.windows.get(name) ?? createLoadWindow(stableWindowMs)]),
    );
    // New annotations decide at once on what was measured before; how fast it moved still counts.
    const answers = this.#answers(spec, observed);
    const history = known?.history ?? NO_HISTORY;
    const isPartial = known?.isPartial ?? false;
    const memory = { spec, scale, windows, answers, isPartial, panic: CALM, history };
    this.#memories.set(key, memory);
    return memory;
  }
}

/**
 * Only what we average ourselves. A query has its window in its text, and holding its peak for a minute would
 * override the user's StabilizationWindowSeconds. `Value` follows the count, so pods that are not ready yet would
 * look like twice the load.
 */
function canPanic(trigger: ScaleTrigger): boolean {
  return isBuiltIn(trigger) && trigger.metricType === 'AverageValue';
}

function askedOf({ query, source }: ScaleTrigger): string {
  const asked = query === '' ? '' : `query ${JSON.stringify(query)}`;
  return source === undefined ? asked : `source ${JSON.stringify(source)}${asked && `, ${asked}`}`;
}

function boundsOf(spec: FunctionSpec, scale: EffectiveScale): { min: number; max: number } {
  const min = Math.max(1, spec.replicasMin);
  return { min, max: Math.max(min, Math.min(mostReplicas(spec), scale.replicaMax ?? Infinity)) };
}

function asResult(value: number | undefined): TriggerResult {
  return value === undefined ? { kind: 'no-data' } : { kind: 'value', value };
}
