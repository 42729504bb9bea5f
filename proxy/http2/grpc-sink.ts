/**
 * Stands between the relay and the stream of a gRPC call. An answer of the system itself may come from further inside
 * in HTTP, such as the sidecar's `function-timeout`. The client gets it in gRPC. All else passes.
 */
import type { ServerHttp2Stream } from 'node:http2';
import { HEADER } from '../../common/function/names.ts';
import { headerValue } from '../../common/relay/wire/fields.ts';
import type { ExchangeControl, RawHeaders, ResponseHead } from '../../common/relay/types.ts';
import { sendGrpcReason } from './h2-reason.ts';
import type { H2Sink } from './h2-sink.ts';

const REASON = HEADER.reason.toLowerCase();
/** Our messages are a line or two. */
const MAX_MESSAGE_BYTES = 8_192;

export class GrpcSink implements H2Sink {
  readonly #stream: ServerHttp2Stream;
  readonly #sink: H2Sink;
  #reason: ResponseHead | undefined;
  #text = '';

  constructor(stream: ServerHttp2Stream, sink: H2Sink) {
    this.#stream = stream;
    this.#sink = sink;
  }

  get bytesSent(): number {
    return this.#sink.bytesSent;
  }

  attach(control: ExchangeControl): void {
    this.#sink.attach?.(control);
  }

  informational(head: ResponseHead): void {
    this.#sink.informational(head);
  }

  head(head: ResponseHead): void {
    this.#text = '';
    this.#reason = head.status >= 400 && headerValue(head.headers, REASON) !== undefined ? head : undefined;
    if (!this.#reason) this.#sink.head(head);
  }

  data(chunk: Buffer): boolean {
    if (!this.#reason) return this.#sink.data(chunk);
    if (this.#text.length < MAX_MESSAGE_BYTES) this.#text += chunk.toString('utf8');
    return true;
  }

  flush(): boolean {
    return this.#reason ? true : this.#sink.flush?.() !== false;
  }

  end(trailers: RawHeaders): boolean {
    if (!this.#reason) return this.#sink.end(trailers);
    const { headers } = this.#reason;
    const retryAfter = Number(headerValue(headers, 'retry-after') ?? Number.NaN);
    if (!this.#stream.destroyed && !this.#stream.closed)
      sendGrpcReason(this.#stream, {
        code: headerValue(headers, REASON) ?? '',
        message: messageOf(this.#text),
        retryAfterSeconds: Number.isFinite(retryAfter) ? retryAfter : undefined,
      });
    return true;
  }

  abort(error: Error): void {
    this.#sink.abort(error);
  }
}

function messageOf(text: string): string {
  try {
    const { message } = JSON.parse(text) as { message?: unknown };
    return typeof message === 'string' ? message : text;
  } catch {
    return text;
  }
}
