/**
 * What was decided for each function, and for how long that stands. It owns the account that people read
 * (`GET /functions/<ns>/<fn>`), and what keeps a tick from looking at ten thousand functions again. Lost with the
 * process: then all is decided again.
 */
import type { Decision, Facts } from '../decide/types.ts';

/** What a decision was made from, as far as it is numbers. */
export type DecisionNumbers = Pick<Facts, 'readyPods' | 'running' | 'waiting' | 'jobs'> & {
  readonly idleMs: number;
};

/** A decision as `GET /functions/<ns>/<fn>` shows it. */
export interface LoggedDecision {
  readonly atMs: number;
  readonly from: number;
  readonly decision: Decision;
  /** As they were when it was first made: a decision that stands for hours keeps the numbers that led to it. */
  readonly numbers: DecisionNumbers;
}

/** For whoever only reads. */
export interface DecisionsView {
  /** The last ten that differ, the oldest first. */
  of(key: string): readonly LoggedDecision[];
  last(key: string): Decision | undefined;
  /** Why nothing could be decided at the last look: a defect of ours that this function's facts bring out. */
  failureOf(key: string): string | undefined;
}

interface Decided {
  /** The text of the last one changes as long as it stands. */
  readonly log: (LoggedDecision & { decision: Decision })[];
  /** What is decided stands until then, if nothing is heard of it and nothing concerns all; see `steady.ts`. */
  steady: StandingDecision | undefined;
}

export interface StandingDecision {
  readonly fromMs: number;
  readonly untilMs: number;
  readonly epoch: number;
}

const DECISIONS_KEPT = 10;

export class Decisions implements DecisionsView {
  readonly #decided = new Map<string, Decided>();
  readonly #failures = new Map<string, string>();

  of(key: string): readonly LoggedDecision[] {
    return this.#decided.get(key)?.log ?? [];
  }

  last(key: string): Decision | undefined {
    return this.#decided.get(key)?.log.at(-1)?.decision;
  }

  failureOf(key: string): string | undefined {
    return this.#failures.get(key);
  }

  isSteady(key: string, nowMs: number, epoch: number): boolean {
    const steady = this.#decided.get(key)?.steady;
    // A clock that went back ends it too.
    return steady !== undefined && steady.epoch === epoch && nowMs >= steady.fromMs && nowMs < steady.untilMs;
  }

  /** Something was heard that the decision does not rest on: it is looked at on the next tick. */
  reopen(key: string): void {
    const decided = this.#decided.get(key);
    if (decided) decided.steady = undefined;
  }

  /** @returns whether it failed, or failed in another way, or stopped to fail */
  noteFailure(key: string, failure: string | undefined): boolean {
    if (failure === undefined) return this.#failures.size > 0 && this.#failures.delete(key);
    // What stood before it could not be decided is decided again at the next tick.
    this.reopen(key);
    const isChanged = this.#failures.get(key) !== failure;
    this.#failures.set(key, failure);
    return isChanged;
  }

  /** @returns whether it is another decision than the last one; one that stands is not logged each second */
  note(key: string, decision: Decision, facts: Facts, steady: StandingDecision): boolean {
    const decided = this.#of(key);
    decided.steady = steady;
    const { log } = decided;
    const last = log.at(-1);
    if (last && isSame(last.decision, decision) && last.from === facts.replicas) {
      // The same decision with newer words; the list does not grow.
      last.decision = decision;
      return false;
    }
    log.push({ atMs: facts.nowMs, from: facts.replicas, decision, numbers: numbersOf(facts) });
    if (log.length > DECISIONS_KEPT) log.shift();
    return true;
  }

  /** It is no function any more. */
  forget(key: string): void {
    this.#decided.delete(key);
    this.#failures.delete(key);
  }

  #of(key: string): Decided {
    const known = this.#decided.get(key);
    if (known) return known;
    const decided = { log: [], steady: undefined };
    this.#decided.set(key, decided);
    return decided;
  }
}

function numbersOf({ readyPods, running, waiting, jobs, nowMs, idleSinceMs }: Facts): DecisionNumbers {
  return { readyPods, running, waiting, jobs, idleMs: nowMs - idleSinceMs };
}

function isSame(a: Decision, b: Decision): boolean {
  if (a.kind !== b.kind || a.wanted !== b.wanted) return false;
  return a.kind !== 'hold' || (b.kind === 'hold' && a.because === b.because);
}
