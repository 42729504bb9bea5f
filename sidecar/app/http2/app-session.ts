/**
 * One HTTP/2 connection to an upstream. It counts as made when the upstream's SETTINGS are there. Before that nothing
 * of a request is sent. So a server that speaks no HTTP/2 has seen none, and every failure until then is a failure to
 * connect. On loopback that costs a tenth of a millisecond a connection.
 */
import { withBrackets } from '../../../common/runtime/brackets.ts';
import type { ClientHttp2Session, ClientHttp2Stream, ClientSessionRequestOptions } from 'node:http2';
import { RelayError } from '../../../common/relay/errors.ts';
import type { RelayTarget } from '../../../common/relay/types.ts';
import { H2_CODE, http2 } from '../../../common/http2/node-http2.ts';

export interface SessionKeeper {
  onUp(session: AppSession): void;
  /** It takes no further requests: never came up, was told to go, or broke. Called once. */
  onDown(session: AppSession, error: Error): void;
}

/** More calls than this at once get a second connection, whatever the upstream would allow on one. */
const MAX_STREAMS = 100;
/** For an answer's headers; as large as the relay takes from HTTP/1.1. */
const MAX_HEADER_BYTES = 65_536;
const MAX_HEADER_PAIRS = 2_048;
/** What a stream may send ahead of its reader: with 64 KiB, the default, a large answer stops and goes. */
const STREAM_WINDOW_BYTES = 262_144;

export class AppSession {
  readonly #session: ClientHttp2Session;
  readonly #keeper: SessionKeeper;
  #isUp = false;
  #isDown = false;
  #lastStreamId = Infinity;
  /** Streams that run on it. */
  active = 0;
  idleSince = 0;

  constructor(target: RelayTarget, keeper: SessionKeeper) {
    this.#keeper = keeper;
    const options = {
      settings: {
        enablePush: false,
        initialWindowSize: STREAM_WINDOW_BYTES,
        maxHeaderListSize: MAX_HEADER_BYTES,
      },
      maxHeaderListPairs: MAX_HEADER_PAIRS,
      maxSendHeaderBlockLength: 2 * MAX_HEADER_BYTES,
      strictSingleValueFields: false, // an option that the types do not know yet
    };
    const session = http2().connect(withBrackets(`http://${target.host}:${target.port}`), options);
    this.#session = session;
    session.once('remoteSettings', () => {
      if (this.#isDown) return;
      this.#isUp = true;
      keeper.onUp(this);
    });
    session.on('goaway', (_code: number, lastStreamId: number) => {
      this.#lastStreamId = lastStreamId;
      this.#goDown(new RelayError('connection-lost', 'the app closes its connection'));
    });
    session.on('error', (error) => this.#goDown(error));
    session.on('close', () =>
      this.#goDown(new RelayError('connection-lost', 'the app closed the connection')),
    );
  }

  get isUp(): boolean {
    return this.#isUp;
  }

  get hasRoom(): boolean {
    return this.#isUp && !this.#isDown && this.active < this.#limit;
  }

  /** Only with room. A session that has just broken gives a stream that fails. */
  request(fields: readonly string[], options: ClientSessionRequestOptions): ClientHttp2Stream {
    return this.#session.request(fields, options);
  }

  /** True when the upstream cannot have acted on this stream: refused, beyond its GOAWAY, or never sent. */
  hasNotProcessed(stream: ClientHttp2Stream): boolean {
    const { id } = stream;
    return id === undefined || stream.rstCode === H2_CODE.refusedStream || id > this.#lastStreamId;
  }

  /** After its streams. */
  close(): void {
    this.#goDown(new RelayError('connection-lost', 'closed'));
    this.#session.close();
  }

  destroy(): void {
    this.#goDown(new RelayError('connection-lost', 'cut'));
    this.#session.destroy();
  }

  get #limit(): number {
    // An upstream that allows none now gets one, which waits in nghttp2: better than connecting forever.
    const allowed = this.#session.remoteSettings?.maxConcurrentStreams ?? MAX_STREAMS;
    return Math.max(1, Math.min(MAX_STREAMS, allowed));
  }

  #goDown(cause: Error): void {
    if (this.#isDown) return;
    this.#isDown = true;
    this.#keeper.onDown(this, this.#isUp ? cause : failedToConnect(cause));
  }
}

function failedToConnect(cause: Error): RelayError {
  const { code } = cause as { code?: string };
  // What a server of HTTP/1.1 does with our preface: it answers in HTTP/1.1, or hangs up as one that crashes does.
  if (code === 'ERR_HTTP2_ERROR') return new RelayError('wrong-protocol', NO_H2C, { cause });
  const mayBe = code === 'ERR_HTTP2_SESSION_ERROR' || code === 'connection-lost';
  return new RelayError('connect-failed', mayBe ? NO_H2C : 'could not connect', { cause });
}

const NO_H2C =
  'it does not speak HTTP/2 without TLS (h2c) on its port; set slimfaas.dev/app-protocol to http1 if it speaks HTTP/1.1';
