/** `SlimFaas/Configuration`: how sync calls, jobs and events are tried; every part optional; seconds. */
import { fields, numberOr, numbersOr, parseJsonPart, type JsonPart } from './json.ts';
import type { ReportFault } from './faults.ts';
import { DEFAULT_POLICIES, type CallPolicies, type CallPolicy } from '../../call/policy.ts';

export function readConfiguration(text: string, report: ReportFault): CallPolicies {
  const top = parseJsonPart(text, report, 'the defaults');
  if (top === undefined) return DEFAULT_POLICIES;
  const parts = fields(top, ['DefaultSync', 'DefaultAsync', 'DefaultPublish'], 'the defaults');
  return {
    sync: readPolicy(parts.DefaultSync, DEFAULT_POLICIES.sync),
    async: readPolicy(parts.DefaultAsync, DEFAULT_POLICIES.async),
    publish: readPolicy(parts.DefaultPublish, DEFAULT_POLICIES.publish),
  };
}

function readPolicy(part: JsonPart | undefined, fallback: CallPolicy): CallPolicy {
  if (part === undefined) return fallback;
  const f = fields(part, ['HttpTimeout', 'TimeoutRetries', 'HttpStatusRetries'], 'the defaults');
  const retries = numbersOr(f.TimeoutRetries, { min: 0 }, fallback.timeoutRetriesSeconds);
  return {
    httpTimeoutSeconds: numberOr(f.HttpTimeout, { min: 0, isAbove: true }, fallback.httpTimeoutSeconds),
    timeoutRetriesSeconds: retries,
    httpStatusRetries: numbersOr(
      f.HttpStatusRetries,
      { min: 100, max: 599, isWhole: true },
      fallback.httpStatusRetries,
    ),
    // A list that was refused is not a wish to have POST retried.
    retriesSetByUser: f.TimeoutRetries !== undefined && retries === f.TimeoutRetries.value,
  };
}
