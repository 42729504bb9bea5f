/** From how an exchange with a pod ended to what becomes of the call. Pure. */
import { describeError, ReasonError } from '../../common/runtime/errors.ts';
import { isBadResponse } from '../../common/relay/errors.ts';
import type { Outcome } from '../../common/relay/types.ts';
import type { CallEnd } from '../metrics/call-end.ts';

export interface RetryFacts {
  /** What the sidecar wrote when it sent the call back. */
  readonly refusal: string | undefined;
  /** The body can be given from its first byte. */
  readonly canResend: boolean;
  /** It would do no harm if a function ran the call twice. */
  readonly mayRepeat: boolean;
}

/** `suspect`: why the pod is not to be trusted until it answers again. */
export type OutcomeAction = { readonly suspect: string | undefined } & (
  | { readonly kind: 'again'; readonly phase: string | undefined; readonly mayHaveRun: boolean }
  | { readonly kind: 'fail'; readonly error: ReasonError }
  | { readonly kind: 'end'; readonly end: CallEnd }
);

export function outcomeAction(outcome: Outcome, facts: RetryFacts): OutcomeAction {
  switch (outcome.kind) {
    case 'answered':
      return end({ kind: 'status', status: outcome.status });
    case 'cancelled':
      return end({ kind: 'cancelled' });
    case 'discarded':
      return afterRefusal(facts);
    case 'timeout':
      return afterTimeout(outcome, facts);
    case 'failed':
      return afterFailure(outcome, facts);
  }
}

function afterRefusal({ refusal, canResend, mayRepeat }: RetryFacts): OutcomeAction {
  if (refusal === 'crashed' && !(canResend && mayRepeat))
    return { kind: 'fail', error: broken('its app crashed'), suspect: undefined };
  if (canResend)
    return { kind: 'again', phase: undefined, mayHaveRun: refusal === 'crashed', suspect: undefined };
  const message = `the pod was ${refusal ?? 'full'} by the time the call came, and too much of its body was sent to send it again`;
  const error = new ReasonError('queue-full', message, { retryAfterSeconds: 1 });
  return { kind: 'fail', error, suspect: undefined };
}

function afterTimeout(outcome: Outcome & { kind: 'timeout' }, facts: RetryFacts): OutcomeAction {
  // The answer had begun: the sink was told to break its connection, there is nothing to say any more.
  if (outcome.headForwarded) return end({ kind: 'status', status: 504 });
  if (outcome.phase === 'connect') return unreached('connect', 'no connection in time', facts);
  const error = new ReasonError('function-timeout', 'HttpTimeout passed before the answer began');
  return { kind: 'fail', error, suspect: undefined };
}

function afterFailure(outcome: Outcome & { kind: 'failed' }, facts: RetryFacts): OutcomeAction {
  if (outcome.callerFailed) return end({ kind: 'cancelled' });
  if (outcome.headForwarded) return end({ kind: 'status', status: 502 });
  const why = describeError(outcome.error);
  if (outcome.phase === 'connect' || outcome.sentBytes === 0) return unreached(outcome.phase, why, facts);
  if (isBadResponse(outcome.error))
    return { kind: 'fail', error: badAnswer(outcome.error), suspect: undefined };
  if (facts.mayRepeat && facts.canResend)
    return { kind: 'again', phase: outcome.phase, mayHaveRun: true, suspect: why };
  return { kind: 'fail', error: broken(why, outcome.error), suspect: undefined };
}

/** No byte of the call has reached the pod. */
function unreached(phase: string, why: string, { canResend }: RetryFacts): OutcomeAction {
  if (canResend) return { kind: 'again', phase, mayHaveRun: false, suspect: why };
  return { kind: 'fail', error: broken(why), suspect: why };
}

/** The function has answered, and would answer the same again. */
function badAnswer(error: Error): ReasonError {
  const message = `the function's answer is not valid HTTP/1.1: ${error.message}. Mend it in the function`;
  return new ReasonError('upstream-failed', message, { cause: error });
}

function broken(why: string, cause?: unknown): ReasonError {
  const message = `the connection to the function broke before its answer began: ${why}`;
  return new ReasonError('upstream-failed', message, { cause });
}

function end(callEnd: CallEnd): OutcomeAction {
  return { kind: 'end', end: callEnd, suspect: undefined };
}
