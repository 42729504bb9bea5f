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

/** As it is kept: one object per function, for all its ticks. */
type WritableAdvice = { -readonly [field in keyof StandingAdvice]: StandingAdvice[field] };

const NONE: StandingAdvice = { load: undefined, triggers: {}, triggeredAtMs: 0 };

export class TickAdvice {
  readonly #advisor: Pick<LoadAdvisor, 'advise'>;
  readonly #observed: Observed;
  /** By function, for those that have been up with triggers. */
  readonly #advice = new Map<string, WritableAdvice>();

  constructor(advisor: Pick<LoadAdvisor, 'advise'>, observed: Observed) {
    this.#advisor = advisor;
    this.#observed = observed;
  }

  // A property: it is taken out and called by itself.
  readonly of = (key: string): StandingAdvice => this.#advice.get(key) ?? NONE;

  ask(workload: Workload, fn: FunctionInfo, observed: ObservedFunction | undefined, nowMs: number): void {
    const known = this.#advice.get(workload.key);
    // If asking fails, nothing is said.
    if (known) {
      known.load = NONE.load;
      known.triggers = NONE.triggers;
    }
    const isAsked = workload.replicas > 0 ? mayGrow(fn.spec) : fn.spec.scale?.scaleFromZero === true;
    if (!isAsked || !observed) return;
    const { activity, hasPast } = observed;
    const isPartial = lacksReports(workload, observed, this.#observed.world);
    const load = { activity, hasPast, isPartial, readyPods: readyPods(workload, this.#observed), nowMs };
    const advice = this.#advisor.advise(workload, fn, load);
    const standing = known ?? this.#begin(workload.key);
    standing.load = advice.load && { ...advice.load, atReplicas: workload.replicas };
    standing.triggers = advice.triggers;
    if (advice.triggers.active !== undefined) standing.triggeredAtMs = nowMs;
  }

  #begin(key: string): WritableAdvice {
    const standing = { ...NONE };
    this.#advice.set(key, standing);
    return standing;
  }

  /** It is no function any more. */
  forget(key: string): void {
    this.#advice.delete(key);
  }
}
