/** Answers a request that was not accepted, on whichever route. */
import type { ServerResponse } from 'node:http';
import { describeError, ReasonError } from '../../common/runtime/errors.ts';
import type { Log } from '../../common/runtime/log.ts';
import { asReason, sendReason } from '../../common/runtime/reason-answer.ts';
import { toldTo } from './outside.ts';

/** Answers with the reason. A body that is not read whole costs an HTTP/1 connection. */
export function answerFailure(res: ServerResponse, error: unknown, log: Log): void {
  if (!(error instanceof ReasonError))
    log.error({ error: describeError(error) }, 'a request was not accepted');
  const reason = toldTo(res.req.socket, asReason(error));
  // Over HTTP/2 the connection has other requests, and a stream ends without a header.
  const isHttp1 = res.req.httpVersionMajor === 1;
  const mustClose = isHttp1 && (reason.code === 'bad-request' || !res.req.complete);
  sendReason(res, reason, mustClose ? ['Connection', 'close'] : []);
}
