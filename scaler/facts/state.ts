/**
 * What the scaler remembers about one function between two decisions. All of it can be lost: a restarted scaler
 * starts its clocks again and decides from what it sees.
 */
import type { FunctionSpec } from '../../common/function/spec.ts';
import type { ReadyMessage } from '../../common/bus/messages.ts';
import { compareSpoken, type Spoken } from '../../common/bus/said-order.ts';
import type { Trouble } from '../../common/kube/model/trouble.ts';
import { FunctionActivity } from './activity.ts';
import type { Decision, Facts, LoadAdvice, TriggerUse } from '../decide/types.ts';
import type { Fault } from '../faults/faults.ts';
import type { Pod } from '../world/kube-objects.ts';
import { createScheduleClock, type ScheduleState } from '../schedule/schedule.ts';
import type { Ledger } from '../shares/shares.ts';

/** What a decision was made from, as far as it is numbers. */
export type DecisionNumbers = Pick<Facts, 'readyPods' | 'running' | 'waiting' | 'jobs'> & {
  readonly idleMs: number;
};

/** A decision as `GET /functions/<ns>/<fn>` shows it. */
export interface LoggedDecision {
  readonly atMs: number;
  readonly from: number;
  decision: Decision;
  /** Of the moment at which it was first made; what stands for hours keeps those that led to it. */
  readonly numbers: DecisionNumbers;
}

interface SeenPod {
  readonly firstSeenMs: number;
  /** It was ready when it was first seen: it has a past that we do not know. */
  readonly isOld: boolean;
  /** Its sidecar said so, before Kubernetes does. */
  saidReady: boolean;
  /** When it was first seen ending, by watch or by its own `draining`. */
  endingSinceMs: number | undefined;
  /** The latest state that its sidecar reported; see common/bus/said-order.ts. */
  word: Spoken | undefined;
}

const DECISIONS_KEPT = 10;

export class FunctionState {
  readonly activity = new FunctionActivity();
  readonly pods = new Map<string, SeenPod>();
  readonly firstSeenMs: number;
  readonly decisions: LoggedDecision[] = [];
  /** What somebody else set, and when we saw it. */
  setByOthers: { readonly replicas: number; readonly atMs: number } | undefined;
  /** It counted as use, also where a rule of ours has overruled it since. */
  lastSetByOthersMs = 0;
  /** Between a wake and the first ready pod. */
  coldStartSinceMs: number | undefined;
  /** When the last cold start ended. */
  readySinceMs = 0;
  /** A patch under way: what it asks for, and by when the wake that caused it arrived. */
  patching: { readonly to: number } | undefined;
  /** Since when this process, not being the leader, has seen a wake that nobody acted upon. */
  wakeDueSinceMs: number | undefined;
  /** What the triggers said at the last tick, and at which count: it says nothing about another one. */
  /** What the queries of triggers said at the last tick, and when one last said that there is work. */
  triggers: TriggerUse = {};
  triggeredAtMs = 0;
  /** It was up when it was first seen, and has been since. */
  hasPast = true;
  advice: (LoadAdvice & { readonly atReplicas: number }) | undefined;
  /** What is decided stands until then, if nothing is heard of it and nothing concerns all; see `steady.ts`. */
  steady: { readonly fromMs: number; readonly untilMs: number; readonly epoch: number } | undefined;
  /** Why none of its pods could be created, until one was. */
  creationTrouble: Trouble | undefined;
  coldStartFault: Fault | undefined;
  /** When its controller was last asked for another try. */
  nudgedAtMs: number | undefined;
  /** Why nothing could be decided at the last look: a defect of ours that this function's facts bring out. */
  failure: string | undefined;
  ledger: Ledger = new Map();
  sharesSentMs = 0;
  #schedule: { spec: FunctionSpec; at: (nowMs: number) => ScheduleState } | undefined;

  constructor(nowMs: number) {
    this.firstSeenMs = nowMs;
  }

