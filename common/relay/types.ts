/**
 * The contract of the relay: one HTTP exchange carried to an upstream over our own HTTP/1.1 client on raw
 * keep-alive sockets. Both hops use it: the proxy towards sidecars, the sidecar towards the user's container,
 * and the job consumer with a stored request and a captured answer. Sources and sinks are two small
 * interfaces, so that the relay knows nothing of Koa, Node's server or NATS.
 */

export interface RelayTarget {
  /** An IP address on the hot path; a name costs a lookup a connection. */
  readonly host: string;
  readonly port: number;
  /**
   * Header lines, each with its line end, for the first request on a connection of ours: what it says of itself holds
   * for the connection. Asked for each new connection; '' says nothing.
   */
  readonly greeting?: (() => string) | undefined;
}

/** `rawHeaders` as Node gives them: name, value, name, value …; order, case and duplicates kept. */
export type RawHeaders = readonly string[];

export interface RequestHead {
  readonly method: string;
  /** Origin-form target, byte for byte: path and query. */
  readonly path: string;
  /**
   * Hop-by-hop headers already removed; framing headers (content-length, transfer-encoding) still there.
   * Where they are missing and the body needs one, the relay adds it; a missing Host too.
   */
  readonly headers: RawHeaders;
}

export interface ResponseHead {
  readonly status: number;
  readonly statusText: string;
  /** End-to-end headers, and the framing header (content-length or transfer-encoding) at its place. */
  readonly headers: RawHeaders;
}

/** What a source or sink may ask of the exchange that it belongs to. */
export interface ExchangeControl {
  /** The sink has drained: read the answer on. */
  resume(): void;
  /** Our caller left: cut the upstream. Harmless when done. */
  cancel(): void;
}

/**
 * Where the answer goes. Calls come in the order attach informational* head data* (end | abort), with a
 * `flush` after each read from the upstream that did not end the answer.
 */
export interface ResponseSink {
  /** Called once an exchange starts to use the sink (again for a retry): keep it for resume and cancel. */
  attach?(control: ExchangeControl): void;
  /** A 1xx other than 101. 100 comes here only when the request carried `Expect: 100-continue`. */
  informational(head: ResponseHead): void;
  head(head: ResponseHead): void;
  /**
   * Returns false when the sink wants a pause until it calls {@link ExchangeControl.resume}. The memory is the
   * relay's and is used again for the next read. A sink either copies what it keeps, or says false (here, from
   * `flush` or from `end`) and has the memory until it calls resume.
   */
  data(chunk: Buffer): boolean;
  /** Everything of one read was given: write it out now. False as in `data`. */
  flush?(): boolean;
  /** False as in `data`: some of the last read is still to be written. */
  end(trailers: RawHeaders): boolean;
  /** The answer had begun and cannot be completed: the sink must break its connection, never end cleanly. */
  abort(error: Error): void;
}

/** The consumer of a body: the exchange, while it sends. */
export interface BodyConsumer {
  /** Returns false to ask for a pause; the chunk is the consumer's for good. */
  data(chunk: Buffer): boolean;
  end(trailers: RawHeaders): void;
  /** The body broke off: its sender left or sent nonsense. */
  fail(error: Error): void;
}

/** Where a request's body comes from. Nothing is read before `start`. */
export interface BodySource {
  /** Bytes in all; undefined: unknown, sent chunked. 0: no body, `start` is never called. */
  readonly length: number | undefined;
  /** The whole body where it is in memory already: sent with the head in one write, `start` is never called. */
  readonly bytes?: Buffer | undefined;
  /**
   * Nobody else refers to the memory of the chunk just given, so the consumer may free it once it is sent. Node
   * copies each piece of a body into memory of its own, and leaving that to the collector costs more than all the
   * rest of an upload.
   */
  readonly givesMemoryAway?: boolean;
  /** True while `start` will give the body from its first byte (again). */
  readonly canStart: boolean;
  start(consumer: BodyConsumer): void;
  pause(): void;
  resume(): void;
  /** The consumer takes no more; may be started again if `canStart`. */
  stop(): void;
}

