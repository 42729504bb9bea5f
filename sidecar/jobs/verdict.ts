/**
 * What becomes of a job after a try: pure, from the policy and what happened. Tries are counted here and not
 * by the server, whose delivery count includes refusals and pods that died.
 */
import type { RetryPolicy } from '../../common/call/policy.ts';

export type TryOutcome =
  | { readonly kind: 'answered'; readonly status: number; readonly retryAfterMs: number | undefined }
  | { readonly kind: 'timeout' }
  /** The connection broke after the function had seen something of the request. */
  | { readonly kind: 'broken'; readonly error: string }
  | { readonly kind: 'called-back' }
  | { readonly kind: 'callback-error' }
  | { readonly kind: 'callback-timeout' };

export type Verdict =
  | { readonly kind: 'done' }
  | { readonly kind: 'wait-for-callback' }
  | { readonly kind: 'retry'; readonly delayMs: number; readonly error: string }
  | { readonly kind: 'dead'; readonly error: string };

/** A function that says "in a day" would hold a place in the queue for a day. */
const RETRY_AFTER_MAX_MS = 3_600_000;

/**
 * @param triesBefore tries that failed before this one
 * @param random 0 to 1, spreads retries over `jitter` (0 to 1) of the delay
 */
export function verdict(
  outcome: TryOutcome,
  triesBefore: number,
  policy: RetryPolicy,
  { jitter = 0, random = Math.random }: { jitter?: number; random?: () => number } = {},
): Verdict {
  const error = failureOf(outcome, policy);
  if (error === undefined) return isAccepted(outcome) ? { kind: 'wait-for-callback' } : { kind: 'done' };
  const delay = policy.delaysMs[triesBefore];
  if (delay === undefined) return { kind: 'dead', error };
  const spread = delay * (1 + jitter * random());
  const asked = outcome.kind === 'answered' ? Math.min(RETRY_AFTER_MAX_MS, outcome.retryAfterMs ?? 0) : 0;
  return { kind: 'retry', delayMs: Math.max(spread, asked), error };
}

export function isLastTry(triesBefore: number, policy: RetryPolicy): boolean {
  return triesBefore >= policy.delaysMs.length;
}

function isAccepted(outcome: TryOutcome): boolean {
  return outcome.kind === 'answered' && outcome.status === 202;
}

/** Why the try failed; undefined: it did not. */
function failureOf(outcome: TryOutcome, policy: RetryPolicy): string | undefined {
  switch (outcome.kind) {
    case 'answered': {
      // 429 and 503 with Retry-After say "later" whatever the list says.
      const isPutOff =
        outcome.retryAfterMs !== undefined && (outcome.status === 429 || outcome.status === 503);
      return isPutOff || policy.retryStatuses.has(outcome.status) ? `status ${outcome.status}` : undefined;
    }
    case 'timeout':
      return `no answer within ${policy.httpTimeoutMs / 1_000} s`;
    case 'broken':
      return outcome.error;
    case 'called-back':
      return undefined;
    case 'callback-error':
      return 'the function called back with an error';
    case 'callback-timeout':
      return `no callback within ${policy.httpTimeoutMs / 1_000} s`;
  }
}
