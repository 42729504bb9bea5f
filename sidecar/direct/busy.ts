/** Whether calls or jobs run, or have run since it was asked last. */

export interface BusySources {
  /** Calls and jobs that have ended since the start. */
  readonly ended: () => number;
  /** Those that run or wait. */
  readonly present: () => number;
}

export function watchBusy({ ended, present }: BusySources): () => boolean {
  let before = ended();
  return () => {
    const now = ended();
    const hasEnded = now !== before;
    before = now;
    return hasEnded || present() > 0;
  };
}
