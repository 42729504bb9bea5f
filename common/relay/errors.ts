/**
 * What can go wrong between us and an upstream, one code each, so that callers never match on a text.
 */
export type RelayErrorCode =
  /** The upstream's bytes are not HTTP/1.1 as RFC 9112 has it. */
  | 'bad-response'
  /** The connection ended before the answer did. */
  | 'connection-lost'
  | 'connect-failed'
  /** The upstream is there and speaks another protocol than it is called with; it has seen no request. */
  | 'wrong-protocol'
  /** The source of the request's body broke or gave another length than it said. */
  | 'bad-body'
  /** Our caller left in the middle of the request's body. */
  | 'caller-gone'
  | 'relay-closed';

export class RelayError extends Error {
  readonly code: RelayErrorCode;

  constructor(code: RelayErrorCode, message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'RelayError';
    this.code = code;
  }
}

/** The upstream answered, but not in HTTP/1.1. */
export function isBadResponse(error: unknown): error is RelayError {
  return error instanceof RelayError && error.code === 'bad-response';
}

/** It will not become better by waiting. */
export function isWrongProtocol(error: unknown): error is RelayError {
  return error instanceof RelayError && error.code === 'wrong-protocol';
}

export function badResponse(message: string): RelayError {
  return new RelayError('bad-response', message);
}
