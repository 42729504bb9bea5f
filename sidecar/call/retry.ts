/**
 * Whether and when a synchronous call is tried again: "safe by default" (docs/reference/annotations.md), as pure
 * functions. What did not reach the user's container may always be sent again. What did reach it may be sent again
 * only where the method promises that twice is as good as once. The annotation or the caller's Idempotency-Key may
 * allow it too.
 */
import { mayRunTwice } from '../../common/call/methods.ts';
import type { RetryPolicy } from '../../common/call/policy.ts';

export interface TryFacts {
  readonly method: string;
  readonly hasIdempotencyKey: boolean;
  /** The body can be given from its first byte again. */
  readonly canReplay: boolean;
  /** Retries made so far for answers and broken connections. */
  readonly retries: number;
  /** Milliseconds until the drain's end; undefined: not draining. */
  readonly drainLeftMs: number | undefined;
}

/** The delay before the next try; undefined: no more tries. */
export type RetryDelay = number | undefined;

/** A longer `Retry-After` is for the caller to heed: it gets the answer. */
const LONGEST_RETRY_AFTER_MS = 30_000;

/** Whether the function may see this call twice. */
export function mayRepeat(policy: RetryPolicy, method: string, hasIdempotencyKey: boolean): boolean {
  return policy.retriesSetByUser || mayRunTwice(method, hasIdempotencyKey);
}

/** After an answer with this status, of which nothing was forwarded. */
export function delayAfterStatus(
  policy: RetryPolicy,
  facts: TryFacts,
  status: number,
  retryAfterMs: number | undefined,
): RetryDelay {
  if (!policy.retryStatuses.has(status)) return undefined;
  const delay = delayAfterReaching(policy, facts);
  if (delay === undefined || retryAfterMs === undefined) return delay;
  if (retryAfterMs > LONGEST_RETRY_AFTER_MS) return undefined;
  return withinDrain(Math.max(delay, retryAfterMs), facts);
}

/** After the connection broke with the request, or a part of it, sent. */
export function delayAfterReaching(policy: RetryPolicy, facts: TryFacts): RetryDelay {
  if (!facts.canReplay) return undefined;
  if (!mayRepeat(policy, facts.method, facts.hasIdempotencyKey)) return undefined;
  const delay = policy.delaysMs[facts.retries];
  return delay === undefined ? undefined : withinDrain(delay, facts);
}

const UNREACHED_FIRST_MS = 25;
const UNREACHED_LONGEST_MS = 500;

/**
 * After nothing of the request reached the app (nobody listens, a reset while connecting). Such a try costs the app
 * nothing and is no retry in the user's sense. So it is made often: after 25, 50, 100, 200, 400, 500, 500 … ms. The
 * policy's delays bound the time: [2, 4, 8] waits 14 s for a container to come back.
 * @param failures such tries so far, the one that has just failed included
 * @param sinceMs time since the first of them failed
 */
export function delayAfterUnreached(
  policy: RetryPolicy,
  facts: TryFacts,
  failures: number,
  sinceMs: number,
): RetryDelay {
  if (!facts.canReplay) return undefined;
  const budgetMs = policy.delaysMs.reduce((sum, delay) => sum + delay, 0);
  const delay = Math.min(UNREACHED_LONGEST_MS, UNREACHED_FIRST_MS * 2 ** Math.min(failures - 1, 10));
  return sinceMs + delay > budgetMs ? undefined : withinDrain(delay, facts);
}

/** A try that could only begin after the pod's end is none: better to tell the caller now. */
function withinDrain(delayMs: number, facts: TryFacts): RetryDelay {
  return facts.drainLeftMs !== undefined && delayMs >= facts.drainLeftMs ? undefined : delayMs;
}

/** `Retry-After` in either form, in milliseconds from `nowMs` (Unix time); undefined when unreadable. */
export function parseRetryAfter(value: string | undefined, nowMs: number): number | undefined {
  if (value === undefined) return undefined;
  if (/^\d+$/.test(value)) return Number(value) * 1_000;
  const at = Date.parse(value);
  return Number.isNaN(at) ? undefined : Math.max(0, at - nowMs);
}
