/**
 * How calls and jobs share a pod's places when there are more of both than places. The rule:
 * - while only one kind wants in, it may have every place;
 * - while both do, jobs may have `jobShare` of the places (rounded down, at least 1, at most all but 1) and calls the
 *   rest. Nothing that runs is stopped, so the split is reached as places come free;
 * - with a single place they take turns.
 * A call "wants in" for one second after it was refused; jobs do while the queue is known to hold some that
 * nobody fetches. Direct callers, who stand in the breaker's line, take turns there with one job at a time. Pure
 * except for the clock that is passed in.
 */

export type WorkKind = 'call' | 'job';

export interface RunningCount {
  readonly calls: number;
  readonly jobs: number;
  readonly limit: number;
}

/** A proxy that was refused tries again within 100 ms or so; a second of silence is no demand. */
const CALL_DEMAND_MS = 1_000;

export class Fairness {
  readonly #jobShare: number;
  readonly #now: () => number;
  #lastRefusedAt = -Infinity;
  #lastServed: WorkKind = 'job';
  #areJobsWaiting = false;
  /** Events count as jobs here, but they come from another consumer. */
  areEventsWaiting = false;

  /** @param jobShare 0 to 1, the part of the places that jobs get when both kinds wait */
  constructor(jobShare: number, now: () => number = () => performance.now()) {
    if (!(jobShare >= 0 && jobShare <= 1))
      throw new RangeError(`jobShare must be from 0 to 1, got ${jobShare}`);
    this.#jobShare = jobShare;
    this.#now = now;
  }

  callRefused(): void {
    this.#lastRefusedAt = this.#now();
  }

  set areJobsWaiting(value: boolean) {
    this.#areJobsWaiting = value;
  }

  get areJobsWaiting(): boolean {
    return this.#areJobsWaiting;
  }

  served(kind: WorkKind): void {
    this.#lastServed = kind;
  }

  mayCallEnter(running: RunningCount): boolean {
    if (running.calls + running.jobs >= running.limit) return false;
    if (!this.#areJobsWaiting && !this.areEventsWaiting) return true;
    if (running.limit === 1) return this.#lastServed === 'job';
    return running.calls < running.limit - this.#jobPlaces(running.limit);
  }

  /** How many more jobs may begin now. */
  jobRoom(running: RunningCount): number {
    const free = Math.max(0, running.limit - running.calls - running.jobs);
    if (!this.doCallsWait) return free;
    if (running.limit === 1) return this.#lastServed === 'call' ? free : 0;
    return Math.max(0, Math.min(free, this.#jobPlaces(running.limit) - running.jobs));
  }

  get doCallsWait(): boolean {
    return this.#now() - this.#lastRefusedAt < CALL_DEMAND_MS;
  }

  #jobPlaces(limit: number): number {
    return Math.min(limit - 1, Math.max(1, Math.floor(limit * this.#jobShare)));
  }
}
