/** Time as an argument: what waits and repeats in the proxy takes a Clock, so that tests turn it by hand. */
export interface Clock {
  /** Milliseconds, monotonic: a wall clock that is set back must not keep a caller waiting. */
  now(): number;
  /** Calls `run` once after `ms`; the answer cancels it, also when it has run. */
  after(ms: number, run: () => void): () => void;
}

/** Calls `run` each `ms`, for the first time after `ms`. Returns what ends it, also from within `run`. */
export function every(clock: Clock, ms: number, run: () => void): () => void {
  let cancel: () => void;
  const repeat = (): void => {
    cancel = clock.after(ms, () => {
      repeat();
      run();
    });
  };
  repeat();
  return () => cancel();
}

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, ms);
    return () => clearTimeout(timer);
  },
};
