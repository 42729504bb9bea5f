/**
 * Node's HTTP/2 server, set up for strangers, without a port of its own. Connections come from the plain port once
 * they have shown their preface (take-over.ts), and from the TLS port once ALPN said `h2`. Loaded with the first of
 * them. What each limit protects from is in docs/decisions/http2.md.
 *
 * Room `proxy/http2`: HTTP/2 and gRPC in front of the same calls.
 * Comes in: HTTP/2 sessions.
 * Goes out: streams as calls, reasons as gRPC statuses.
 */
import type { Http2Server, ServerHttp2Session, ServerHttp2Stream } from 'node:http2';
import type { Socket } from 'node:net';
import { http2 } from '../../common/http2/node-http2.ts';
import type { RawHeaders } from '../../common/relay/index.ts';
import type { Clock } from '../clock.ts';
import { isEncrypted } from '../edge/headers.ts';
import { isOutside } from '../edge/outside.ts';
import { Sessions, type Peer, type SessionLimits } from './sessions.ts';

export interface Http2EdgeOptions extends SessionLimits {
  readonly maxStreams: number;
  readonly maxHeaderBytes: number;
  readonly maxHeaders: number;
  readonly clock: Clock;
  readonly onStream: (arrival: StreamArrival) => void;
}

/** One request. */
export interface StreamArrival {
  readonly stream: ServerHttp2Stream;
  readonly peer: Peer;
  readonly raw: RawHeaders;
  /** As Node joins them, for code that looks for single ones. */
  readonly fields: Readonly<Record<string, string | string[] | undefined>>;
  readonly hasBody: boolean;
}

const END_STREAM = 1;

/** `:method`, `:scheme`, `:authority`, `:path`. */
const PSEUDO_HEADERS = 4;
/** Our answers' heads are at most 64 KiB before compression. */
const MAX_SENT_HEADER_BYTES = 131_072;
/** A caller that cancels more calls than these on one connection pays with the connection (CVE-2023-44487). */
const RESET_BURST = 1_000;
const RESETS_PER_SECOND = 100;
/** Frames against the protocol, and streams refused for their heads' size, until the connection is cut. */
const MAX_OFFENCES = 100;
/**
 * What one connection may hold before further streams are refused. It is Node's default, and for each stream a head
 * of 32 KiB, a window of 64 and a piece of an answer of 64. So a client that keeps to the other limits never meets
 * it.
 */
function sessionMegabytes(maxStreams: number): number {
  return 10 + Math.ceil(maxStreams / 4);
}

export class Http2Edge {
  readonly sessions: Sessions;
  readonly #options: Http2EdgeOptions;
  #server: Http2Server | undefined;
  /** Connections cut for breaking the protocol or a limit, since the start. */
  errors = 0;

  constructor(options: Http2EdgeOptions) {
    this.#options = options;
    this.sessions = new Sessions(options, options.clock);
  }

  /** A connection of which nothing was read yet, or its first bytes are in its buffer again. */
  take(socket: Socket): void {
    this.#server ??= this.#create();
    this.#server.emit('connection', socket);
  }

  #create(): Http2Server {
    const { maxStreams, maxHeaderBytes, maxHeaders } = this.#options;
    const server = http2().createServer({
      settings: { maxConcurrentStreams: maxStreams, maxHeaderListSize: maxHeaderBytes },
      maxHeaderListPairs: maxHeaders + PSEUDO_HEADERS,
      maxSendHeaderBlockLength: MAX_SENT_HEADER_BYTES,
      maxSessionMemory: sessionMegabytes(maxStreams),
      maxSessionInvalidFrames: MAX_OFFENCES,
      maxSessionRejectedStreams: MAX_OFFENCES,
      streamResetBurst: RESET_BURST,
      streamResetRate: RESETS_PER_SECOND,
      strictSingleValueFields: false, // a function's answer passes as it is
    });
    server.on('session', (session) => this.#onSession(session));
    server.on('sessionError', () => this.errors++);
    return server;
  }

  #onSession(session: ServerHttp2Session): void {
    const { socket } = session;
    const peer = {
      remoteAddress: socket.remoteAddress,
      isTls: isEncrypted(socket),
      isOutside: isOutside(socket),
    };
    const entry = this.sessions.add(session, peer);
    session.on('stream', (stream, fields, flags, raw) => {
      entry.onStream(stream);
      stream.on('error', () => undefined); // its `close` is what counts
      const hasBody = (flags & END_STREAM) === 0;
      this.#options.onStream({ stream, peer, raw, fields, hasBody });
    });
  }
}
