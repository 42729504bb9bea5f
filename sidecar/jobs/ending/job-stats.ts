/** What became of this pod's jobs, as plain numbers; metrics.ts shows them, and the reports count them as load. */
import type { Stats } from '../../stats.ts';

/** `given-back`: no try was charged. */
export type JobEnd = 'done' | 'retry' | 'dead' | 'given-back';

/** What is stored of a job's end. */
export type RecordPart = 'record' | 'dead-letter' | 'callback';

export class JobStats {
  readonly ends: Record<JobEnd, number> = { done: 0, retry: 0, dead: 0, 'given-back': 0 };
  /** Ends of jobs that JetStream had no room for. */
  readonly missing: Record<RecordPart, number> = { record: 0, 'dead-letter': 0, callback: 0 };
  readonly #stats: Pick<Stats, 'jobStarted' | 'jobEnded'>;
  /** Requests that the function was given. */
  tries = 0;
  /** Ends that JetStream does not know yet. */
  untold: () => number = () => 0;

  constructor(stats: Pick<Stats, 'jobStarted' | 'jobEnded'>) {
    this.#stats = stats;
  }

  started(): void {
    this.tries += 1;
    this.#stats.jobStarted();
  }

  ended(how: JobEnd): void {
    this.ends[how] += 1;
    this.#stats.jobEnded(how === 'retry' || how === 'dead');
  }
}
