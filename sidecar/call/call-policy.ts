/**
 * A CallPolicy as the webhook wrote it into the environment, in the units that the code works with. Parsed
 * once at the start; a policy that cannot be read ends the process, because guessing here would retry what
 * the user said must not be.
 */
import { UsageError } from '../../common/runtime/errors.ts';
import { envName } from '../../common/runtime/flags.ts';

export interface RetryPolicy {
  readonly httpTimeoutMs: number;
  /** One entry a retry. */
  readonly delaysMs: readonly number[];
  readonly retryStatuses: ReadonlySet<number>;
  /** The annotation set TimeoutRetries itself: POST and PATCH are retried too. */
  readonly retriesSetByUser: boolean;
}

/** The defaults of `DefaultSync` (docs/reference/annotations.md). */
export const DEFAULT_SYNC_POLICY: RetryPolicy = {
  httpTimeoutMs: 120_000,
  delaysMs: [2_000, 4_000, 8_000],
  retryStatuses: new Set([502, 503]),
  retriesSetByUser: false,
};

/** The defaults of `DefaultAsync` and `DefaultPublish` (docs/reference/annotations.md). */
export const DEFAULT_ASYNC_POLICY: RetryPolicy = {
  ...DEFAULT_SYNC_POLICY,
  retryStatuses: new Set([500, 502, 503]),
};

/** @throws UsageError naming the variable */
export function parseCallPolicy(flag: string, text: string, fallback: RetryPolicy): RetryPolicy {
  if (text === '') return fallback;
  const policy = parseObject(flag, text);
  const httpTimeoutSeconds = policy['httpTimeoutSeconds'];
  const isUsable =
    isPositive(httpTimeoutSeconds) &&
    isNumbers(policy['timeoutRetriesSeconds']) &&
    isNumbers(policy['httpStatusRetries']);
  if (!isUsable) throw bad(flag, text);
  return {
    httpTimeoutMs: httpTimeoutSeconds * 1_000,
    delaysMs: (policy['timeoutRetriesSeconds'] as number[]).map((seconds) => seconds * 1_000),
    retryStatuses: new Set(policy['httpStatusRetries'] as number[]),
    retriesSetByUser: policy['retriesSetByUser'] === true,
  };
}

function parseObject(flag: string, text: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // said below, with the text
  }
  throw bad(flag, text);
}

function isPositive(value: unknown): value is number {
  return typeof value === 'number' && value > 0;
}

function isNumbers(value: unknown): value is number[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'number' && item >= 0);
}

function bad(flag: string, text: string): UsageError {
  return new UsageError(
    `${envName(flag)}: ${JSON.stringify(text)} is not allowed; use ` +
      '{"httpTimeoutSeconds":120,"timeoutRetriesSeconds":[2,4,8],"httpStatusRetries":[502,503]}',
  );
}
