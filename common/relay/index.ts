/**
 * The relay's public face. See `types.ts` for the contract and docs/decisions/relay.md for the reasons.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type {
  BodySource,
  RawHeaders,
  Relay,
  RelayOptions,
  RequestHead,
  ResponseHead,
  ResponseSink,
} from './types.ts';

export type * from './types.ts';

/** Owns the connections; one a process. */
export function createRelay(_options: RelayOptions = {}): Relay {
  throw new Error('not written yet');
}

/**
 * The request as it goes on: hop-by-hop headers removed, all else untouched.
 * @throws ReasonError `bad-request` for what llhttp lets through and we do not; answer it with
 *   `Connection: close`
 */
export function serveHead(_req: IncomingMessage): RequestHead {
  throw new Error('not written yet');
}

/** The body of a request, unread until an upstream asks for it. */
export function nodeBody(_req: IncomingMessage): BodySource {
  throw new Error('not written yet');
}

/** A request without a body. */
export const NO_BODY: BodySource = {
  length: 0,
  canStart: true,
  start: () => undefined,
  pause: () => undefined,
  resume: () => undefined,
  stop: () => undefined,
};

/** A body in memory: stored jobs. Can be sent any number of times. */
export function bufferBody(_bytes: Buffer): BodySource {
  throw new Error('not written yet');
}

/** A body from any async iterable (an object store): sent once. */
export function iterableBody(_chunks: AsyncIterable<Uint8Array>, _length?: number): BodySource {
  throw new Error('not written yet');
}

/** Keeps what was sent, up to `maxBytes`, so that the body can be sent again: ask `canStart`. */
export function replayableBody(_source: BodySource, _maxBytes = 1_048_576): BodySource {
  throw new Error('not written yet');
}

export interface NodeSinkOptions {
  /** The last word on the final head before it goes out: add or remove headers, never the framing ones. */
  readonly mapHead?: (head: ResponseHead) => ResponseHead;
}

/**
 * Answers through Node's server. A caller who leaves cancels the exchange by itself. With Koa set
 * `ctx.respond = false` first.
 */
export function nodeSink(_res: ServerResponse, _options: NodeSinkOptions = {}): ResponseSink {
  throw new Error('not written yet');
}

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

/** Collects an answer up to `maxBytes` of body (the rest is read and dropped): results of jobs. */
export function captureSink(_maxBytes: number): CaptureSink {
  throw new Error('not written yet');
}

/** What a client may cost; every one has a default. */
export interface EdgeLimits {
  readonly maxHeaderBytes: number;
  readonly maxHeaderCount: number;
  /** From the connection's (or request's) first byte to the whole head. */
  readonly headersTimeoutMs: number;
  /** To the whole request, body included; 0: no limit. */
  readonly requestTimeoutMs: number;
  readonly keepAliveMs: number;
  readonly maxRequestsPerConnection: number;
  readonly maxConnections: number;
}

/**
 * Node's server set up strictly: `Expect: 100-continue` comes to the same handler (the relay answers it),
 * malformed requests get the system's 400 and a closed connection. Listening is the caller's.
 */
export function createEdgeServer(
  _handler: (req: IncomingMessage, res: ServerResponse) => void,
  _limits: Partial<EdgeLimits> = {},
): Server {
  throw new Error('not written yet');
}

/** The first value of a header; `name` in lower case. */
export function headerValue(headers: RawHeaders, name: string): string | undefined {
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const found = headers[i] as string;
    if (found.length === name.length && found.toLowerCase() === name) return headers[i + 1];
  }
  return undefined;
}

/** The headers without those named, in lower case; the same array when there is none. */
export function withoutHeaders(headers: RawHeaders, names: ReadonlySet<string>): RawHeaders {
  const kept: string[] = [];
  for (let i = 0; i + 1 < headers.length; i += 2) {
    const name = headers[i] as string;
    if (!names.has(name.toLowerCase())) kept.push(name, headers[i + 1] as string);
  }
  return kept.length === headers.length ? headers : kept;
}
