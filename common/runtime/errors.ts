/**
 * The errors that callers can meet, one code each. Code, status and advice live together, so that an
 * answer can be made from the error alone; nothing in the system matches on a message's text.
 */

/** Sent as `SlimFaas-Reason` and as `error` of the body; docs/reference/reasons.md says what each means. */
export type ReasonCode =
  | 'unknown-route'
  | 'unknown-function'
  | 'method-not-allowed'
  | 'unknown-job'
  | 'unknown-event'
  | 'job-conflict'
  | 'unauthenticated'
  | 'forbidden'
  | 'identity-unavailable'
  | 'no-sidecar'
  | 'bad-request'
  | 'body-too-large'
  | 'unauthorized'
  | 'auth-unavailable'
  | 'rate-limited'
  | 'queue-full'
  | 'queue-timeout'
  | 'too-busy'
  | 'starting'
  | 'upstream-failed'
  | 'queue-unavailable'
  | 'cold-start-timeout'
  | 'function-timeout'
  | 'shutting-down';

export const REASON_STATUS: Readonly<Record<ReasonCode, number>> = {
  'unknown-route': 404,
  'unknown-function': 404,
  'method-not-allowed': 405,
  'unknown-job': 404,
  'unknown-event': 404,
  'job-conflict': 409,
  unauthenticated: 401,
  forbidden: 403,
  'identity-unavailable': 503,
  'no-sidecar': 501,
  'bad-request': 400,
  'body-too-large': 413,
  unauthorized: 401,
  'auth-unavailable': 503,
  'rate-limited': 429,
  'queue-full': 429,
  'queue-timeout': 503,
  'too-busy': 503,
  starting: 503,
  'upstream-failed': 502,
  'queue-unavailable': 503,
  'shutting-down': 503,
  'cold-start-timeout': 504,
  'function-timeout': 504,
};

/** What somebody wants to be said in place of a reason. */
export interface OwnAnswer {
  /** Default: that of the reason. */
  readonly status?: number;
  readonly contentType: string;
  readonly body: string;
}

/** An answer of the system itself. `retryAfterSeconds` becomes `Retry-After`. */
export class ReasonError extends Error {
  readonly code: ReasonCode;
  readonly status: number;
  readonly retryAfterSeconds: number | undefined;
  /** name, value …, of its answer. */
  readonly headers: readonly string[];
  /** In place of the status and the JSON body. */
  readonly answer: OwnAnswer | undefined;

  constructor(
    code: ReasonCode,
    message: string,
    options: {
      cause?: unknown;
      retryAfterSeconds?: number;
      headers?: readonly string[];
      answer?: OwnAnswer | undefined;
    } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'ReasonError';
    this.code = code;
    this.status = options.answer?.status ?? REASON_STATUS[code];
    this.retryAfterSeconds = options.retryAfterSeconds;
    this.headers = options.headers ?? [];
    this.answer = options.answer;
  }
}

/** A flag, environment variable or manifest that cannot be used; `main` prints it and exits 2. */
export class UsageError extends Error {
  readonly code = 'usage';

  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'UsageError';
  }
}

/** A message on a subject that is not what the contract says; it is counted and dropped. */
export class MessageError extends Error {
  readonly code = 'bad-message';

  constructor(message: string, options: { cause?: unknown } = {}) {
    super(message, options);
    this.name = 'MessageError';
  }
}

/** The text of anything thrown, with its causes: `connect failed: ECONNREFUSED 127.0.0.1:8080`. */
export function describeError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = (error as { code?: unknown }).code;
  const text = error.message || (typeof code === 'string' ? code : error.name);
  return error.cause === undefined ? text : `${text}: ${describeError(error.cause)}`;
}
