/**
 * How one kind of call is tried. `CallPolicy` is the written form, in seconds: annotations are read into it, and the
 * webhook writes it as JSON into the sidecar's environment. `RetryPolicy` is the same in the units of the code. The
 * defaults stand here once, for annotations and for a sidecar that was given none.
 */
export interface CallPolicy {
  /** For one try, from the moment it runs. */
  readonly httpTimeoutSeconds: number;
  /** One entry per retry: the delay before it. */
  readonly timeoutRetriesSeconds: readonly number[];
  /** Statuses of answers that count as a failed try. */
  readonly httpStatusRetries: readonly number[];
  /** True where the annotation itself set TimeoutRetries: then POST and PATCH are retried too. */
  readonly retriesSetByUser: boolean;
}

export interface RetryPolicy {
  readonly httpTimeoutMs: number;
  /** One entry per retry. */
  readonly delaysMs: readonly number[];
  readonly retryStatuses: ReadonlySet<number>;
  readonly retriesSetByUser: boolean;
}

export interface CallPolicies {
  readonly sync: CallPolicy;
  readonly async: CallPolicy;
  readonly publish: CallPolicy;
}

/** A synchronous 500 is the function's own answer to a caller that waits. 502 and 503 mean that it had none. */
const SYNC: CallPolicy = {
  httpTimeoutSeconds: 120,
  timeoutRetriesSeconds: [2, 4, 8],
  httpStatusRetries: [502, 503],
  retriesSetByUser: false,
};
const JOB: CallPolicy = { ...SYNC, httpStatusRetries: [500, 502, 503] };

export const DEFAULT_POLICIES: CallPolicies = { sync: SYNC, async: JOB, publish: JOB };

export function retryPolicyOf(policy: CallPolicy): RetryPolicy {
  return {
    httpTimeoutMs: policy.httpTimeoutSeconds * 1_000,
    delaysMs: policy.timeoutRetriesSeconds.map((seconds) => seconds * 1_000),
    retryStatuses: new Set(policy.httpStatusRetries),
    retriesSetByUser: policy.retriesSetByUser,
  };
}
