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
  { what, timeoutMs = 10_000, intervalMs = 10 }: WaitOptions,
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
