/**
 * What each trigger of one function answered last, and for how long that counts. A trigger that falls silent has not
 * reported "nothing to do". Its last answer stands for {@link Tuning.keepAnswerMs}. After that it counts no more, so
 * that a query that is never answered holds nothing up for good.
 *
 * What stands is the number of replicas that it wanted, not its value. A `Value` trigger is multiplied by the count,
 * and an old value of twice its threshold would double the count again and again.
 */
import type { FunctionInfo, ScaleTrigger } from '../../common/function/spec.ts';

/** What asking a trigger gave. */
export type TriggerResult =
  /** `isWhole` false: part of the data is missing, so the value may be too low; default true. */
  | {
      readonly kind: 'value';
      readonly value: number;
      readonly isWhole?: boolean;
      /** What a source says itself, in place of an ActivationThreshold. */
      readonly isActive?: boolean;
    }
  /** It cannot be evaluated: as it is written, or over its budget. */
  | { readonly kind: 'fault'; readonly reason: string }
  | { readonly kind: 'no-data' };

export interface QueryValues {
  /** The query's last answer. */
  resultOf(fn: FunctionInfo, trigger: ScaleTrigger, nowMs: number): TriggerResult;
  /** What is wrong with its text. */
  faultOf(fn: FunctionInfo, trigger: ScaleTrigger): string | undefined;
  /** Its pods alone could answer it: without pods it has nothing to say, and that is no fault. */
  asksOwnPods(trigger: ScaleTrigger): boolean;
}

export interface TriggerAnswer {
  readonly value: number;
  readonly isWhole: boolean;
  readonly isActive: boolean;
  readonly replicas: number;
  readonly atMs: number;
}

/** How much a trigger has to say at this moment. */
export type AnswerStanding =
  | { readonly kind: 'answered'; readonly answer: TriggerAnswer }
  /** Its last answer counts still. */
  | { readonly kind: 'kept'; readonly answer: TriggerAnswer }
  /** It has not answered yet, and is waited for. */
  | { readonly kind: 'awaited' }
  | { readonly kind: 'gone' };

interface Line {
  answer: TriggerAnswer | undefined;
  /** Since when it has had nothing to say; undefined: it answered the last time. */
  silentSinceMs: number | undefined;
  fault: string | undefined;
}

export interface AnswerTimes {
  readonly keepAnswerMs: number;
  /** How long a first answer is waited for before the function may sleep without it. */
  readonly awaitAnswerMs: number;
  /** Silence up to that length is a start and no fault. */
  readonly faultAfterMs: number;
}

export class TriggerAnswers {
  readonly #lines = new Map<ScaleTrigger, Line>();
  readonly #sinceMs: number;
  readonly #times: AnswerTimes;

  constructor(nowMs: number, times: AnswerTimes) {
    this.#sinceMs = nowMs;
    this.#times = times;
  }

  note(trigger: ScaleTrigger, result: TriggerResult, replicas: number | undefined, nowMs: number): void {
    const line = this.#line(trigger);
    if (result.kind === 'value' && replicas !== undefined) {
      const { value, isWhole = true, isActive = value > trigger.activationThreshold } = result;
      line.answer = { value, isWhole, isActive, replicas, atMs: nowMs };
      line.silentSinceMs = line.fault = undefined;
      return;
    }
    line.silentSinceMs ??= nowMs;
    const isStart = within(line.silentSinceMs, nowMs, this.#times.faultAfterMs);
    line.fault = isStart ? undefined : result.kind === 'fault' ? result.reason : 'no data';
  }

  /** As if it had never been asked. */
  forget(trigger: ScaleTrigger): void {
    this.#lines.delete(trigger);
  }

  standing(trigger: ScaleTrigger, nowMs: number): AnswerStanding {
    const { keepAnswerMs } = this.#times;
    const { answer, silentSinceMs } = this.#line(trigger);
    if (answer && silentSinceMs === undefined) return { kind: 'answered', answer };
    if (answer && within(answer.atMs, nowMs, keepAnswerMs)) return { kind: 'kept', answer };
    return !answer && within(this.#sinceMs, nowMs, keepAnswerMs) ? { kind: 'awaited' } : { kind: 'gone' };
  }

  /** A function with a query that has not answered yet is not put to sleep at once. */
  isAwaited(trigger: ScaleTrigger, nowMs: number): boolean {
    return (
      this.standing(trigger, nowMs).kind === 'awaited' &&
      within(this.#sinceMs, nowMs, this.#times.awaitAnswerMs)
    );
  }

  /** Why it has no answer, when that has lasted too long to be a start. */
  faultOf(trigger: ScaleTrigger): string | undefined {
    return this.#lines.get(trigger)?.fault;
  }

  #line(trigger: ScaleTrigger): Line {
    const known = this.#lines.get(trigger);
    if (known) return known;
    const line = { answer: undefined, silentSinceMs: undefined, fault: undefined };
    this.#lines.set(trigger, line);
    return line;
  }
}

/** A clock that went back makes nothing last longer than its time. */
function within(fromMs: number, nowMs: number, lengthMs: number): boolean {
  return Math.abs(nowMs - fromMs) < lengthMs;
}
