/**
 * A keyed work queue. Each key is reconciled by at most one call at a time, and a key added while it runs runs once
 * more. A failed key comes back after a delay that doubles (from 5 ms, as client-go, up to 10 s). Nothing polls: who
 * wants a look at a later time says so with `addAfter`.
 */
import { describeError } from '../../../common/runtime/errors.ts';
import type { Log } from '../../../common/runtime/log.ts';
import type { Running } from '../../../common/runtime/lifecycle.ts';

const FIRST_RETRY_MS = 5;
const LAST_RETRY_MS = 10_000;

export interface Workqueue extends Running {
  add(key: string): void;
  /** The earliest of several requests for one key wins. */
  addAfter(key: string, delayMs: number): void;
}

interface Later {
  readonly timer: NodeJS.Timeout;
  readonly at: number;
}

export function createWorkqueue(
  name: string,
  reconcile: (key: string) => Promise<unknown>,
  log: Log,
): Workqueue {
  const running = new Map<string, Promise<void>>();
  const again = new Set<string>();
  const failures = new Map<string, number>();
  const later = new Map<string, Later>();
  const stopping = new AbortController();

  const runOnce = async (key: string) => {
    try {
      await reconcile(key);
      failures.delete(key);
    } catch (error) {
      if (stopping.signal.aborted) return;
      const count = failures.get(key) ?? 0;
      failures.set(key, count + 1);
      const delayMs = Math.min(LAST_RETRY_MS, FIRST_RETRY_MS * 2 ** count);
      log.debug({ controller: name, key, error: describeError(error), delayMs }, 'reconcile failed');
      addAfter(key, delayMs);
    }
  };
  const run = async (key: string) => {
    await Promise.resolve(); // events that one change causes together are one reconcile
    do {
      again.delete(key);
      await runOnce(key);
      // A key that keeps causing its own events must not starve timers and sockets of this process.
      if (again.has(key)) await new Promise(setImmediate);
    } while (again.has(key) && !stopping.signal.aborted);
    running.delete(key);
  };
  const add = (key: string) => {
    if (stopping.signal.aborted) return;
    if (running.has(key)) again.add(key);
    else running.set(key, run(key));
  };
  const addAfter = (key: string, delayMs: number) => {
    if (stopping.signal.aborted) return;
    const at = performance.now() + delayMs;
    const planned = later.get(key);
    if (planned && planned.at <= at) return;
    clearTimeout(planned?.timer);
    const timer = setTimeout(() => {
      later.delete(key);
      add(key);
    }, delayMs);
    later.set(key, { timer, at });
  };
  return {
    add,
    addAfter,
    async stop() {
      stopping.abort();
      for (const { timer } of later.values()) clearTimeout(timer);
      later.clear();
      await Promise.all(running.values());
    },
  };
}
