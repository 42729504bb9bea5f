/**
 * N→M for every function that has triggers: measures once a tick, keeps the windows, and puts the pure pieces of
 * `decide/` together (triggers, stable and panic window, behaviour). What it remembers can be lost: a restarted
 * scaler begins with the replicas that it finds, as its first recommendation.
 */
import type { FunctionInfo, FunctionSpec, ScaleTrigger } from '../common/function-spec.ts';
import type { FunctionActivity } from './activity.ts';
import { applyBehavior, NO_HISTORY, recordChange, type BehaviorHistory } from './decide/behavior.ts';
import { mostReplicas } from './decide/bounds.ts';
import { createLoadWindow, type LoadWindow } from './decide/load-window.ts';
import { CALM, panicStep, type PanicState } from './decide/panic-window.ts';
import {
  builtInValue,
  CONCURRENCY_AND_QUEUE,
  effectiveScale,
  recommend,
  type BuiltInLoad,
  type EffectiveScale,
  type Recommendation,
} from './decide/triggers.ts';
import { DEFAULT_TUNING, type Tuning } from './decide/tuning.ts';
import type { LoadAdvice } from './decide/types.ts';
import type { Workload } from './kube-objects.ts';

/** What a function's triggers advise, asked once a tick. */
export interface LoadAdvisor {
  advise(workload: Workload, fn: FunctionInfo, seen: SeenLoad): LoadAdvice | undefined;
  onScaled(key: string, change: ScaleChange, nowMs: number): void;
  forget(key: string): void;
  /** Triggers that cannot work as written. */
  faultsOf(fn: FunctionInfo): readonly string[];
}

export interface ScaleChange {
  readonly from: number;
  readonly to: number;
  /** For callers who wait, past the policies. */
  readonly isWake: boolean;
}

export interface SeenLoad {
  readonly activity: FunctionActivity;
  readonly readyPods: number;
  readonly nowMs: number;
}

export interface JobLoad {
  /** Jobs in nobody's hands; undefined: never read. */
  readonly ready: number | undefined;
  /** All that are not finished. */
  readonly total: number;
  readonly perSecond: number | undefined;
}

export interface QueryValues {
  /** The query's last value; undefined without valid data, and from a query that cannot work. */
  valueOf(query: string, intervalMs: number, nowMs: number): number | undefined;
  faultOf(query: string): string | undefined;
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
  panic: PanicState;
  history: BehaviorHistory;
}

export function createLoadAdvisor(options: LoadAdvisorOptions): LoadAdvisor {
  return new Advisor(options);
}

class Advisor implements LoadAdvisor {
  readonly #options: LoadAdvisorOptions;
  readonly #tuning: Tuning;
  readonly #memories = new Map<string, Memory>();

  constructor(options: LoadAdvisorOptions) {
    this.#options = options;
    this.#tuning = options.tuning ?? DEFAULT_TUNING;
  }