  scheduleAt(spec: FunctionSpec, nowMs: number): ScheduleState | undefined {
    if (!spec.schedule) return undefined;
    if (this.#schedule?.spec !== spec) this.#schedule = { spec, at: createScheduleClock(spec.schedule) };
    return this.#schedule.at(nowMs);
  }

  seePod(pod: Pod, nowMs: number): void {
    const seen = this.pods.get(pod.name) ?? {
      firstSeenMs: nowMs,
      isOld: pod.isReady,
      saidReady: false,
      endingSinceMs: undefined,
      word: undefined,
    };
    if (pod.isEnding) seen.endingSinceMs ??= nowMs;
    this.pods.set(pod.name, seen);
  }

  /**
   * Takes what a pod's sidecar says of itself, unless it has said something else since.
   * @param isEnding as the watch says
   * @returns whether it is another state than before
   */
  hearReady(message: ReadyMessage, isEnding: boolean, nowMs: number): boolean {
    const seen = this.pods.get(message.pod);
    const order = seen && compareSpoken(message, seen.word);
    if (!seen || order === undefined || order < 0) return false;
    seen.word = message;
    const isReady = message.state === 'ready';
    const isChanged = seen.saidReady !== isReady;
    seen.saidReady = isReady;
    if (!isReady) seen.endingSinceMs ??= nowMs;
    else if (order > 0 && !isEnding) seen.endingSinceMs = undefined; // it runs again, or has taken its drain back
    return isChanged;
  }

  /** From a report: a run of the sidecar that began later than the one that said `draining`; that one is over. */
  hearStart(pod: string, start: number | undefined, isEnding: boolean): void {
    const seen = this.pods.get(pod);
    if (!seen || start === undefined || start <= (seen.word?.start ?? 0)) return;
    seen.word = { start, seq: -1 };
    if (!isEnding) seen.endingSinceMs = undefined;
  }

  /** What has come true since the last look. */
  settle(replicas: number, readyPods: () => number, nowMs: number): void {
    if (replicas === 0) {
      this.hasPast = false;
      this.coldStartSinceMs = undefined;
      return;
    }
    this.activity.wakeAtMs = undefined;
    if (this.coldStartSinceMs === undefined || readyPods() === 0) return;
    this.coldStartSinceMs = undefined;
    this.readySinceMs = nowMs;
  }

  isSteady(nowMs: number, epoch: number): boolean {
    const { steady } = this;
    // A clock that went back ends it too.
    return steady !== undefined && steady.epoch === epoch && nowMs >= steady.fromMs && nowMs < steady.untilMs;
  }

  /** A count that we did not ask for: it counts as use and stands for one idle timeout. */
  noteCount(replicas: number, nowMs: number): void {
    if (this.patching?.to === replicas) return;
    this.setByOthers = { replicas, atMs: nowMs };
    this.lastSetByOthersMs = nowMs;
  }

  forgetPod(name: string): void {
    this.pods.delete(name);
    this.activity.forgetPod(name);
  }

  /** Keeps the last ten decisions that differ; one that stands is not logged each second. */
  log(decision: Decision, facts: Facts): boolean {
    const last = this.decisions.at(-1);
    if (last && isSame(last.decision, decision) && last.from === facts.replicas) {
      // The same decision with newer words; the list does not grow.
      last.decision = decision;
      return false;
    }
    this.decisions.push({ atMs: facts.nowMs, from: facts.replicas, decision, numbers: numbersOf(facts) });
    if (this.decisions.length > DECISIONS_KEPT) this.decisions.shift();
    return true;
  }
}

function numbersOf({ readyPods, running, waiting, jobs, nowMs, idleSinceMs }: Facts): DecisionNumbers {
  return { readyPods, running, waiting, jobs, idleMs: nowMs - idleSinceMs };
}

function isSame(a: Decision, b: Decision): boolean {
  if (a.kind !== b.kind || a.wanted !== b.wanted) return false;
  return a.kind !== 'hold' || (b.kind === 'hold' && a.because === b.because);
}
