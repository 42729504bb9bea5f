/**
 * A CallPolicy as the webhook wrote it into the environment, parsed once at the start. A policy that cannot be read
 * ends the process: a guess here could retry what the user said must not be retried.
 */
import { retryPolicyOf, type CallPolicy, type RetryPolicy } from '../../common/call/policy.ts';
import { UsageError } from '../../common/runtime/errors.ts';
import { envName } from '../../common/runtime/flags.ts';

/** @throws UsageError naming the variable */
export function parseCallPolicy(flag: string, text: string, fallback: CallPolicy): RetryPolicy {
  if (text === '') return retryPolicyOf(fallback);
  const policy = parseObject(flag, text);
  const httpTimeoutSeconds = policy['httpTimeoutSeconds'];
  const isUsable =
    isPositive(httpTimeoutSeconds) &&
    isNumbers(policy['timeoutRetriesSeconds']) &&
    isNumbers(policy['httpStatusRetries']);
  if (!isUsable) throw bad(flag, text);
  return retryPolicyOf({
    httpTimeoutSeconds,
    timeoutRetriesSeconds: policy['timeoutRetriesSeconds'] as number[],
    httpStatusRetries: policy['httpStatusRetries'] as number[],
    retriesSetByUser: policy['retriesSetByUser'] === true,
  });
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
