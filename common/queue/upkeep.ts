/**
 * The queue for its keeper, the scaler's leader. It makes what jobs and events are kept in, counts what is there, and
 * moves what pods have left behind. All throw QueueError.
 */
import type { FunctionId } from '../bus/subjects.ts';
import type { Log } from '../runtime/log.ts';
import type { PodReader } from './queue.ts';
import type { JobSettings } from './settings.ts';

export interface UpkeepLink {
  /** Undefined while there is no connection. */
  readonly live: Upkeep | undefined;
}

export interface JobFunction {
  readonly id: FunctionId;
  readonly isOrdered: boolean;
}

export interface JobDepth {
  readonly id: FunctionId;
  /** Stored and not finished: queued, running or waiting for a retry. */
  readonly total: number;
  /** Not delivered yet. */
  readonly ready: number;
  /** Delivered: running, or waiting for a retry. */
  readonly delivered: number;
  /** False: nobody can take them, because {@link Upkeep.open} is still to be called (again). */
  readonly isOpen: boolean;
}

/** A pod that reads its function's events. */
export interface EventReader {
  readonly name: string;
  readonly id: FunctionId;
  readonly pod: string;
}

export interface MoveOptions {
  readonly most: number;
  /** The pod may not be gone yet, so more may come for it. */
  readonly stays: boolean;
}

export interface Upkeep {
  /** Makes what is missing and changes what the settings changed; a change that is refused is logged, and the old setting stays. */
  reconcile(settings: JobSettings, log: Log): Promise<void>;
  /** Whether all of it is there. */
  isComplete(settings: JobSettings): Promise<boolean>;
  /** Lets the jobs of a function be taken. */
  open(fn: JobFunction, settings: JobSettings): Promise<void>;
  /** For a function that is gone. @returns false while there are jobs: ask again later */
  close(id: FunctionId): Promise<boolean>;
  /** The functions whose jobs can be taken. */
  opened(): Promise<readonly FunctionId[]>;
  /** By `namespace/name`; a function without jobs is not listed. */
  depths(): Promise<Map<string, JobDepth>>;
  /** Jobs accepted and retried since it was opened, for a rate; undefined where it is not open. */
  accepted(id: FunctionId): Promise<number | undefined>;
  /** @returns how many readers there are in all, others' included */
  eventReaders(each: (reader: EventReader) => void): Promise<number>;
  /** Makes the pod a reader of its function's events, if it is none. */
  openReader(reader: PodReader, settings: JobSettings): Promise<void>;
  /**
   * What a pod has not finished becomes jobs of its function, at most `most` of it at once. With nothing left the reader
   * goes, unless it `stays`.
   * @returns how many were moved
   */
  moveEvents(reader: Pick<EventReader, 'id' | 'pod'>, how: MoveOptions): Promise<number>;
}
