/**
 * Writes the system's own answers from a ReasonError: status, `SlimFaas-Reason`, `Retry-After` and the JSON body of
 * docs/reference/reasons.md. For raw Node responses and for the bare socket of an upgrade that was not granted. Both
 * hops use it, so that a caller sees one form.
 */
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { Duplex } from 'node:stream';
import { describeError, ReasonError } from './errors.ts';
import { HEADER } from '../function/names.ts';

export interface ReasonAnswer {
  readonly status: number;
  /** name, value, name, value …; the framing (`Content-Length`) included. */
  readonly headers: readonly string[];
  readonly body: string;
}

/** The answer to send for `error`; `extraHeaders` (name, value …) go last. */
export function reasonAnswer(error: ReasonError, extraHeaders: readonly string[] = []): ReasonAnswer {
  const body = error.answer?.body ?? `${JSON.stringify({ error: error.code, message: error.message })}\n`;
  const type = error.answer?.contentType ?? 'application/json; charset=utf-8';
  const headers = [HEADER.reason, error.code, 'Content-Type', type];
  headers.push('Content-Length', String(Buffer.byteLength(body)));
  if (error.retryAfterSeconds !== undefined) {
    // Whole seconds, at least 1: `Retry-After: 0` invites the storm that it is to prevent.
    headers.push('Retry-After', String(Math.max(1, Math.ceil(error.retryAfterSeconds))));
  }
  headers.push(...error.headers, ...extraHeaders);
  if (error.status === 401 && !error.headers.includes('WWW-Authenticate'))
    headers.push('WWW-Authenticate', 'Bearer realm="slimfaas"');
  return { status: error.status, headers, body };
}

/**
 * Answers on a Node response. An answer that has begun is never ended cleanly by a failure: its connection
 * is reset instead. To HEAD the headers alone are sent; Node drops the body by itself.
 */
export function sendReason(
  res: ServerResponse,
  error: ReasonError,
  extraHeaders: readonly string[] = [],
): void {
  if (res.headersSent) return void res.destroy(error);
  if (res.destroyed) return;
  const answer = reasonAnswer(error, extraHeaders);
  res.writeHead(answer.status, [...answer.headers]);
  res.end(answer.body);
  cutUnreadBody(res.req);
}

/** Answers on the socket of an upgrade request and closes it. */
export function sendReasonOnSocket(
  socket: Duplex,
  error: ReasonError,
  extraHeaders: readonly string[] = [],
): void {
  if (!socket.writable) return void socket.destroy();
  const answer = reasonAnswer(error, [...extraHeaders, 'Connection', 'close']);
  let head = `HTTP/1.1 ${answer.status} ${error.code}\r\n`;
  for (let i = 0; i + 1 < answer.headers.length; i += 2) {
    head += `${answer.headers[i]}: ${answer.headers[i + 1]}\r\n`;
  }
  socket.on('error', () => undefined); // the caller may be gone already
  // Destroyed once it is flushed: a caller that keeps its half open must not keep our socket.
  socket.end(`${head}\r\n${answer.body}`, () => socket.destroy());
}

/** Whatever was thrown as something that can be answered. */
export function asReason(error: unknown): ReasonError {
  if (error instanceof ReasonError) return error;
  return new ReasonError('upstream-failed', describeError(error), { cause: error });
}

const UNREAD_BODY_MS = 5_000;

/**
 * Node reads the rest of an unread body and throws it away. So the connection can be used again and the caller reads
 * our answer; closing at once would reset it. That is bounded here: a caller that goes on sending for 5 s after it was
 * refused loses the connection.
 */
export function cutUnreadBody(req: IncomingMessage, afterMs = UNREAD_BODY_MS): void {
  if (req.complete || req.destroyed) return;
  const timer = setTimeout(() => req.destroy(), afterMs);
  timer.unref();
  const done = (): void => clearTimeout(timer);
  req.once('end', done);
  req.once('close', done);
}
