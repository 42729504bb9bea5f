/** What the scaler's flags say of the queue, and the times that all parts must agree on. */

export interface JobSettings {
  readonly storage: 'file' | 'memory';
  readonly replicas: number;
  /** Jobs of one function that may be queued, running or waiting for a retry. */
  readonly maxJobsPerFunction: number;
  /** Size of the volume that NATS keeps it all on, of which each stream has a share (volume.ts); 0: not known. */
  readonly volumeBytes: number;
  /** Bytes of all inline jobs; 0: their share of the volume. */
  readonly maxBytes: number;
  /** Within it a repeated Idempotency-Key, or a repeated publish, is the same job. */
  readonly duplicateWindowMs: number;
  readonly resultTtlMs: number;
  readonly deadTtlMs: number;
  /** A large body outlives its job by no more than this, also when nobody removed it. */
  readonly bodyTtlMs: number;
  /** An event that a pod has not run by then is gone. */
  readonly eventTtlMs: number;
  /** Bytes of all stored events; beyond it the oldest go. 0: their share of the volume. */
  readonly eventMaxBytes: number;
}

/** Silence of a sidecar for so long gives its job to another; it says "working" three times within it. */
export const ACK_WAIT_MS = 15_000;

/** For so long a result is offered to its URL. */
export const CALLBACK_TTL_MS = 24 * 3_600_000;