/** What `decide` wants done with an answer whose head has arrived and of which nothing was forwarded. */
export type HeadVerdict = 'forward' | 'discard';

/** Milliseconds, each its own outcome; 0: no limit. Kept by a coarse clock: up to 60 ms late, never early. */
export interface Timeouts {
  /** To get a connection (a place in the pool and TCP): fails in phase `connect`. */
  readonly connectMs: number;
  /** From the start of the exchange to the answer's head (HttpTimeout): phase `head`. */
  readonly headMs: number;
  /**
   * Without a byte in either direction once the answer has begun, a caller that does not read included: phase
   * `body`. Before that, a caller that does not send the body that the upstream waits for: phase `send`.
   */
  readonly idleMs: number;
  /**
   * Where the upstream may be silent for longer in an answer than a caller may be who is to read or send. It
   * counts once the request is sent: until then a caller that has left may not be noticed.
   */
  readonly silenceMs?: number;
  /** From the start to the end: phase `head` or `body`, wherever it was. */
  readonly totalMs?: number;
}

export interface RelayRequest {
  readonly target: RelayTarget;
  readonly head: RequestHead;
  readonly body: BodySource;
  readonly sink: ResponseSink;
  readonly timeouts: Timeouts;
  /** Asked once, at the final head; without it every answer is forwarded. */
  readonly decide?: ((head: ResponseHead) => HeadVerdict) | undefined;
  /**
   * Whether the upstream may see the request twice, when a kept-alive connection dies under it before a byte
   * of the answer. Default: GET, HEAD, OPTIONS, TRACE, PUT, DELETE. Retries by policy are the caller's.
   */
  readonly mayRepeat?: boolean | undefined;
}

export interface Exchange extends ExchangeControl {
  /** Never rejects. Made on first use; the callback of `exchange()` is the cheaper way. */
  readonly done: Promise<Outcome>;
}

export type FailurePhase = 'connect' | 'send' | 'head' | 'body';

/**
 * How an exchange ended.
 * - `answered`: forwarded whole. - `discarded`: `decide` said so; the body was drained or cut.
 * - `failed`: `sentBytes` is 0 when the upstream cannot have seen any of the request.
 *   `callerFailed`: it was the source of the request's body that broke, not the upstream.
 * - `timeout`: the connect, head (HttpTimeout), idle or total clock ran out; `sentBytes` as above.
 * - `cancelled`: our caller left.
 * `headForwarded` tells whether the sink has seen a head: if so nothing may be retried, and the sink was aborted.
 */
export type Outcome =
  | { readonly kind: 'answered'; readonly status: number }
  | { readonly kind: 'discarded'; readonly head: ResponseHead }
  | {
      readonly kind: 'failed';
      readonly phase: FailurePhase;
      readonly error: Error;
      readonly sentBytes: number;
      readonly headForwarded: boolean;
      readonly callerFailed?: boolean;
    }
  | {
      readonly kind: 'timeout';
      readonly phase: FailurePhase;
      readonly sentBytes: number;
      readonly headForwarded: boolean;
    }
  | { readonly kind: 'cancelled'; readonly headForwarded: boolean };

export interface RelayStats {
  readonly active: number;
  readonly idle: number;
  readonly connecting: number;
  readonly waiting: number;
  /** Connections opened since the start, and exchanges sent again on a fresh one after a stale one. */
  readonly opened: number;
  readonly staleRetries: number;
}

export interface Relay {
  /** Starts at once. `onDone` is called exactly once, never before `exchange` has returned. */
  exchange(request: RelayRequest, onDone?: (outcome: Outcome) => void): Exchange;
  /** Closes the idle connections of a target that is gone; running exchanges end by themselves. */
  forget(target: RelayTarget): void;
  readonly stats: RelayStats;
  /** Closes idle connections now and busy ones after their exchange; a new exchange fails. Twice is harmless. */
  close(): void;
}
