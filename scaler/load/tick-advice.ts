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
type Said = { -readonly [field in keyof StandingAdvice]: StandingAdvice[field] };

const NONE: StandingAdvice = { load: undefined, triggers: {}, triggeredAtMs: 0 };

export class TickAdvice {
  readonly #advisor: Pick<LoadAdvisor, 'advise'>;
  readonly #observed: Observed;
  /** Of functions that have been up with triggers. */
  readonly #said = new Map<string, Said>();

  constructor(advisor: Pick<LoadAdvisor, 'advise'>, observed: Observed) {
    this.#advisor = advisor;
    this.#observed = observed;
  }

  // A property: it is taken out and called by itself.
  readonly of = (key: string): StandingAdvice => this.#said.get(key) ?? NONE;

  ask(workload: Workload, fn: FunctionInfo, seen: ObservedFunction | undefined, nowMs: number): void {
    const known = this.#said.get(workload.key);
    // If asking fails, nothing is said.
    if (known) {
      known.load = NONE.load;
      known.triggers = NONE.triggers;
    }
    if (workload.replicas === 0 || !mayGrow(fn.spec) || !seen) return;
    const { activity, hasPast } = seen;
    const isPartial = lacksReports(workload, seen, this.#observed.world);
    const load = { activity, hasPast, isPartial, readyPods: readyPods(workload, this.#observed), nowMs };
    const advice = this.#advisor.advise(workload, fn, load);
    const said = known ?? this.#begin(workload.key);
    said.load = advice.load && { ...advice.load, atReplicas: workload.replicas };
    said.triggers = advice.triggers;
    if (advice.triggers.active !== undefined) said.triggeredAtMs = nowMs;
  }

  #begin(key: string): Said {
    const said = { ...NONE };
    this.#said.set(key, said);
    return said;
  }

  /** It is no function any more. */
  forget(key: string): void {
    this.#said.delete(key);
  }
}
