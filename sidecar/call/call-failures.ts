/** What a caller is told when the app did not answer its call as it should have. */
import { describeError, ReasonError } from '../../common/runtime/errors.ts';

/** A loopback connect that takes longer than this hangs in a full backlog: as good as refused. */
export const APP_CONNECT_MS = 5_000;

export const NO_CONNECTION = new Error(`no connection within ${APP_CONNECT_MS / 1_000} s`);

export function badAnswer(error: Error): ReasonError {
  const message = `the function's answer is not valid HTTP/1.1: ${error.message}. Mend it in the function`;
  return new ReasonError('upstream-failed', message, { cause: error });
}

export function upstreamFailed(error: Error): ReasonError {
  const message = `the function's container did not answer: ${describeError(error)}. Look at its log`;
  return new ReasonError('upstream-failed', message, { cause: error });
}

export function timedOut(httpTimeoutMs: number): ReasonError {
  const message =
    `the function did not begin its answer within ${httpTimeoutMs / 1_000} s; make it faster, ` +
    'call it asynchronously, or raise HttpTimeout in SlimFaas/Configuration';
  return new ReasonError('function-timeout', message);
}
