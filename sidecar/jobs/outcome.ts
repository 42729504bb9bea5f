/**
 * What an exchange with the function means for a job: the relay's outcome in the terms of a try. Only what the
 * function did, or failed to do, is a try; what it has not seen, and what we failed to bring it, is none. Pure.
 */
import { describeError } from '../../common/runtime/errors.ts';
import { BodyStoreError } from '../../common/queue/body.ts';
import { headerValue, type CapturedAnswer, type Outcome } from '../../common/relay/index.ts';
import { parseRetryAfter } from '../call/retry.ts';
import type { TryOutcome } from './verdict.ts';

/** `none`: no try, and why; the job goes back uncharged. */
export type Tried = TryOutcome | { readonly kind: 'none'; readonly why: string };

export function triedBy(outcome: Outcome, answer: CapturedAnswer | undefined, nowMs: number): Tried {
  switch (outcome.kind) {
    case 'answered': {
      const retryAfter = answer && headerValue(answer.head.headers, 'retry-after');
      return { kind: 'answered', status: outcome.status, retryAfterMs: parseRetryAfter(retryAfter, nowMs) };
    }
    case 'timeout':
      if (outcome.sentBytes === 0 && outcome.phase === 'connect')
        return none('no connection to the function');
      // The function waited for us: we read the body from the store, and it did not come.
      if (outcome.phase === 'send') return none('the stored body did not come');
      return { kind: 'timeout' };
    case 'failed':
      if (isBodyGone(outcome.error)) return { kind: 'broken', error: describeError(outcome.error) };
      if (outcome.sentBytes === 0 || outcome.callerFailed === true) return none(describeError(outcome.error));
      return { kind: 'broken', error: describeError(outcome.error) };
    case 'discarded':
    case 'cancelled':
      return none('the pod ends');
  }
}

/** It will not come back: such a job must reach the dead letters and not the queue forever. */
function isBodyGone(error: unknown): boolean {
  for (let at = error; at instanceof Error; at = at.cause)
    if (at instanceof BodyStoreError && at.code === 'incomplete') return true;
  return false;
}

function none(why: string): Tried {
  return { kind: 'none', why };
}
