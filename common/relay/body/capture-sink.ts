/**
 * Collects an answer in memory: results of jobs.
 */
import type { RawHeaders, ResponseHead, ResponseSink } from '../types.ts';

export interface CapturedAnswer {
  readonly head: ResponseHead;
  readonly body: Buffer;
  readonly trailers: RawHeaders;
  /** The body was longer than `maxBytes` and is cut there. */
  readonly isTruncated: boolean;
}

export interface CaptureSink extends ResponseSink {
  /** What came, once the exchange was `answered`; undefined before. */
  readonly answer: CapturedAnswer | undefined;
}

/** Collects an answer up to `maxBytes` of body (the rest is read and dropped). */
export function captureSink(maxBytes: number): CaptureSink {
  let head: ResponseHead | undefined;
  let kept: Buffer[] = [];
  let size = 0;
  let isTruncated = false;
  let answer: CapturedAnswer | undefined;
  return {
    get answer() {
      return answer;
    },
    informational() {},
    head(received) {
      head = received;
      kept = [];
      size = 0;
      isTruncated = false;
      answer = undefined;
    },
    data(chunk) {
      const room = maxBytes - size;
      if (chunk.length > room) isTruncated = true;
      if (room > 0) kept.push(Buffer.from(chunk.subarray(0, room))); // a copy: the memory is the relay's
      size += Math.min(room, chunk.length);
      return true;
    },
    end(trailers) {
      if (head) answer = { head, body: Buffer.concat(kept), trailers, isTruncated };
      return true;
    },
    abort() {
      kept = [];
    },
  };
}
