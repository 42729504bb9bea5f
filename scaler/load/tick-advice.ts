/**
 * What the triggers of each function said at the last tick. Windows and policies count time by ticks, so they are
 * asked once per tick, and what happens between decides on the same advice.
 */
import type { FunctionInfo } from '../../common/function/spec.ts';
import { mayGrow } from '../decide/bounds.ts';
import type { StandingAdvice } from '../facts/facts.ts';
import type { ObservedFunction } from '../observe/function-record.ts';
import type { Observed } from '../observe/observer.ts';
import { lacksReports, readyPods } from '../observe/pods.ts';
import type { Workload } from '../world/kube-objects.ts';
import type { LoadAdvisor } from './load-advisor.ts';

const NONE: StandingAdvice = { load: undefined, triggers: {}, triggeredAtMs: 0 };

export class TickAdvice {
  readonly #advisor: Pick<LoadAdvisor, 'advise'>;
  readonly #observed: Observed;
  /** Of functions that have been up with triggers. */
  readonly #said = new Map<string, StandingAdvice>();

  constructor(advisor: Pick<LoadAdvisor, 'advise'>, observed: Observed) {
    this.#advisor = advisor;
    this.#observed = observed;
  }

  // A property: it is taken out and called by itself.
  readonly of = (key: string): StandingAdvice => this.#said.get(key) ?? NONE;

  ask(workload: Workload, fn: FunctionInfo, seen: ObservedFunction | undefined, nowMs: number): void {
    const { key } = workload;
    const { triggeredAtMs } = this.of(key);
    // If asking fails, nothing is said.
    if (this.#said.has(key)) this.#said.set(key, { ...NONE, triggeredAtMs });
    if (workload.replicas === 0 || !mayGrow(fn.spec) || !seen) return;
    const { activity, hasPast } = seen;
    const isPartial = lacksReports(workload, seen, this.#observed.world);
    const load = { activity, hasPast, isPartial, readyPods: readyPods(workload, this.#observed), nowMs };
    const advice = this.#advisor.advise(workload, fn, load);
    this.#said.set(key, {
      load: advice.load && { ...advice.load, atReplicas: workload.replicas },
      triggers: advice.triggers,
      triggeredAtMs: advice.triggers.active === undefined ? triggeredAtMs : nowMs,
    });
  }

  /** It is no function any more. */
  forget(key: string): void {
    this.#said.delete(key);
  }
}