  advise(workload: Workload, fn: FunctionInfo, seen: SeenLoad): LoadAdvice | undefined {
    const memory = this.#memory(workload.key, fn.spec);
    const { triggers, scaleUp, scaleDown } = memory.scale;
    if (triggers.length === 0) return undefined;
    const { nowMs, activity, readyPods } = seen;
    const load = measure(activity, this.#options.jobsOf(workload.key), nowMs);
    for (const [name, window] of memory.windows) window.record(valueOfMetric(name, load), nowMs);

    const current = workload.replicas;
    const over = (windowMs: number, which: readonly ScaleTrigger[]) =>
      recommend(
        which.map((trigger) => ({ trigger, value: this.#valueOf(trigger, memory, { windowMs, nowMs }) })),
        current,
        this.#tuning.tolerance,
      );
    const stable = over(this.#tuning.stableWindowMs, triggers);
    const panic = over(this.#tuning.panicWindowMs, triggers.filter(canPanic));
    const wants = { stableReplicas: stable.replicas, panicReplicas: panic.replicas };
    const step = panicStep(memory.panic, { ...wants, readyReplicas: readyPods }, nowMs, this.#tuning);
    memory.panic = step.state;
    const desired = step.replicas;
    if (desired === undefined) return undefined;
    const input = { current, desired, ...boundsOf(fn.spec, memory.scale), scaleUp, scaleDown };
    const result = applyBehavior(input, memory.history, nowMs);
    memory.history = result.history;
    const lead = step.state.isPanicking ? panic : stable;
    const mode = step.state.isPanicking ? 'panic: ' : '';
    const limit = result.limitedBy === 'nothing' ? '' : `, limited by ${result.limitedBy}`;
    return { wanted: result.replicas, reason: `${mode}${wording(lead, desired)}${limit}` };
  }

  /**
   * A wake begins the past anew: its count is the first recommendation, which the windows protect like any other
   * (else the first average after it, over nothing yet, would undo ReplicasAtStart), and policies count from it.
   */
  onScaled(key: string, { isWake, ...change }: ScaleChange, nowMs: number): void {
    const memory = this.#memories.get(key);
    if (!memory) return;
    memory.history = isWake ? NO_HISTORY : recordChange(memory.history, change, nowMs);
    if (isWake) memory.panic = CALM;
  }

  forget(key: string): void {
    this.#memories.delete(key);
  }

  faultsOf(fn: FunctionInfo): readonly string[] {
    const faults: string[] = [];
    for (const { query } of fn.spec.scale?.triggers ?? []) {
      const fault = query === '' ? undefined : this.#options.queries.faultOf(query);
      if (fault !== undefined)
        faults.push(`SlimFaas/Scale: query ${JSON.stringify(query)}: ${fault}; in force: never scales down`);
    }
    return faults;
  }

  #valueOf(
    trigger: ScaleTrigger,
    memory: Memory,
    at: { windowMs: number; nowMs: number },
  ): number | undefined {
    const intervalMs = memory.spec.scale?.scrapeIntervalMs ?? 0;
    if (trigger.query !== '') return this.#options.queries.valueOf(trigger.query, intervalMs, at.nowMs);
    return memory.windows.get(trigger.metricName)?.average(at.windowMs, at.nowMs);
  }

  #memory(key: string, spec: FunctionSpec): Memory {
    const known = this.#memories.get(key);
    if (known?.spec === spec) return known;
    const { targetUtilization, stableWindowMs } = this.#tuning;
    const scale = effectiveScale(spec, targetUtilization);
    const names = scale.triggers.filter(({ query }) => query === '').map(({ metricName }) => metricName);
    const windows = new Map(
      names.map((name) => [name, known?.windows.get(name) ?? createLoadWindow(stableWindowMs)]),
    );
    // New annotations decide at once on what was measured before; how fast it moved still counts.
    const memory = { spec, scale, windows, panic: CALM, history: known?.history ?? NO_HISTORY };
    this.#memories.set(key, memory);
    return memory;
  }
}

/**
 * Only what we average ourselves: a query has its window in its text, and holding its peak for a minute would take
 * StabilizationWindowSeconds out of the user's hands; `Value` follows the count, so pods that are not ready yet
 * would look like twice the load.
 */
function canPanic({ query, metricType }: ScaleTrigger): boolean {
  return query === '' && metricType === 'AverageValue';
}

function boundsOf(spec: FunctionSpec, scale: EffectiveScale): { min: number; max: number } {
  const min = Math.max(1, spec.replicasMin);
  return { min, max: Math.max(min, Math.min(mostReplicas(spec), scale.replicaMax ?? Infinity)) };
}

/**
 * Callers that wait would run if they could. Before the first report of a sidecar they are all that is known:
 * a lower bound, which may raise the count; what lowers it is checked against missing data by the rules.
 */
export function measure(activity: FunctionActivity, jobs: JobLoad, nowMs: number): BuiltInLoad {
  const load = activity.load(nowMs);
  const waiting = activity.waitingInProxies(nowMs) + activity.waitingInPods();
  return {
    concurrency: load ? load.running + waiting : waiting > 0 ? waiting : undefined,
    rps: load?.startedPerSecond,
    queue: jobs.ready === undefined ? undefined : queued(jobs.ready, jobs.total, activity.jobsNow()),
    messageRate: jobs.perSecond,
  };
}

/**
 * JetStream is asked once a second, sidecars tell within it: a job that a pod has just taken is in both, and one job
 * would want two pods. Of all jobs no more can wait than are not running.
 */
function queued(ready: number, total: number, running: number): number {
  return Math.min(ready, Math.max(0, total - running));
}

/** Without JetStream there are no jobs, and the default rule goes by concurrency alone. */
function valueOfMetric(name: string, load: BuiltInLoad): number | undefined {
  if (name !== CONCURRENCY_AND_QUEUE) return builtInValue(name, load);
  return builtInValue(name, { ...load, queue: load.queue ?? 0 });
}

function wording({ lead, isPartial }: Recommendation, desired: number): string {
  const missing = isPartial ? '; some triggers have no data' : '';
  if (lead?.value === undefined) return `wants ${desired}${missing}`;
  const name = lead.trigger.metricName || 'query';
  const per = lead.trigger.metricType === 'AverageValue' ? 'a pod' : 'in all';
  return `${name} ${round(lead.value)} at ${lead.trigger.threshold} ${per} wants ${desired}${missing}`;
}

function round(value: number): number {
  return Number(value.toPrecision(4));
}
