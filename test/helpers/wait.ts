/**
 * Waiting for something to become true, for tests: poll a condition with a deadline and say what was waited for.
 * Polling, because what is waited for often lives in another process; where an event exists, await the event.
 */
export interface WaitOptions {
  /** Finishes the sentence "… did not happen: "; name the expected state. */
  readonly what: string;
  readonly timeoutMs?: number;
  readonly intervalMs?: number;
}

/**
 * Resolves with the condition's first truthy value. A condition that throws counts as not yet true, and its
 * last error becomes the cause of the timeout's.
 */
export async function waitFor<T>(
  condition: () => T | Promise<T>,
  { what, timeoutMs = 20_000, intervalMs = 10 }: WaitOptions,
): Promise<NonNullable<T>> {
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value) return value;
      lastError = undefined;
    } catch (error) {
      lastError = error;
    }
    if (performance.now() > deadline)
      throw new Error(`waited ${timeoutMs} ms; did not happen: ${what}`, { cause: lastError });
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}

/** What must not happen, where no event tells that it did not: the condition stays true for all of `forMs`. */
export async function staysTrue(
  condition: () => boolean | Promise<boolean>,
  { what, forMs, intervalMs = 20 }: { what: string; forMs: number; intervalMs?: number },
): Promise<void> {
  const end = performance.now() + forMs;
  while (performance.now() < end) {
    if (!(await condition())) throw new Error(`did not stay so for ${forMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, intervalMs));
  }
}

/** The value once it has stood still for `forMs`: something has ended that has no event for its end. */
export async function settled<T>(read: () => T, options: WaitOptions & { forMs: number }): Promise<T> {
  let value = read();
  let since = performance.now();
  await waitFor(() => {
    if (read() === value) return performance.now() - since >= options.forMs;
    value = read();
    since = performance.now();
    return false;
  }, options);
  return value;
}

/**
 * "Fast enough" on a noisy machine: one of several tries takes less than `limitMs`. What is too slow by design is so
 * each time; what was slow because the machine was busy elsewhere is not.
 */
export async function isFasterThan(
  limitMs: number,
  measure: () => Promise<number>,
  { tries = 3, what }: { tries?: number; what: string },
): Promise<void> {
  const times: number[] = [];
  while (times.length < tries) {
    times.push(await measure());
    if ((times.at(-1) as number) < limitMs) return;
  }
  const list = times.map((ms) => ms.toFixed(0)).join(', ');
  throw new Error(`${what} took ${list} ms, each time more than ${limitMs}`);
}
