/**
 * `/function/{fn}/{path}` over HTTP/2: from a stream to a {@link Call}. The same rules as function-route.ts; what
 * differs is how a body is read, an answer written and a caller's leaving heard.
 */
import type { ServerHttp2Stream } from 'node:http2';
import { h2Body, type H2Body } from './h2-body.ts';
import type { ReasonError } from '../../common/runtime/errors.ts';
import { h2Sink, type H2Sink } from './h2-sink.ts';
import { H2_CODE } from '../../common/http2/node-http2.ts';
import { GrpcSink } from './grpc-sink.ts';
import { resetStream } from '../../common/http2/stream-end.ts';
import { bodyLength, NO_BODY, type RequestHead } from '../../common/relay/index.ts';
import type { ActiveCall } from '../edge/active-calls.ts';
import { ProxyCall } from '../call/proxy-call.ts';
import type { FunctionEntry } from '../functions/function-entry.ts';
import {
  bytesOfHead,
  keepForReplay,
  type FunctionRouteDeps,
  type SinkOptions,
} from '../call/function-route.ts';
import { heldBytes } from '../waiting/waiting-budget.ts';

export interface FunctionStream {
  readonly stream: ServerHttp2Stream;
  readonly entry: FunctionEntry;
  readonly head: RequestHead;
  readonly hasBody: boolean;
  readonly isGrpc: boolean;
  readonly options: SinkOptions;
  readonly fail: (error: ReasonError) => void;
}

export function startStreamRequest(arrival: FunctionStream, deps: FunctionRouteDeps): void {
  const { stream, entry, head, hasBody, isGrpc, options, fail } = arrival;
  const isHead = head.method === 'HEAD';
  const upload = hasBody ? h2Body(stream, bodyLength(head.headers)) : undefined;
  const plain = h2Sink(stream, { isHead, ...options });
  const sink = isGrpc ? new GrpcSink(stream, plain) : plain;
  const { body, release } = keepForReplay(upload ?? NO_BODY, deps.replay);
  const active = new StreamRequest(stream, sink, isGrpc ? undefined : upload);
  let isWatched = false;
  const call = new ProxyCall(
    entry,
    {
      head,
      body,
      sink,
      heldBytes: heldBytes(bytesOfHead(head), body.length),
      fail,
      onWait: () => {
        // A call that runs is cancelled by its sink; one that waits has only this.
        if (stream.destroyed) call.cancel();
        else if (!isWatched) stream.once('close', () => call.cancel());
        isWatched = true;
      },
      onEnd: (end) => {
        release();
        deps.active.remove(active);
        if (end.kind === 'cancelled') resetStream(stream, H2_CODE.cancel);
      },
    },
    deps,
  );
  deps.active.add(active);
  call.start();
}

/**
 * A stream among those that the proxy holds. Without `upload` a silent body is not held against the client. In gRPC a
 * stream may be silent for an hour, and only the answer has to be read.
 */
class StreamRequest implements ActiveCall {
  readonly #stream: ServerHttp2Stream;
  readonly #sink: H2Sink;
  readonly #upload: H2Body | undefined;
  #moved = 0;
  place = -1;
  stuckSinceMs: number | undefined = undefined;

  constructor(stream: ServerHttp2Stream, sink: H2Sink, upload: H2Body | undefined) {
    this.#stream = stream;
    this.#sink = sink;
    this.#upload = upload;
  }

  /** The connection is told to go, not the stream: Sessions.closeAfterAnswers. */
  closeAfterAnswer(): void {}

  destroy(): void {
    resetStream(this.#stream, H2_CODE.cancel);
  }

  isStuck(): boolean {
    const moved = this.#sink.bytesSent + (this.#upload?.bytesRead ?? 0);
    const hasMoved = moved !== this.#moved;
    this.#moved = moved;
    if (hasMoved) return false;
    const owesBody = this.#upload?.awaitsCaller === true;
    return owesBody || (this.#stream.writableLength > 0 && !this.#stream.destroyed);
  }
}
