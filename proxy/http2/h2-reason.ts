/**
 * The system's own answers on an HTTP/2 stream. A gRPC client shows what stands in grpc-status and grpc-message, and
 * of an HTTP error only its number. So a refusal to gRPC is 200, no body, and the status in the HEADERS frame that
 * ends the stream. `SlimFaas-Reason` is there in either form.
 */
import { percentEncoded } from '../edge/percent-encoded.ts';
import type { ServerHttp2Stream } from 'node:http2';
import type { ReasonCode, ReasonError } from '../../common/runtime/errors.ts';
import type { RawHeaders } from '../../common/relay/types.ts';
import { HEADER } from '../../common/function/names.ts';
import { reasonAnswer } from '../../common/runtime/reason-answer.ts';
import { H2_CODE } from '../../common/http2/node-http2.ts';
import { resetStream } from '../../common/http2/stream-end.ts';
import { cutUnread } from './h2-sink.ts';
import { pushFields } from '../../common/http2/fields.ts';

/** Codes of https://grpc.io/docs/guides/status-codes. */
const GRPC = {
  deadlineExceeded: 4,
  permissionDenied: 7,
  unauthenticated: 16,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
  unavailable: 14,
};

/**
 * As gRPC maps HTTP statuses itself (404 UNIMPLEMENTED, 429, 502, 503 and 504 UNAVAILABLE), with three exceptions.
 * After HttpTimeout the call may have run, and UNAVAILABLE invites to send it again. A body that is too large stays
 * so. A rate that is spent is RESOURCE_EXHAUSTED, as its callers expect.
 */
const GRPC_STATUS: Partial<Record<ReasonCode, number>> = {
  'unknown-function': GRPC.unimplemented,
  'unknown-route': GRPC.unimplemented,
  'bad-request': GRPC.internal,
  'function-timeout': GRPC.deadlineExceeded,
  'body-too-large': GRPC.resourceExhausted,
  unauthorized: GRPC.unauthenticated,
  forbidden: GRPC.permissionDenied,
  'rate-limited': GRPC.resourceExhausted,
};

function grpcStatusOf(code: string): number {
  return GRPC_STATUS[code as ReasonCode] ?? GRPC.unavailable;
}

interface StreamReasonOptions {
  readonly isHead: boolean;
  readonly isGrpc: boolean;
  /** What the answer says to a browser. */
  readonly cors?: RawHeaders | undefined;
}

/** Answers, or breaks off what has begun; harmless on a stream that is gone. */
export function sendStreamReason(
  stream: ServerHttp2Stream,
  error: ReasonError,
  { isHead, isGrpc, cors = [] }: StreamReasonOptions,
): void {
  if (stream.destroyed || stream.closed) return;
  if (stream.headersSent) return resetStream(stream, H2_CODE.internalError);
  if (isGrpc) return sendGrpcReason(stream, error);
  const answer = reasonAnswer(error, cors);
  const headers = pushFields([':status', String(answer.status)], answer.headers);
  stream.respond(headers, { endStream: isHead });
  if (!isHead) stream.end(answer.body);
  cutUnread(stream);
}

export interface GrpcReason {
  readonly code: string;
  readonly message: string;
  readonly retryAfterSeconds?: number | undefined;
}

export function sendGrpcReason(stream: ServerHttp2Stream, reason: GrpcReason): void {
  const headers = [':status', '200', 'content-type', 'application/grpc'];
  headers.push('grpc-status', String(grpcStatusOf(reason.code)));
  headers.push('grpc-message', percentEncoded(`${reason.code}: ${reason.message}`));
  headers.push(HEADER.reason.toLowerCase(), reason.code);
  if (reason.retryAfterSeconds !== undefined)
    headers.push('retry-after', String(Math.max(1, Math.ceil(reason.retryAfterSeconds))));
  stream.respond(headers, { endStream: true });
  cutUnread(stream);
}
