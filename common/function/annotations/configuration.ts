/** `SlimFaas/Configuration`: how sync calls, jobs and events are tried; every part optional; seconds. */
import { fields, numberOr, numbersOr, parseJsonPart, type JsonPart } from './json.ts';
import type { ReportFault } from './faults.ts';
import type { CallPolicy } from '../spec.ts';

export interface CallPolicies {
  readonly sync: CallPolicy;
  readonly async: CallPolicy;
  readonly publish: CallPolicy;
}

/** A sync 500 is the function's own answer to a person who waits; 502 and 503 mean that it had none. */
const SYNC_DEFAULT: CallPolicy = {
  httpTimeoutSeconds: 120,
  timeoutRetriesSeconds: [2, 4, 8],
  httpStatusRetries: [502, 503],
  retriesSetByUser: false,
};
const JOB_DEFAULT: CallPolicy = { ...SYNC_DEFAULT, httpStatusRetries: [500, 502, 503] };

export const DEFAULT_POLICIES: CallPolicies = {
  sync: SYNC_DEFAULT,
  async: JOB_DEFAULT,
  publish: JOB_DEFAULT,
};

export function readConfiguration(text: string, report: ReportFault): CallPolicies {
  const top = parseJsonPart(text, report, 'the defaults');
  if (top === undefined) return DEFAULT_POLICIES;
  const parts = fields(top, ['DefaultSync', 'DefaultAsync', 'DefaultPublish'], 'the defaults');
  return {
    sync: readPolicy(parts.DefaultSync, SYNC_DEFAULT),
    async: readPolicy(parts.DefaultAsync, JOB_DEFAULT),
    publish: readPolicy(parts.DefaultPublish, JOB_DEFAULT),
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
