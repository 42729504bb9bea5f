/**
 * Where Node's streams are less exact than HTTP/2 about how a message ended. Without this, a body that
 * broke off would pass for a whole one, in either direction. A test watches both.
 */
import type { Http2Stream } from 'node:http2';
import { H2_CODE } from './node-http2.ts';

/**
 * To be asked in `end`, which Node emits also for streams that were reset or whose connection broke, before their
 * `error` or `close`. By then they are marked as closed, and a stream that got its END_STREAM is not yet.
 * RST_STREAM with NO_ERROR is not told apart: it is for answers that are complete (RFC 9113 §8.1).
 */
export function hasEndStream(stream: Http2Stream): boolean {
  return !stream.closed || stream.rstCode === H2_CODE.noError;
}

/**
 * Breaks a stream off. Node's `close` alone ends the writable side first, and what was written so far would go
 * out with END_STREAM before the RST_STREAM. Without a `_final` of its own the stream has nothing to say at its
 * end, and the reset is all that the peer gets. Harmless on a stream that is over.
 */
export function resetStream(stream: Http2Stream, code: number): void {
  if (stream.closed || stream.destroyed) return;
  if (!stream.writableEnded) stream._final = (done) => done();
  stream.close(code);
}
