/**
 * Node's http2, loaded by its first user: 4 ms and 3 MB that neither a cold start nor a system without HTTP/2
 * should pay. Types may be imported from `node:http2` anywhere, they cost nothing.
 *
 * Room `common/http2`: What proxy and sidecar share of HTTP/2.
 * Comes in: header fields, a stream.
 * Goes out: checked fields, one way to end a stream.
 */
export function http2(): typeof import('node:http2') {
  return process.getBuiltinModule('node:http2');
}

/** RST_STREAM and GOAWAY codes (RFC 9113 §7) that we send or tell apart. */
export const H2_CODE = {
  noError: 0,
  internalError: 2,
  refusedStream: 7,
  cancel: 8,
} as const;
