/**
 * The average of a load over the last seconds, for the stable (60 s) and panic (6 s) windows. One number per second
 * in a ring of fixed size (1.4 KiB at 60 s, so 14 MiB for 10,000 functions). What lies between the seconds is lost.
 * Seconds without a record count as missing, not as nothing: an average is over what was measured.
 */
export interface LoadWindow {
  /** Several records within one second average. Anything not a number ≥ 0 is left out. */
  record(value: number | undefined, nowMs: number): void;
  clear(): void;
  /** undefined when nothing was recorded within the window. */
  average(windowMs: number, nowMs: number): number | undefined;
}

/** @param spanMs the longest window that will be asked for */
export function createLoadWindow(spanMs: number): LoadWindow {
  if (!(spanMs >= 1_000)) throw new RangeError(`load window: spanMs must be ≥ 1000, got ${spanMs}`);
  const size = Math.ceil(spanMs / 1_000);
  const seconds = new Float64Array(size).fill(-1);
  const sums = new Float64Array(size);
  const counts = new Float64Array(size);

  return {
    record(value, nowMs) {
      if (value === undefined || !Number.isFinite(value) || value < 0) return;
      const second = Math.floor(nowMs / 1_000);
      const slot = second % size;
      if (seconds[slot] !== second) {
        seconds[slot] = second;
        sums[slot] = counts[slot] = 0;
      }
      sums[slot] = (sums[slot] as number) + value;
      counts[slot] = (counts[slot] as number) + 1;
    },
    clear() {
      seconds.fill(-1);
    },
    average(windowMs, nowMs) {
      const last = Math.floor(nowMs / 1_000);
      const first = last - Math.ceil(windowMs / 1_000) + 1;
      let [total, samples] = [0, 0];
      for (let slot = 0; slot < size; slot++) {
        const second = seconds[slot] as number;
        if (second < 0 || second < first || second > last) continue;
        total += (sums[slot] as number) / (counts[slot] as number);
        samples += 1;
      }
      return samples === 0 ? undefined : total / samples;
    },
  };
}
