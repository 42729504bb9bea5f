/**
 * The contract of the relay: one HTTP exchange carried to an upstream over our own HTTP/1.1 client on raw
 * keep-alive sockets. Both hops use it: the proxy towards sidecars, the sidecar towards the user's container,
 * and the job consumer with a stored request and a captured answer. Sources and sinks are two small
 * interfaces, so that the relay knows nothing of Koa, Node's server or NATS.
 */

export interface Target {
  readonly host: string;
  readonly port: number;
}

/** `rawHeaders` as Node gives them: name, value, name, value …; order, case and duplicates kept. */
export type RawHeaders = readonly string[];

export interface RequestHead {
  readonly method: string;
  /** Origin-form target, byte for byte: path and query. */
  readonly path: string;
  /** Hop-by-hop headers already removed; framing headers (content-length, transfer-encoding) still there. */
  readonly headers: RawHeaders;
}

export interface ResponseHead {
  readonly status: number;
  readonly statusText: string;
  /** End-to-end headers only. */
  readonly headers: RawHeaders;
}

/** Where the answer goes. Calls come in the order informational* head data* (end | abort). */
export interface ResponseSink {
  /** A 1xx other than 101. 100 comes here only when the request carried `Expect: 100-continue`. */
  informational(head: ResponseHead): void;
  head(head: ResponseHead): void;
  /** Returns false when the sink wants a pause; `onDrain` of {@link ExchangeOptions} resumes. */
  data(chunk: Buffer): boolean;
  end(trailers: RawHeaders): void;
  /** The answer had begun and cannot be completed: the sink must break its connection, never end cleanly. */
  abort(error: Error): void;
}

/** What `decide` wants done with an answer whose head has arrived and of which nothing was forwarded. */
export type HeadVerdict = 'forward' | 'discard';

export type FailurePhase = 'connect' | 'send' | 'head' | 'body';

/**
 * How an exchange ended.
 * - `answered`: forwarded whole. - `discarded`: `decide` said so; the body was drained or cut.
 * - `failed`: `sentBytes` is 0 when the upstream cannot have seen any of the request.
 * - `timeout`: the connect, head (HttpTimeout) or idle clock ran out.
 * - `cancelled`: our caller left.
 * `headForwarded` tells whether the sink has seen a head: if so nothing may be retried.
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
    }
  | { readonly kind: 'timeout'; readonly phase: FailurePhase; readonly headForwarded: boolean }
  | { readonly kind: 'cancelled'; readonly headForwarded: boolean };
