/**
 * Exponential backoff with full jitter: delays are drawn from [base/2, base] of a doubling base. So a thousand
 * clients that lost the same server do not come back in the same millisecond.
 */
export interface Backoff {
  /** The next delay in milliseconds. */
  next(): number;
  /** Call on success: the next failure starts small again. */
  reset(): void;
}

export function createBackoff(
  { minMs, maxMs }: { minMs: number; maxMs: number },
  random: () => number = Math.random,
): Backoff {
  if (!(minMs > 0 && maxMs >= minMs))
    throw new RangeError(`backoff: need 0 < minMs ≤ maxMs, got ${minMs}, ${maxMs}`);
  let base = minMs;
  return {
    next() {
      const delay = base * (0.5 + random() / 2);
      base = Math.min(maxMs, base * 2);
      return delay;
    },
    reset() {
      base = minMs;
    },
  };
}
